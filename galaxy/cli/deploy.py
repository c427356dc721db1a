"""`galaxy deploy`: make a version, and watch it until it is final."""

from __future__ import annotations

import json
import math
import sys
import time
from typing import TYPE_CHECKING, BinaryIO, NoReturn

import click

from galaxy.cli.render import visible

if TYPE_CHECKING:
    from galaxy.bootstrap import Pipeline
    from galaxy.domain.models import Version, VersionRef
    from galaxy.services.releases import Deployed

EXIT_FAILED = 1
EXIT_TIMED_OUT = 4
EXIT_DETACHED = 130

#: How long the log may be quiet before the version is looked at.
_QUIET_MS = 200


def _not_negative(_: click.Context, __: click.Parameter, value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and value >= 0):
        raise click.BadParameter("must be a number of seconds, 0 or more.")
    return value


@click.command()
@click.argument("app")
@click.option("--bundle", "bundle_url", metavar="URL", required=True, help="Where the gzipped tarball is.")
@click.option(
    "--settings",
    "settings_file",
    metavar="FILE",
    type=click.File("rb"),
    required=True,
    help="settings.json, or -.",
)
@click.option("--no-wait", is_flag=True, help="Return as soon as the version is recorded.")
@click.option(
    "--timeout",
    "timeout_s",
    type=float,
    metavar="SECONDS",
    callback=_not_negative,
    help="Stop waiting after this long.",
)
@click.option("--idempotency-key", metavar="K", help="The same key and content make one version only.")
@click.option("--by", "deployed_by", metavar="WHO", envvar="USER", help="Who deploys; default: $USER.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def deploy(
    app: str,
    bundle_url: str,
    settings_file: BinaryIO,
    no_wait: bool,
    timeout_s: float | None,
    idempotency_key: str | None,
    deployed_by: str | None,
    as_json: bool,
) -> None:
    """Deploy a bundle of APP with its settings."""
    from galaxy.bootstrap import pipeline

    here = pipeline()
    try:
        deployed = here.releases.deploy(
            app=app,
            settings=settings_file.read(),
            bundle_url=bundle_url,
            deployed_by=deployed_by,
            idempotency_key=idempotency_key,
        )
    except KeyboardInterrupt:
        click.echo("\nInterrupted before the deploy was confirmed; it may have been recorded.", err=True)
        click.echo(f"See with: galaxy versions {visible(app)}", err=True)
        sys.exit(EXIT_DETACHED)
    if no_wait:
        for warning in deployed.warnings:
            click.echo(f"Warning: {warning}", err=True)
        _print_accepted(deployed, as_json=as_json)
        return
    version = _watch(here, deployed, timeout_s)
    if as_json:
        click.echo(version.model_dump_json())
    else:
        click.echo(_result(version))
    if version.failed:
        sys.exit(EXIT_FAILED)


def _watch(here: Pipeline, deployed: Deployed, timeout_s: float | None) -> Version:
    """Shows the version's log until the version is final, and returns it then."""
    from galaxy.cli.printer import LinePrinter
    from galaxy.domain.log import LogFilter
    from galaxy.domain.models import VersionRef
    from galaxy.domain.states import UNFINISHED

    ref = VersionRef(deployed.app, deployed.version)
    give_up_at = time.monotonic() + timeout_s if timeout_s is not None else None
    printer = LinePrinter(sys.stderr)
    version = here.store.version(ref)
    pages = here.logs.follow(ref.app, deployed.log_cursor, LogFilter(version=ref.number), block_ms=_QUIET_MS)
    try:
        for page in pages:
            printer.show(page.lines)
            if version.state not in UNFINISHED and not page.lines:
                return version  # it was final before this look at the log, and nothing more came
            version = here.store.version(ref)
            if version.state not in UNFINISHED:
                here.announcer.announce(ref.app)  # whoever made the last move may not have come to it yet
            if version.state in UNFINISHED and give_up_at is not None and time.monotonic() > give_up_at:
                click.echo(f"Timed out waiting; {ref} is {version.state} and goes on.", err=True)
                _leave(ref, EXIT_TIMED_OUT)
    except KeyboardInterrupt:
        click.echo(f"\nDetached; {ref} goes on.", err=True)
        _leave(ref, EXIT_DETACHED)
    raise AssertionError("a log is followed without end")


def _leave(ref: VersionRef, code: int) -> NoReturn:
    click.echo(f"Attach again with: galaxy logs {ref.app} -f --version {ref.number}", err=True)
    sys.exit(code)


def _print_accepted(deployed: Deployed, *, as_json: bool) -> None:
    if as_json:
        click.echo(
            json.dumps({"app": deployed.app, "version": deployed.version, "repeated": deployed.repeated})
        )
        return
    again = " (made before by the same idempotency key)" if deployed.repeated else ""
    click.echo(f"Accepted: version {deployed.version} of {deployed.app}{again}.")
    click.echo(f"Watch it with: galaxy logs {deployed.app} -f --version {deployed.version}", err=True)


def _result(version: Version) -> str:
    if version.failed:
        reason = visible(version.failure or "")
        return f"{version.app} version {version.number}: {version.state}. {reason}".rstrip()
    return f"{version.app} version {version.number}: {version.state}, {version.image}@{version.image_digest}"
