"""Shows log lines as they come."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TextIO

from galaxy.cli.render import renderer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from galaxy.domain.log import LogLine


class LinePrinter:
    """Prints log lines in the form that suits where they go."""

    def __init__(self, out: TextIO, *, as_json: bool = False) -> None:
        self._out = out
        self._render = renderer(out, os.environ, as_json=as_json)

    def show(self, lines: Iterable[LogLine]) -> None:
        """Prints the lines and sends them on at once."""
        self._out.writelines(f"{self._render(line)}\n" for line in lines)
        self._out.flush()
