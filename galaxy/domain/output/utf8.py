"""Finds where UTF-8 can be cut without cutting a character."""

from __future__ import annotations

_LONGEST_CHARACTER = 4
_CONTINUATION = 0b1000_0000


def character_start(data: bytes, at: int) -> int:
    """The nearest index at or before `at` that is not inside a character; `at` itself if the data is not UTF-8."""
    for back in range(min(_LONGEST_CHARACTER, at + 1)):
        if data[at - back] & 0b1100_0000 != _CONTINUATION:
            return at - back
    return at
