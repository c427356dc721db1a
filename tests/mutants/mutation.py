"""One small change of one file."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Final

#: A number up to this is a count rather than a size or a time.
_SMALL: Final = 10


@dataclass(frozen=True, order=True)
class Mutation:
    """Replaces a piece of a file. Offsets are in bytes.

    Attributes:
        path: Of the file, from the project's root.
        start: Where the piece begins.
        end: Where it ends.
        new: What takes its place.
        line: The line of the change, from 1.
        reached_by: First and last line of the statement that it changes; None if that runs at import.
    """

    path: str
    start: int
    end: int
    new: bytes
    line: int
    reached_by: tuple[int, int] | None

    @property
    def place(self) -> str:
        return f"{self.path}:{self.line}"

    def name(self, source: bytes) -> str:
        """What the change is, in a form that stays the same when the file changes elsewhere."""
        return f"{_one_line(source[self.start : self.end])} -> {_one_line(self.new)}"

    def line_text(self, source: bytes) -> str:
        return source.decode().splitlines()[self.line - 1].strip()

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.new + source[self.end :]

    def diff(self, source: bytes) -> str:
        before, after = source.decode().splitlines(), self.applied(source).decode().splitlines()
        lines = difflib.unified_diff(before, after, lineterm="", n=0)
        return "\n".join(f"    {line}" for line in lines if not line.startswith(("---", "+++", "@@")))


def other_number(number: int) -> int:
    """Another bound: the next one, or twice a large one.

    The last digit of a large bound is seldom meant; whether it is inclusive, the changes of its comparison ask.
    """
    return number + 1 if number <= _SMALL else 2 * number


def _one_line(piece: bytes) -> str:
    return " ".join(piece.decode().split()) or "(nothing)"
