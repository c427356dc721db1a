"""Turns the bytes that a container prints into lines for its app's log."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from galaxy.domain.output.utf8 import character_start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from galaxy.domain.log import Stream
    from galaxy.domain.output.redaction import Redactor

#: Longer lines are passed on in pieces of this size, which bounds what is held of a line without an end.
#: A little less than 64 KiB, so that an entry with its fields fits into an allocation of that size in Redis.
MAX_PIECE_BYTES: Final = 63 * 1024

_CR_BEFORE_LF: Final = re.compile(rb"\r+\n")
_CR_RUN: Final = re.compile(rb"\r+")
_CR_AT_LINE_START: Final = re.compile(rb"(?<=\n)\r")


class Lines(NamedTuple):
    r"""Redacted output of one stream, at most `MAX_PIECE_BYTES` of it.

    Attributes:
        data: One or more lines with `\n` between them and none at the end; not necessarily UTF-8.
        continued: A piece of one line that goes on in the next lines of the stream.
    """

    stream: Stream
    data: bytes
    continued: bool = False


class LineAssembler:
    """Puts the lines of one stream together, however the bytes are cut into chunks.

    A line ends with LF, CR LF, or a CR on its own, as progress bars print it: what a terminal would overwrite
    stays readable, a line for each state. A CR with nothing before it on its line is dropped. Works on whole
    chunks, never byte by byte or line by line.
    """

    def __init__(self, stream: Stream, redactor: Redactor) -> None:
        self._stream = stream
        self._redactor = redactor
        self._partial = bytearray()
        self._held_cr = False
        self._begin_line()

    def feed(self, chunk: bytes) -> list[Lines]:
        """Takes the next bytes; returns the lines that are complete now, and pieces of a line that is too long."""
        if self._held_cr:
            chunk = b"\r" + chunk
        # CRs at the end wait: an LF may follow, and then they are one line end
        self._held_cr = chunk.endswith(b"\r")
        if self._held_cr:
            chunk = chunk.rstrip(b"\r")
        end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r")) + 1
        lines: list[Lines] = []
        if end:
            finished = bytes(self._partial) + chunk[:end] if self._partial else chunk[:end]
            self._partial = bytearray(chunk[end:])
            lines = self._finish(finished)
        else:
            self._partial += chunk
        if len(self._partial) >= MAX_PIECE_BYTES + self._redactor.longest:
            lines += self._pass_on_piece()
        return lines

    def flush(self) -> list[Lines]:
        """Returns what is left when the stream has ended. The last line may lack its line end."""
        rest = self.take_back().removesuffix(b"\r")
        return self._finish(rest + b"\n", cut_off=True) if rest or self._mid_line else []

    def take_back(self) -> bytes:
        """Removes and returns the bytes that this assembler holds back."""
        taken = bytes(self._partial) + b"\r" * self._held_cr
        self._partial.clear()
        self._held_cr = False
        return taken

    def skip_gap(self, covered: int) -> list[Lines]:
        """Begins a new line after a part of the stream that is left out, and ends the line before it.

        Args:
            covered: How many of the next bytes belong to a secret that begins in the part that is left out.
        """
        ended = [Lines(self._stream, b"")] if self._mid_line else []
        self._begin_line(covered)
        return ended

    def _begin_line(self, covered: int = 0) -> None:
        self._mid_line = False
        self._covered = covered

    def _finish(self, finished: bytes, *, cut_off: bool = False) -> list[Lines]:
        text = _with_lf(finished, mid_line=self._mid_line)
        if not text:
            return []
        text = self._redactor.redact(text[:-1], self._covered, cut_off=cut_off)
        self._begin_line()
        return [*_portions(self._stream, text)]

    def _pass_on_piece(self) -> list[Lines]:
        piece = self._redactor.redact_open(bytes(self._partial), self._covered)
        self._partial = bytearray(piece.rest)
        self._covered = piece.covered
        self._mid_line = True
        portions = _portions(self._stream, piece.passed) if piece.passed else ()
        return [portion._replace(continued=True) for portion in portions]


def _with_lf(text: bytes, *, mid_line: bool) -> bytes:
    """Replaces every line end by LF. `mid_line`: the text begins inside a line."""
    if b"\r" not in text:
        return text
    text = _CR_BEFORE_LF.sub(b"\n", text)
    text = _CR_RUN.sub(b"\r", text)
    text = _CR_AT_LINE_START.sub(b"", text)
    if not mid_line:
        text = text.removeprefix(b"\r")
    return text.replace(b"\r", b"\n")


def _portions(stream: Stream, data: bytes) -> Iterator[Lines]:
    """Cuts lines into portions of at most `MAX_PIECE_BYTES`, at line ends where there are any."""
    start = 0
    while len(data) - start > MAX_PIECE_BYTES:
        end = data.rfind(b"\n", start, start + MAX_PIECE_BYTES + 1)
        if end >= start:
            yield Lines(stream, data[start:end])
            start = end + 1
        else:
            end = character_start(data, start + MAX_PIECE_BYTES)
            yield Lines(stream, data[start:end], continued=True)
            start = end
    yield Lines(stream, data[start:] if start else data)
