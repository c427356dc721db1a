"""Escape sequences, which programs print to control a terminal (colours): one may stand in the middle of a word."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Final

#: By ECMA-48, without strings that a terminal keeps to itself but for titles and links (OSC), and without 8-bit forms,
#: which are no UTF-8.
_SEQUENCE: Final = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # CSI: colours, moves
    rb"|\][^\x07\x1b\r\n]*(?:\x07|\x1b\\)"  # OSC: titles, links
    rb"|[ -/]+[0-~]"  # character sets
    rb"|[0-Z^-~])"
)
#: One at the end of a text that may go on.
_UNFINISHED: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b\r\n]*\x1b?|[ -/]*)\Z")


class WithoutSequences:
    """A text without its escape sequences, as a terminal shows it, and the way back to the original.

    Attributes:
        text: The text without escape sequences.
    """

    def __init__(self, data: bytes) -> None:
        self._places = [0]
        self._removed = [0]
        parts: list[bytes] = []
        at = removed = 0
        for found in _SEQUENCE.finditer(data):
            parts.append(data[at : found.start()])
            at = found.end()
            removed += len(found[0])
            self._places.append(at - removed)
            self._removed.append(removed)
        parts.append(data[at:])
        self.text = b"".join(parts)

    def original(self, at: int) -> int:
        """Index in the original of the byte at this index of `text`; the original's length for the text's length."""
        return at + self._removed[bisect_right(self._places, at) - 1]

    def original_span(self, start: int, end: int) -> tuple[int, int]:
        """Span [start, end) in the original of a part of `text` that is not empty."""
        return self.original(start), self.original(end - 1) + 1


def without_sequences(data: bytes) -> bytes:
    """The same as `WithoutSequences(data).text`, several times as fast."""
    return _SEQUENCE.sub(b"", data)


def without_unfinished(data: bytes) -> bytes:
    """The text without an escape sequence at its end that is not complete yet."""
    found = _UNFINISHED.search(data)
    return data[: found.start()] if found else data


def has_sequences(data: bytes) -> bool:
    """Whether the data may hold escape sequences."""
    return b"\x1b" in data
