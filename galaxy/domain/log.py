"""Lines of an app's log, and blocks of lines as they are written and kept.

Plain tuples, because a log has a million of them: what is read back was written by us and needs no check.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The cursor from which a log is read from its beginning.
START: Final = "0-0"


class Source(StrEnum):
    """Who wrote a line."""

    SERVICE = "service"
    """The pipeline, and what the build containers printed."""
    APP = "app"
    """The app's running containers."""


class Stream(StrEnum):
    """Which stream a line was printed on; the pipeline's own sentences are on stdout."""

    STDOUT = "stdout"
    STDERR = "stderr"


class LogLine(NamedTuple):
    """One line as it is read back; see `LogBlock` for the fields.

    Attributes:
        text: As it was printed, control characters included: make it harmless before showing it.
        continued: The line goes on in the next one of the same stream and attempt: it was too long for one.
    """

    at_ms: int
    source: Source
    stream: Stream
    version: int | None
    attempt: int | None
    error: bool
    text: str
    continued: bool = False


class LogBlock(NamedTuple):
    r"""Consecutive lines that share everything but their text.

    Attributes:
        text: One or more lines with `\n` between them and none at the end.
        at_ms: When the first of them was read, milliseconds since the epoch.
        version: The version they belong to; None for lines about the app as a whole.
        attempt: The attempt they belong to, from 1; None outside the build stage.
        error: What was printed on stderr, and sentences about a failure.
        continued: The text is a piece of one line that goes on in the next block of the stream.
    """

    text: str
    at_ms: int
    source: Source = Source.SERVICE
    stream: Stream = Stream.STDOUT
    version: int | None = None
    attempt: int | None = None
    error: bool = False
    continued: bool = False

    def lines(self) -> Iterator[LogLine]:
        """The lines one by one."""
        for text in self.text.split("\n"):
            yield LogLine(
                self.at_ms,
                self.source,
                self.stream,
                self.version,
                self.attempt,
                self.error,
                text,
                self.continued,
            )


class LogFilter(NamedTuple):
    """Which lines a reader wants. None and False mean: all.

    Attributes:
        errors: Only what was printed on stderr and sentences about a failure.
    """

    version: int | None = None
    source: Source | None = None
    errors: bool = False

    def admits(self, block: LogBlock) -> bool:
        """Whether the reader wants this block's lines."""
        if self.version is not None and block.version != self.version:
            return False
        if self.source is not None and block.source is not self.source:
            return False
        return block.error or not self.errors


class LogPage(NamedTuple):
    """Some lines, oldest first, and the cursor from which reading goes on without a gap."""

    lines: list[LogLine]
    cursor: str


#: Every line.
EVERYTHING = LogFilter()


class Batch(NamedTuple):
    """Names one append: appending the same batch again changes nothing.

    Attributes:
        number: Rises with each batch of the writer, from 1.
        remembered_s: How long a repeated batch is recognised; by default longer than any writer tries.
    """

    writer: str
    number: int
    remembered_s: int = 3600
