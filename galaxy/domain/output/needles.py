"""Searches a text for many byte strings (needles) at once."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

from ahocorasick_rs import BytesAhoCorasick, MatchKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Needles are told apart by so many of their first bytes, if none is shorter.
_START_BYTES: Final = 8

#: Looked for are so many of their first bytes: of URLs, the first eight are in many a text.
_BEGINNING_BYTES: Final = 32


class _Group(NamedTuple):
    """Needles with the same start: their indexes, [first, end), and the length of the longest."""

    first: int
    end: int
    longest: int


class Needles:
    """A set of byte strings to search for. The time grows with the text, and hardly with the number of needles.

    Only a long needle that repeats itself, in a text that repeats it, takes longer: it may begin at each byte there.

    Attributes:
        longest: Length of the longest one; 0 if there are none.

    Args:
        needles: Byte strings that are not empty.
    """

    def __init__(self, needles: Iterable[bytes]) -> None:
        self._sorted = sorted(set(needles))
        lengths = [len(needle) for needle in self._sorted]
        self.longest = max(lengths, default=0)
        self._start_bytes = min(_START_BYTES, *lengths) if lengths else 0
        #: Finds beginnings; this kind is the quickest, and leaves out those that overlap one that it found.
        self._automaton = BytesAhoCorasick(
            {needle[:_BEGINNING_BYTES] for needle in self._sorted}, MatchKind.LeftmostFirst
        )
        #: By their start.
        self._groups: dict[bytes, _Group] = {}
        #: By index of a needle that begins with others: their lengths and its own, rising.
        self._nested: dict[int, tuple[int, ...]] = {}
        self._learn()

    def spans(self, text: bytes) -> list[tuple[int, int]]:
        """Spans [start, end) of needles in the text, in any order. A needle inside a longer one may be left out."""
        return [
            (at, at + length)
            for at, group in self._places(text)
            if (length := self._longest_at(text, at, group))
        ]

    def begun_at(self, text: bytes, at_least: int) -> int:
        """Index at which the text's end begins a needle, of which at least `at_least` bytes are there.

        The text's length if it does not end so.
        """
        for at in range(max(0, len(text) - self.longest), len(text) - at_least + 1):
            begun = text[at:]
            next_one = bisect_left(self._sorted, begun)
            if next_one < len(self._sorted) and self._sorted[next_one].startswith(begun):
                return at
        return len(text)

    def _learn(self) -> None:
        begun: list[int] = []  # needles that each begin with the one before, and the needle with all of them
        for index, needle in enumerate(self._sorted):
            while begun and not needle.startswith(self._sorted[begun[-1]]):
                begun.pop()
            if begun:
                self._nested[index] = (*self._lengths(begun[-1]), len(needle))
            begun.append(index)
            start = needle[: self._start_bytes]
            group = self._groups.get(start, _Group(index, index, 0))
            self._groups[start] = _Group(group.first, index + 1, max(group.longest, len(needle)))

    def _lengths(self, index: int) -> tuple[int, ...]:
        return self._nested.get(index) or (len(self._sorted[index]),)

    def _places(self, text: bytes) -> Iterator[tuple[int, _Group]]:
        """Indexes at which a needle may begin, each with the group of needles that begin so.

        A beginning that the automaton leaves out begins inside one that it finds.
        """
        for _, start, end in self._automaton.find_matches_as_indexes(text):
            for at in range(start, end):
                if group := self._groups.get(text[at : at + self._start_bytes]):
                    yield at, group

    def _longest_at(self, text: bytes, at: int, group: _Group) -> int:
        """Length of the longest needle that begins at this index; 0 if none does."""
        here = text[at : at + group.longest]
        index = bisect_right(self._sorted, here, group.first, group.end) - 1
        if index < group.first:
            return 0
        # whichever needle begins here, this one begins with it, because it stands between the two
        needle, lengths = self._sorted[index], self._lengths(index)
        fitting = bisect_left(lengths, True, key=lambda length: here[:length] != needle[:length])
        return lengths[fitting - 1] if fitting else 0
