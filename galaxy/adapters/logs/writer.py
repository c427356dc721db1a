"""The log as the holder of an attempt writes it."""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING, Self

import structlog

from galaxy.adapters.logs.sender import LogSender
from galaxy.domain.cancellation import never_cancelled
from galaxy.domain.errors import StoreError
from galaxy.domain.log import LogBlock, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from galaxy.adapters.logs.stream import LogStream
    from galaxy.domain.output.attempt_output import AttemptOutput
    from galaxy.domain.output.lines import Lines

logger: structlog.stdlib.BoundLogger = structlog.get_logger()


class LogWriter:
    """Writes sentences and the build container's output to the log of one attempt, in order.

    Calls return at once; only `output` waits while too much is undelivered. When Redis stays away for longer than
    `patience_s`, output is left out, and the log says how many lines that were. Sentences are never left out. May be
    used from several threads, and as a context manager that closes it. A failure to write the end is then only
    recorded in the worker's log, so whoever has to know calls `flush` before.

    Args:
        log: Where to write.
        app: Whose log it is.
        version: The version that is built.
        attempt: From 1.
        attempt_output: Knows the secrets of the version, and how much output is kept.
        patience_s: How long to wait for a Redis that is away before output is left out, and for the end of the log.
        now_ms: The clock, milliseconds since the epoch.
    """

    def __init__(  # noqa: PLR0913 - they say whose log it is and what is kept of it
        self,
        log: LogStream,
        *,
        app: str,
        version: int,
        attempt: int,
        attempt_output: AttemptOutput,
        patience_s: float,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._output = attempt_output
        self._now_ms = now_ms
        sentence = LogBlock(text="", at_ms=0, version=version, attempt=attempt)
        printed = {stream: sentence._replace(stream=stream) for stream in Stream}
        printed[Stream.STDERR] = printed[Stream.STDERR]._replace(error=True)
        self._sentence, self._printed = sentence, printed
        self._in_order = Lock()
        self._sender = LogSender(log, app, patience_s=patience_s)

    def say(self, sentence: str, *, error: bool = False) -> None:
        """Writes a sentence of our own, as it stands: values of the app's `env` are not hidden in it.

        Args:
            sentence: One or more lines. A text in it that others wrote goes through `redact` first.
            error: It tells of something that went wrong.
        """
        with self._in_order:
            self._say(sentence, error=error)

    def redact(self, foreign: str) -> str:
        """Hides secrets in a text that others wrote, so that a sentence can quote it."""
        return self._output.redact(foreign)

    def reason(self, error: Exception) -> str:
        """What an error says, fit to be shown and recorded; see `AttemptOutput.reason`."""
        return self._output.reason(error)

    def output(
        self, stream: Stream, chunk: bytes, check_cancelled: Callable[[], None] = never_cancelled
    ) -> None:
        """Writes what the build container printed, with secrets hidden. A line appears when it ends.

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
                    f"attempt prints, {self._output.max_bytes} bytes are kept, its beginning and its end."
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
            logger.warning("log.not_written", error=self.reason(failure))

    def _say(self, sentence: str, *, error: bool = False) -> None:
        text = self._output.own(sentence.rstrip("\n")).encode(errors="backslashreplace")
        self._sender.put(self._sentence._replace(at_ms=self._now_ms(), error=error), text)

    def _write(self, printed: Iterable[Lines]) -> None:
        for lines in printed:
            head = self._printed[lines.stream]
            head = head._replace(at_ms=self._now_ms(), continued=lines.continued)
            self._sender.put(head, lines.data, always=False)
