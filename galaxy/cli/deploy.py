"""`galaxy deploy`: make a version, and watch it until it is final."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, BinaryIO, Final

import click

from galaxy.cli.errors import say_error
from galaxy.cli.options import login_name, timeout_option
from galaxy.cli.render import visible
from galaxy.cli.watch import EXIT_DETACHED, EXIT_FAILED, watch

if TYPE_CHECKING:
    from galaxy.domain.models import Version
    from galaxy.services.releases import Deployed

#: More is no URL; the rest of stdin is not even read.
_MAX_BUNDLE_BYTES: Final = 64 * 1024


@click.command()
@click.argument("app")
@click.option(
    "--bundle",
    "bundle_url",
    metavar="URL",
    required=True,
    envvar="GALAXY_BUNDLE_URL",
    help="Where the gzipped tarball is; - reads the URL from stdin. Default: $GALAXY_BUNDLE_URL. Other users of this"
    " machine see neither of these, but every argument of a command.",
)
@click.option(
    "--settings",
    "settings_file",
    metavar="FILE",
    type=click.File("rb"),
    required=True,
    help="settings.json, or -.",
)
@click.option("--no-wait", is_flag=True, help="Return as soon as the version is recorded.")
@timeout_option
@click.option("--idempotency-key", metavar="K", help="The same key and content make one version only.")
@click.option(
    "--by", "deployed_by", metavar="WHO", default=login_name, help="Who deploys; default: your login name."
)
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
    from galaxy.domain.models import VersionRef

    here = pipeline()
    if bundle_url == "-":
        bundle_url = _bundle_url_from_stdin(settings_file)
    try:
        deployed = here.releases.deploy(
            app=app,
            settings=settings_file.read(),
            bundle_url=bundle_url,
            deployed_by=deployed_by,
            idempotency_key=idempotency_key,
        )
    except KeyboardInterrupt:
        click.echo(err=True)  # after the ^C
        say_error("Interrupted before the deploy was confirmed; it may have been recorded.")
        click.echo(f"See with: galaxy versions {visible(app)}", err=True)
        sys.exit(EXIT_DETACHED)
    if no_wait:
        for warning in deployed.warnings:
            click.echo(f"Warning: {warning}", err=True)
        _print_accepted(deployed, as_json=as_json)
        return
    ref = VersionRef(deployed.app, deployed.version)
    version = watch(here.queries, ref, deployed.log_cursor, out=sys.stderr, timeout_s=timeout_s)
    if as_json:
        click.echo(version.model_dump_json())
    else:
        click.echo(_result(version))
    if version.failed:
        sys.exit(EXIT_FAILED)


def _bundle_url_from_stdin(settings_file: BinaryIO) -> str:
    """What stdin holds, without blanks around it; whether that is a URL is checked with everything else."""
    if settings_file.name == "<stdin>":
        raise click.UsageError(
            "--bundle - and --settings - both read stdin. Give the settings as a file, or the bundle's URL in"
            " GALAXY_BUNDLE_URL."
        )
    text = sys.stdin.buffer.read(_MAX_BUNDLE_BYTES)
    return text.decode(errors="surrogateescape").strip()


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
