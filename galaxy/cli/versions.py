"""`galaxy apps|versions|show|activity|cancel`: what the store knows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from galaxy.cli.options import json_option, login_name
from galaxy.cli.render import visible
from galaxy.cli.table import print_lines, print_table, utc

if TYPE_CHECKING:
    from collections.abc import Iterable

    from galaxy.domain.app_summary import AppSummary
    from galaxy.domain.models import Version

_limit_option = click.option(
    "-n", "limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many, newest first."
)


@click.command()
@json_option
def apps(as_json: bool) -> None:
    """List all apps."""
    from galaxy.bootstrap import pipeline

    found = pipeline().queries.apps()
    if as_json:
        print_lines(each.model_dump_json() for each in found)
        return
    header = ("APP", "ACTIVE VERSION", "UPDATES")
    print_table(header, [(each.app, _active(each), each.updates) for each in found])


@click.command()
@click.argument("app")
@_limit_option
@json_option
def versions(app: str, limit: int, as_json: bool) -> None:
    """List the versions of APP, newest first."""
    from galaxy.bootstrap import pipeline

    found = pipeline().queries.versions(app, limit)
    if as_json:
        print_lines(version.model_dump_json() for version in found)
        return
    header = ("VERSION", "STATE", "ATTEMPT", "BASE IMAGE", "DEPLOYED", "BY")
    print_table(
        header,
        [
            (
                str(version.number),
                version.state,
                str(version.attempt),
                version.base_image,
                utc(version.created_at_ms),
                _who(version),
            )
            for version in found
        ],
    )


@click.command()
@click.argument("app")
@click.argument("number", metavar="N", type=click.IntRange(min=1))
@json_option
def show(app: str, number: int, as_json: bool) -> None:
    """Show version N of APP."""
    from galaxy.bootstrap import pipeline

    version = pipeline().queries.version(app, number)
    if as_json:
        click.echo(version.model_dump_json())
    else:
        print_table((), [(f"{name}:", text) for name, text in _facts(version)])


@click.command()
@click.argument("app")
@_limit_option
@json_option
def activity(app: str, limit: int, as_json: bool) -> None:
    """Show what happened to APP, oldest first."""
    from galaxy.bootstrap import pipeline

    entries = pipeline().queries.activity(app, limit)
    if as_json:
        print_lines(json.dumps(entry.model_dump() | {"sentence": entry.sentence}) for entry in entries)
    else:
        print_lines(f"{utc(entry.at_ms)}  {visible(entry.sentence)}" for entry in entries)


@click.command()
@click.argument("app")
@click.argument("number", metavar="N", type=click.IntRange(min=1))
@click.option("--by", "who", metavar="WHO", default=login_name, help="Who cancels; default: your login name.")
def cancel(app: str, number: int, who: str | None) -> None:
    """End version N of APP, unless it is active or final; a running build stops within seconds."""
    from galaxy.bootstrap import pipeline
    from galaxy.domain.states import VersionState

    was = pipeline().releases.cancel(app=app, number=number, by=who)
    if was is VersionState.CANCELLED:
        click.echo(f"Version {number} of {app} was cancelled already.")
    else:
        click.echo(f"Cancelled version {number} of {app}; it was {was}.")


def _active(app: AppSummary) -> str:
    if app.active_version is None:
        return "-"
    return f"{app.active_version}, rebuild of {app.rebuild_of}" if app.automatic else str(app.active_version)


def _who(version: Version) -> str:
    if not version.automatic:
        return version.deployed_by
    return f"{version.deployed_by}, rebuild of {version.rebuild_of}"


def _facts(version: Version) -> Iterable[tuple[str, str]]:
    yield "app", version.app
    yield "version", str(version.number)
    yield "state", version.state + (f", step {version.step}" if version.step else "")
    yield "base image", version.base_image
    yield "base digest", version.base_digest or "-"
    yield "image", version.image or "-"
    yield "image digest", version.image_digest or "-"
    yield "attempt", str(version.attempt)
    for timing in version.steps:
        yield f"  {timing.step}", f"{timing.duration_ms} ms"
    yield "deployed", f"{utc(version.created_at_ms)} by {_who(version)}"
    if version.finished_at_ms:
        yield "finished", utc(version.finished_at_ms)
    if version.failure:
        yield "failure", visible(version.failure)
