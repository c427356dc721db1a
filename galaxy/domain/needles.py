"""Finds many byte strings in a text at once."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from ahocorasick_rs import BytesAhoCorasick, MatchKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Needles are told apart by so many of their first bytes, if none is shorter.
_START_BYTES: Final = 8

#: Looked for are so many of their first bytes: of URLs, the first eight are in many a text.
_BEGINNING_BYTES: Final = 32


class Needles:
    """A set of needles. Looking for them takes time that grows with the text, and hardly with their number.

    A long needle that repeats itself is the exception, in a text that repeats it: it may begin at each place there.

    Attributes:
        longest: Length of the longest one; 0 if there are none.

    Args:
        needles: None is empty.
    """

    def __init__(self, needles: Iterable[bytes]) -> None:
        self._sorted = sorted(set(needles))
        by_length = sorted(self._sorted, key=len)
        self.longest = len(by_length[-1]) if by_length else 0
        self._start_bytes = min(_START_BYTES, len(by_length[0])) if by_length else 0
        groups = defaultdict(list)
        for needle in by_length:
            groups[self._start_of(needle)].append(needle)
        #: Finds beginnings; this kind is the quickest, and leaves out those that overlap one that it found.
        self._automaton = BytesAhoCorasick(
            {needle[:_BEGINNING_BYTES] for needle in by_length}, MatchKind.LeftmostFirst
        )
        #: By start: lengths of the needles that begin so, each once, rising.
        self._lengths = {start: sorted({*map(len, group)}) for start, group in groups.items()}
        #: By the beginning of a needle, of one of these lengths: length of the longest needle that it begins with.
        self._longest: dict[bytes, int] = {}
        for needle in by_length:
            self._learn(needle)

    def spans(self, text: bytes) -> list[tuple[int, int]]:
        """Where needles are: [start, end), in any order. Those inside of a longer one may be left out."""
        return [
            (at, at + length)
            for at, lengths in self._places(text)
            if (length := self._longest_at(text, at, lengths))
        ]

    def begun_at(self, text: bytes, at_least: int) -> int:
        """Where the text ends with so many bytes of the beginning of a needle, or more; its length if it does not."""
        for at in range(max(0, len(text) - self.longest), len(text) - at_least + 1):
            begun = text[at:]
            next_one = bisect_left(self._sorted, begun)
            if next_one < len(self._sorted) and self._sorted[next_one].startswith(begun):
                return at
        return len(text)

    def _start_of(self, needle: bytes) -> bytes:
        return needle[: self._start_bytes]

    def _learn(self, needle: bytes) -> None:
        """Shorter needles with the same start have to be known already."""
        longest = 0
        for length in self._lengths[self._start_of(needle)]:
            if length >= len(needle):
                break
            longest = self._longest.setdefault(needle[:length], longest)
        self._longest[needle] = len(needle)

    def _places(self, text: bytes) -> Iterator[tuple[int, list[int]]]:
        """Where a needle may begin, and how long those are that may.

        A beginning that the automaton leaves out begins inside one that it finds.
        """
        for _, start, end in self._automaton.find_matches_as_indexes(text):
            for at in range(start, end):
                if lengths := self._lengths.get(text[at : at + self._start_bytes]):
                    yield at, lengths

    def _longest_at(self, text: bytes, at: int, lengths: list[int]) -> int:
        """Length of the longest needle that begins here; 0 if none does."""
        longest, low, high = 0, 0, len(lengths)
        while low < high:  # what begins like a needle up to one length does so up to all shorter ones
            middle = (low + high) // 2
            known = self._longest.get(text[at : at + lengths[middle]])
            if known is None:
                high = middle
            else:
                longest, low = known, middle + 1
        return longest
