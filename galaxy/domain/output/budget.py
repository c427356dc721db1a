"""Bounds the output that is kept of an attempt: of too much output, only the beginning and the end are kept."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from galaxy.domain.log import Stream
from galaxy.domain.output.lines import LineAssembler, Lines

if TYPE_CHECKING:
    from galaxy.domain.output.redaction import Redactor

_CHUNK_BYTES: Final = 64 * 1024

#: What holding a chunk costs besides its bytes, so that a script that prints single bytes is bounded as well.
_CHUNK_OVERHEAD_BYTES: Final = 256


class LeftOut(NamedTuple):
    """How much was printed between the beginning and the end that are kept."""

    lines: int
    bytes: int


class Ending(NamedTuple):
    """The rest of the output, after the lines that `feed` returned.

    Attributes:
        before: The lines that stand before the gap, if there is one.
        left_out: How large the gap is; None when everything is kept.
        after: The lines after the gap.
    """

    before: list[Lines]
    left_out: LeftOut | None
    after: list[Lines]


class BoundedOutput:
    """The output of one attempt's build container, both streams, from bytes to redacted lines.

    The first three quarters of `max_bytes` are returned as they are printed, and the last quarter is held until the
    end. What is between them is only counted, so memory does not grow with it.

    Args:
        redactor: Hides secrets in the lines.
        max_bytes: Limit for both streams together, counted in the bytes that the container prints.
    """

    def __init__(self, redactor: Redactor, max_bytes: int) -> None:
        self._assemblers = {stream: LineAssembler(stream, redactor) for stream in Stream}
        self._head_left = max_bytes * 3 // 4
        self._tail = _Tail(max_bytes - self._head_left, redactor)
        self._full = False

    def feed(self, stream: Stream, chunk: bytes) -> list[Lines]:
        """Takes the next bytes of a stream; returns the lines that are ready."""
        if self._full:
            self._tail.add(stream, chunk)
            return []
        if len(chunk) <= self._head_left:
            self._head_left -= len(chunk)
            return self._assemblers[stream].feed(chunk)
        self._full = True
        end = chunk.rfind(b"\n", 0, self._head_left) + 1
        lines = self._assemblers[stream].feed(chunk[:end])
        for other, assembler in self._assemblers.items():
            if held := assembler.take_back():
                self._tail.add_whole(other, held)
        self._tail.add(stream, chunk[end:])
        return lines

    def end(self) -> Ending:
        """Returns the rest when both streams have ended. More may be fed afterwards, within the limit."""
        kept = self._tail.take()
        before: list[Lines] = []
        for stream, covered in kept.torn.items():
            before += self._assemblers[stream].skip_gap(covered)
        after = [lines for stream, chunk in kept.chunks for lines in self._assemblers[stream].feed(chunk)]
        for assembler in self._assemblers.values():
            after += assembler.flush()
        return Ending(before, kept.left_out, after)


class _Kept(NamedTuple):
    """The end of the output, which is kept.

    Attributes:
        chunks: In the order in which they were printed.
        left_out: How much is missing before them; None if nothing is.
        torn: The streams of which bytes are missing, each with how many of its first kept bytes belong to a secret
            that begins in the missing ones.
    """

    chunks: list[tuple[Stream, bytes]]
    left_out: LeftOut | None
    torn: dict[Stream, int]


class _Tail:
    """The last bytes of two interleaved streams, and how much went before them."""

    def __init__(self, max_bytes: int, redactor: Redactor) -> None:
        self._max_bytes = max_bytes
        self._redactor = redactor
        self._reset()

    def _reset(self) -> None:
        self._chunks: deque[tuple[Stream, bytearray]] = deque()
        self._size = 0
        self._lines_left_out = 0
        self._bytes_left_out = 0
        #: The last dropped bytes of each torn stream: a secret may begin in them and end in what is kept.
        self._dropped: dict[Stream, bytearray] = {}

    def add(self, stream: Stream, data: bytes) -> None:
        for start in range(0, len(data), _CHUNK_BYTES):
            self.add_whole(stream, data[start : start + _CHUNK_BYTES])

    def add_whole(self, stream: Stream, data: bytes) -> None:
        """Adds data that is kept or dropped as a whole: it may hold the rest of a secret that is masked already."""
        self._add_chunk(stream, data)
        while self._size > self._max_bytes:
            self._drop_oldest()

    def take(self) -> _Kept:
        """Returns what is kept and empties the tail."""
        torn = {stream: self._drop_torn_line(stream, bytes(last)) for stream, last in self._dropped.items()}
        chunks = [(stream, bytes(chunk)) for stream, chunk in self._chunks]
        left_out = LeftOut(self._lines_left_out, self._bytes_left_out) if torn else None
        self._reset()
        return _Kept(chunks, left_out, torn)

    def _add_chunk(self, stream: Stream, data: bytes) -> None:
        if self._chunks:
            newest_stream, newest = self._chunks[-1]
            if newest_stream is stream and len(newest) + len(data) <= _CHUNK_BYTES:
                newest += data
                self._size += len(data)
                return
        self._chunks.append((stream, bytearray(data)))
        self._size += len(data) + _CHUNK_OVERHEAD_BYTES

    def _drop_oldest(self) -> None:
        stream, chunk = self._chunks.popleft()
        self._size -= len(chunk) + _CHUNK_OVERHEAD_BYTES
        self._count(chunk)
        last = self._dropped.setdefault(stream, bytearray())
        last += chunk
        del last[: max(0, len(last) - self._redactor.longest_shown)]

    def _count(self, dropped: bytearray) -> None:
        self._lines_left_out += dropped.count(b"\n")
        self._bytes_left_out += len(dropped)

    def _drop_torn_line(self, stream: Stream, dropped: bytes) -> int:
        """Drops the rest of a line whose beginning was dropped, if it ends soon.

        Returns how many of the first bytes that stay belong to a secret that begins in the dropped ones.
        """
        first = self._first_bytes(stream, max(_CHUNK_BYTES, self._redactor.longest_shown))
        if line_end := first.find(b"\n") + 1:
            self._drop_bytes(stream, line_end)
            return 0
        return self._redactor.reach(dropped, first)

    def _first_bytes(self, stream: Stream, at_least: int) -> bytes:
        """The first kept bytes of a stream: `at_least` of them, or all if there are fewer."""
        first = bytearray()
        for of, chunk in self._chunks:
            if of is stream and len(first) < at_least:
                first += chunk
        return bytes(first)

    def _drop_bytes(self, stream: Stream, count: int) -> None:
        for of, chunk in self._chunks:
            if of is stream and count:
                dropped = chunk[:count]
                self._count(dropped)
                del chunk[:count]
                count -= len(dropped)
