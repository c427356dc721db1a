"""Hides secrets in the quoted parts of a message, and leaves the words around them alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection


def redact_quotations(message: str, quotes: Collection[str], redact: Callable[[str], str]) -> str:
    """Applies `redact` to each place where a quotation stands; overlapping ones count as one.

    If a quotation does not stand in the message, nobody knows which part of it is foreign: all of it is redacted.
    """
    spans: list[tuple[int, int]] = []
    for quote in filter(None, quotes):
        found = _places(message, quote)
        if not found:
            return redact(message)
        spans += found
    parts: list[str] = []
    at = 0
    for start, end in _merged(spans):
        parts += message[at:start], redact(message[start:end])
        at = end
    return "".join([*parts, message[at:]])


def _places(message: str, quote: str) -> list[tuple[int, int]]:
    """Where it stands: [start, end)."""
    starts: list[int] = []
    at = message.find(quote)
    while at >= 0:
        starts.append(at)
        at = message.find(quote, at + 1)
    return [(start, start + len(quote)) for start in starts]


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
