"""`galaxy logs`: the app's log, to its end or as it comes."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING

import click

from galaxy.cli.options import timeout_option
from galaxy.cli.watch import EXIT_DETACHED, EXIT_FAILED, detach, watch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from galaxy.domain.log import LogFilter, LogPage
    from galaxy.services.queries import Queries

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
DEFAULT_LINES = 100


@click.command()
@click.argument("app")
@click.option(
    "-f",
    "--follow",
    is_flag=True,
    help="Go on with new lines as they come; with --version until that is final.",
)
@click.option("-n", "lines", type=click.IntRange(min=0), metavar="N", help="The last N lines; default 100.")
@click.option("--since", metavar="AGE", help="Lines of the last 30s, 10m, 2h or 1d.")
@click.option("--version", "number", type=click.IntRange(min=1), metavar="N", help="Lines of one version.")
@click.option(
    "--source", type=click.Choice(["all", "service", "app", "errors"]), default="all", show_default=True
)
@timeout_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def logs(
    app: str,
    follow: bool,
    lines: int | None,
    since: str | None,
    number: int | None,
    source: str,
    timeout_s: float | None,
    as_json: bool,
) -> None:
    """Show the log of APP.

    With -f and --version, ends as `galaxy deploy` does when the version is final: 0 it is or was active, 1 it failed,
    4 that took longer than --timeout.
    """
    from galaxy.bootstrap import pipeline
    from galaxy.cli.printer import LinePrinter
    from galaxy.domain.deploys.app_name import parse_app_name
    from galaxy.domain.log import START
    from galaxy.domain.models import VersionRef

    if timeout_s is not None and not (follow and number):
        raise click.UsageError("--timeout needs -f and --version: only they wait for an end.")
    since_ms = None if since is None else max(1, int((time.time() - _seconds(since)) * 1000))
    queries = pipeline().queries
    only = _filter(number, source)
    printer = LinePrinter(sys.stdout, as_json=as_json)
    try:
        cursor = START
        for page in _recorded(queries, app, only, lines, since_ms):
            printer.show(page.lines)
            cursor = page.cursor
        if follow and number is None:
            for page in queries.follow(app, cursor, only):
                printer.show(page.lines)
    except KeyboardInterrupt:
        if follow and number is not None:
            detach(VersionRef(parse_app_name(app), number))
        sys.exit(EXIT_DETACHED)
    if follow and number is not None:
        ref = VersionRef(parse_app_name(app), number)
        version = watch(queries, ref, cursor, only, out=sys.stdout, as_json=as_json, timeout_s=timeout_s)
        if version.failed:
            sys.exit(EXIT_FAILED)


def _recorded(
    queries: Queries, app: str, only: LogFilter, lines: int | None, since_ms: int | None
) -> Iterable[LogPage]:
    """What is in the log already: the newest lines, or with an age alone all lines from then on."""
    if lines is None and since_ms is not None:
        return queries.lines_since(app, since_ms, only)
    count = DEFAULT_LINES if lines is None else lines
    return [queries.newest_lines(app, count, only, since_ms=since_ms)]


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
