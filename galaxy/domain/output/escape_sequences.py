"""What programs print to steer a terminal, such as colours: it may stand in the middle of a word."""

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
    """A text as a terminal shows it, and where in the original each of its bytes is.

    Attributes:
        text: Without the escape sequences.
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
        """Where a byte of the text is in the original; its length for the text's."""
        return at + self._removed[bisect_right(self._places, at) - 1]

    def original_span(self, start: int, end: int) -> tuple[int, int]:
        """Where a part of the text that is not empty is in the original: [start, end)."""
        return self.original(start), self.original(end - 1) + 1


def without_sequences(data: bytes) -> bytes:
    """`WithoutSequences.text`, several times as quickly."""
    return _SEQUENCE.sub(b"", data)


def without_unfinished(data: bytes) -> bytes:
    """The text up to a sequence at its end of which the rest is still to come."""
    found = _UNFINISHED.search(data)
    return data[: found.start()] if found else data


def has_sequences(data: bytes) -> bool:
    """Whether there may be some."""
    return b"\x1b" in data
