"""`galaxy logs`: the app's log, to its end or as it comes."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from galaxy.domain.log import LogFilter

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
DEFAULT_LINES = 100


@click.command()
@click.argument("app")
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines as they come.")
@click.option("-n", "lines", type=click.IntRange(min=0), metavar="N", help="The last N lines; default 100.")
@click.option("--since", metavar="AGE", help="Lines of the last 30s, 10m, 2h or 1d.")
@click.option("--version", "number", type=click.IntRange(min=1), metavar="N", help="Lines of one version.")
@click.option(
    "--source", type=click.Choice(["all", "service", "app", "errors"]), default="all", show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def logs(
    app: str,
    follow: bool,
    lines: int | None,
    since: str | None,
    number: int | None,
    source: str,
    as_json: bool,
) -> None:
    """Show the log of APP."""
    from galaxy.bootstrap import pipeline
    from galaxy.cli.printer import LinePrinter
    from galaxy.domain.deploys.app_name import parse_app_name
    from galaxy.domain.models import VersionRef

    since_ms = None if since is None else max(1, int((time.time() - _seconds(since)) * 1000))
    here = pipeline()
    app = parse_app_name(app)
    # an app or version that does not exist is an error, not an empty log
    if number is None:
        here.store.versions(app, limit=1)
    else:
        here.store.version(VersionRef(app, number))
    only = _filter(number, source)
    printer = LinePrinter(sys.stdout, as_json=as_json)
    try:
        if lines is not None or since_ms is None:
            wanted = DEFAULT_LINES if lines is None else lines
            page = here.logs.tail(app, wanted, only, since_ms=since_ms)
            printer.show(page.lines)
            cursor = page.cursor
        else:
            cursor = here.logs.since(since_ms)
            for page in here.logs.pages(app, cursor, only):
                printer.show(page.lines)
                cursor = page.cursor
        if follow:
            for page in here.logs.follow(app, cursor, only):
                printer.show(page.lines)
    except KeyboardInterrupt:
        sys.exit(130)


def _filter(number: int | None, source: str) -> LogFilter:
    from galaxy.domain.log import LogFilter, Source

    if source in {"all", "errors"}:
        return LogFilter(version=number, errors=source == "errors")
    return LogFilter(version=number, source=Source(source))


def _seconds(age: str) -> int:
    match = re.fullmatch(r"(\d{1,9})([smhd])", age)
    if not match:
        raise click.BadParameter(f"{age!r} is no age; write 30s, 10m, 2h or 1d.", param_hint="--since")
    return int(match[1]) * _UNITS_S[match[2]]
