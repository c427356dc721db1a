"""Tables and times, harmless to any terminal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from galaxy.cli.render import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def utc(at_ms: int | None) -> str:
    """ISO 8601 in UTC, to the second; `-` for never."""
    if at_ms is None:
        return "-"
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def print_lines(lines: Iterable[str]) -> None:
    """Prints lines that are harmless already."""
    for line in lines:
        click.echo(line)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints columns as wide as they need to be; without a header if that is empty."""
    shown = [[visible(cell) for cell in row] for row in rows]
    table = [list(header), *shown] if header else shown
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))] if table else []
    for row in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
