"""`galaxy apps|versions|show|activity|cancel`: what the store knows."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from galaxy.cli.render import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from galaxy.domain.models import Version

_json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
_limit_option = click.option(
    "-n", "limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many, newest first."
)


@click.command()
@_json_option
def apps(as_json: bool) -> None:
    """List all apps."""
    from galaxy.bootstrap import pipeline

    store = pipeline().store
    rows = [(name, store.active_version(name)) for name in store.apps()]
    if as_json:
        _print_lines(json.dumps({"app": name, "active_version": active}) for name, active in rows)
    else:
        _print_table(("APP", "ACTIVE VERSION"), [(name, str(active or "-")) for name, active in rows])


@click.command()
@click.argument("app")
@_limit_option
@_json_option
def versions(app: str, limit: int, as_json: bool) -> None:
    """List the versions of APP, newest first."""
    from galaxy.bootstrap import pipeline
    from galaxy.domain.app_name import parse_app_name

    found = pipeline().store.versions(parse_app_name(app), limit)
    if as_json:
        _print_lines(version.model_dump_json() for version in found)
        return
    header = ("VERSION", "STATE", "ATTEMPT", "BASE IMAGE", "DEPLOYED", "BY")
    _print_table(
        header,
        [
            (
                str(version.number),
                version.state,
                str(version.attempt),
                version.base_image,
                _time(version.created_at_ms),
                version.deployed_by,
            )
            for version in found
        ],
    )


@click.command()
@click.argument("app")
@click.argument("number", metavar="N", type=click.IntRange(min=1))
@_json_option
def show(app: str, number: int, as_json: bool) -> None:
    """Show version N of APP."""
    from galaxy.bootstrap import pipeline
    from galaxy.domain.app_name import parse_app_name
    from galaxy.domain.models import VersionRef

    version = pipeline().store.version(VersionRef(parse_app_name(app), number))
    if as_json:
        click.echo(version.model_dump_json())
    else:
        _print_table((), [(f"{name}:", text) for name, text in _facts(version)])


@click.command()
@click.argument("app")
@_limit_option
@_json_option
def activity(app: str, limit: int, as_json: bool) -> None:
    """Show what happened to APP, oldest first."""
    from galaxy.bootstrap import pipeline
    from galaxy.domain.app_name import parse_app_name

    store = pipeline().store
    store.versions(parse_app_name(app), limit=1)
    entries = store.activity(parse_app_name(app), limit)
    if as_json:
        _print_lines(json.dumps(entry.model_dump() | {"sentence": entry.sentence}) for entry in entries)
    else:
        _print_lines(f"{_time(entry.at_ms)}  {visible(entry.sentence)}" for entry in entries)


@click.command()
@click.argument("app")
@click.argument("number", metavar="N", type=click.IntRange(min=1))
@click.option(
    "--by", "who", metavar="WHO", envvar="USER", default="unknown", help="Who cancels; default: $USER."
)
def cancel(app: str, number: int, who: str) -> None:
    """End version N of APP, unless it is active or final; a running build stops within seconds."""
    from galaxy.bootstrap import pipeline
    from galaxy.domain.states import VersionState

    was = pipeline().releases.cancel(app=app, number=number, by=who)
    if was is VersionState.CANCELLED:
        click.echo(f"Version {number} of {app} was cancelled already.")
    else:
        click.echo(f"Cancelled version {number} of {app}; it was {was}.")


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
    yield "deployed", f"{_time(version.created_at_ms)} by {version.deployed_by}"
    if version.finished_at_ms:
        yield "finished", _time(version.finished_at_ms)
    if version.failure:
        yield "failure", visible(version.failure)


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = [header, *rows] if header else rows
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))] if table else []
    for row in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
