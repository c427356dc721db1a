"""The log as the holder of an attempt writes it."""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING, Final, Self

import structlog

from galaxy.adapters.logs.sender import LogSender
from galaxy.domain.cancellation import never_cancelled
from galaxy.domain.errors import StoreError
from galaxy.domain.log import LogBlock, Stream
from galaxy.domain.output.budget import Output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from galaxy.adapters.logs.stream import LogStream
    from galaxy.domain.output.lines import Lines
    from galaxy.domain.output.redaction import Redactor

logger: structlog.stdlib.BoundLogger = structlog.get_logger()

#: How long a build waits for a Redis that is away before it leaves lines out, and for the end of its log.
PATIENCE_S: Final = 30.0


class LogWriter:
    """Writes sentences and the build container's output to the log of one attempt, in order.

    Everything is redacted. Calls return at once; only `output` waits while too much is undelivered, and when Redis
    stays away for longer than `patience_s`, what is printed is left out, and the log says how many lines that were.
    What the pipeline says never is. May be used from several threads, and as a context manager that closes it: what
    can't be written then is told to the worker's log, so whoever has to know calls `flush` before.

    Args:
        log: Where to.
        app: Whose log.
        version: Its version that is built.
        attempt: From 1.
        redactor: Knows the secrets of the version.
        patience_s: How long a Redis that is away is waited for.
        max_output_bytes: How much output is kept: all of it below, its beginning and its end above.
        now_ms: The clock, milliseconds since the epoch.
    """

    def __init__(  # noqa: PLR0913 - they say whose log it is and how much may be in it
        self,
        log: LogStream,
        *,
        app: str,
        version: int,
        attempt: int,
        redactor: Redactor,
        max_output_bytes: int,
        patience_s: float = PATIENCE_S,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._redactor = redactor
        self._max_output_bytes = max_output_bytes
        self._output = Output(redactor, max_output_bytes)
        self._now_ms = now_ms
        sentence = LogBlock(text="", at_ms=0, version=version, attempt=attempt)
        printed = {stream: sentence._replace(stream=stream) for stream in Stream}
        printed[Stream.STDERR] = printed[Stream.STDERR]._replace(error=True)
        self._sentence, self._printed = sentence, printed
        self._in_order = Lock()
        self._sender = LogSender(log, app, patience_s=patience_s)

    def say(self, sentence: str, *, error: bool = False) -> None:
        """Writes what the pipeline has to tell.

        Args:
            sentence: One or more lines.
            error: It tells of something that went wrong.
        """
        with self._in_order:
            self._say(sentence, error=error)

    def output(
        self, stream: Stream, chunk: bytes, check_cancelled: Callable[[], None] = never_cancelled
    ) -> None:
        """Writes what the build container printed. A line appears when it ends.

        Args:
            stream: Where it was printed.
            chunk: Any bytes, cut anywhere.
            check_cancelled: Called several times a second while too much is undelivered. When it raises, so does
                this; the chunk was taken nevertheless.
        """
        with self._in_order:
            self._write(self._output.feed(stream, chunk))
        self._sender.wait_for_room(check_cancelled)

    def end_output(self) -> None:
        """Writes what is left of the output: lines without an end, the end of output that was too much."""
        with self._in_order:
            ending = self._output.end()
            self._write(ending.before)
            if ending.left_out:
                self._say(
                    f"Left out here: {ending.left_out.lines} lines ({ending.left_out.bytes} bytes). Of what an "
                    f"attempt prints, {self._max_output_bytes} bytes are kept, its beginning and its end."
                )
            self._write(ending.after)

    def flush(self, check_cancelled: Callable[[], None] = never_cancelled) -> None:
        """Waits until all that was said and printed is in the log; lines without an end are ended.

        Args:
            check_cancelled: Asked several times a second; when it raises, so does this.

        Raises:
            StoreError: It could not be written.
        """
        self.end_output()
        self._sender.flush(check_cancelled)

    def close(self) -> None:
        """Writes what is left, and waits until all of it is in the log.

        Raises:
            StoreError: It could not be written.
        """
        self.end_output()
        self._sender.close()

    def abandon(self) -> None:
        """Writes nothing any more, for whoever lost its lease. Later calls do nothing."""
        self._sender.abandon()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except StoreError as failure:  # why the block ended matters more
            logger.warning("log.not_written", error=str(failure))

    def _say(self, sentence: str, *, error: bool = False) -> None:
        text = self._redactor.redact(sentence.rstrip("\n").encode(errors="backslashreplace"))
        self._sender.put(self._sentence._replace(at_ms=self._now_ms(), error=error), text)

    def _write(self, printed: Iterable[Lines]) -> None:
        for lines in printed:
            head = self._printed[lines.stream]
            head = head._replace(at_ms=self._now_ms(), continued=lines.continued)
            self._sender.put(head, lines.data, always=False)
