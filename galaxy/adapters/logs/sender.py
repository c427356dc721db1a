"""Takes lines without delay and delivers them to a log in batches, through outages of Redis."""

from __future__ import annotations

import time
from collections import deque
from threading import Condition, Thread
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from galaxy.adapters.logs.entry import ENTRY_OVERHEAD_BYTES
from galaxy.adapters.logs.outage import Outage
from galaxy.domain.backoff import backoff_s
from galaxy.domain.errors import StoreError
from galaxy.domain.log import Batch
from galaxy.domain.output.lines import MAX_PIECE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from galaxy.adapters.logs.stream import LogStream
    from galaxy.domain.log import LogBlock

#: A line waits no longer than this for others to share a round trip; the first one after a pause does not.
FLUSH_AFTER_S: Final = 0.025

#: This much is sent without waiting, and is the size of an entry.
FLUSH_BYTES: Final = MAX_PIECE_BYTES

#: Sent in one round trip at most. Redis serves nobody else while it stores a batch.
_BATCH_BYTES: Final = 1024 * 1024

#: So much waits in memory; then whoever prints has to wait for a while, and with it the build container.
_BUFFER_BYTES: Final = 4 * 1024 * 1024

#: How often whoever waits asks whether to go on.
_ASK_EVERY_S: Final = 0.2

_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 1.0


class _Draft:
    """Lines that will be one block: more lines can still be added."""

    __slots__ = ("_head", "_parts", "size")

    def __init__(self, head: LogBlock, text: bytes) -> None:
        self._head = head
        self._parts = [text]
        self.size = len(text)

    def grows_by(self, head: LogBlock, text: bytes) -> bool:
        """Takes more lines of the same kind and time, if they fit."""
        late = head.at_ms - self._head.at_ms > FLUSH_AFTER_S * 1000
        if late or head._replace(at_ms=self._head.at_ms) != self._head or head.continued:
            return False
        if self.size + len(text) >= FLUSH_BYTES:
            return False
        self._parts.append(text)
        self.size += len(text) + 1
        return True

    def lines(self) -> int:
        """How many there are."""
        return sum(part.count(b"\n") + 1 for part in self._parts)

    def block(self) -> LogBlock:
        r"""Bytes that are no UTF-8 become `\xNN` here."""
        return self._head._replace(text=b"\n".join(self._parts).decode(errors="backslashreplace"))


class LogSender:
    """Delivers the blocks of one writer, in order and once, from a thread of its own.

    While Redis is away, blocks wait in memory. When that is full, whoever prints waits for `patience_s`. After that,
    output is left out and counted, and a sentence in the log says how much is missing. So a build survives an outage
    of the logs.

    Args:
        log: Where to deliver.
        app: Whose log it is.
        patience_s: How long whoever prints waits, and how long to try to write the end of a log.
    """

    def __init__(self, log: LogStream, app: str, *, patience_s: float) -> None:
        self._log = log
        self._app = app
        self._patience_s = patience_s
        self._writer = uuid4().hex
        self._batches = 0
        self._drafts: deque[_Draft] = deque()
        self._size = 0
        self._sending: list[_Draft] = []
        self._flushing = False
        self._closing = False
        self._abandoned = False
        self._failure: StoreError | None = None
        self._outage = Outage(_BUFFER_BYTES)
        self._changed = Condition()
        self._thread = Thread(target=self._run, name=f"log of {app}", daemon=True)
        self._thread.start()

    def put(self, head: LogBlock, text: bytes, *, always: bool = True) -> None:
        r"""Takes lines with `\n` between them. Never waits; callers that may wait call `wait_for_room` afterwards.

        Args:
            head: Everything about the lines but their text.
            text: Not necessarily UTF-8.
            always: Keep them in a long outage too.

        Raises:
            StoreError: An earlier `flush` or `close` failed.
        """
        with self._changed:
            if self._failure:
                raise self._failure
            if self._abandoned:
                return
            if self._closing:
                raise ValueError("The log writer is closed.")
            if not always and self._outage.is_long and self._size >= _BUFFER_BYTES:
                self._outage.leave_out(head, text)
                return
            self._note_omission()
            before = self._size
            self._take(head, text)
            if not before or before < FLUSH_BYTES <= self._size:
                self._changed.notify_all()

    def wait_for_room(self, check_cancelled: Callable[[], None]) -> None:
        """Waits while too much is undelivered, but not in a long outage.

        Args:
            check_cancelled: Asked several times a second; what it raises ends the waiting, and nothing else.
        """
        while not self._waited_for(self._has_room, _ASK_EVERY_S):
            check_cancelled()

    def flush(self, check_cancelled: Callable[[], None]) -> None:
        """Waits until all that was put is in the log.

        Args:
            check_cancelled: As for `wait_for_room`.

        Raises:
            StoreError: It could not be delivered within `patience_s`.
        """
        give_up_at = time.monotonic() + self._patience_s
        with self._changed:
            self._note_omission()
            self._flushing = True
            self._changed.notify_all()
        try:
            while not self._waited_for(self._is_delivered, min(_ASK_EVERY_S, give_up_at - time.monotonic())):
                check_cancelled()
                if time.monotonic() >= give_up_at:
                    self._fail_unless_delivered()
        finally:
            self._flushing = False
        if self._failure:
            raise self._failure

    def close(self) -> None:
        """Delivers what is left and ends the thread.

        Raises:
            StoreError: It could not be delivered within `patience_s`.
        """
        with self._changed:
            self._note_omission()
            self._closing = True
            self._changed.notify_all()
        self._thread.join(self._patience_s)
        self._fail_unless_delivered()
        if self._failure:
            raise self._failure

    def abandon(self) -> None:
        """Throws away what is undelivered. A batch that is on its way may still arrive; none is begun."""
        with self._changed:
            self._abandoned = True
            self._forget()

    def _waited_for(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(condition, max(0.0, timeout_s))

    def _has_room(self) -> bool:
        return self._size < _BUFFER_BYTES or self._outage.is_long or self._over

    def _is_delivered(self) -> bool:
        return not (self._drafts or self._sending) or self._over

    def _take(self, head: LogBlock, text: bytes) -> None:
        if self._drafts and self._drafts[-1].grows_by(head, text):
            self._size += len(text) + 1
        else:
            self._drafts.append(_Draft(head, text))
            self._size += len(text) + ENTRY_OVERHEAD_BYTES

    def _note_omission(self) -> None:
        if not self._over and (note := self._outage.omission()):
            self._take(*note)

    def _fail_unless_delivered(self) -> None:
        with self._changed:
            if self._is_delivered():
                return
            lines = sum(draft.lines() for draft in (*self._sending, *self._drafts))
            cause = self._outage.error
            why = f" {cause}" if cause else ""
            missing = f"up to {lines} lines are missing.{why}"
            self._failure = StoreError(
                f"The end of the log of {self._app} could not be written in time: {missing}",
                quotes=_quoted(cause) if cause else (),
            )
            self._forget()

    @property
    def _over(self) -> bool:
        return self._abandoned or self._failure is not None

    def _forget(self) -> None:
        self._drafts.clear()
        self._size = 0
        self._changed.notify_all()

    def _fail(self, error: StoreError) -> None:
        with self._changed:
            self._failure = self._failure or error
            self._forget()

    def _run(self) -> None:
        try:
            while blocks := self._next_batch():
                self._deliver(blocks)
                with self._changed:
                    self._sending = []
                    self._changed.notify_all()
        except BaseException as error:
            # without this, whoever prints would wait for ever
            self._fail(StoreError(f"The log of {self._app} can't be written: {error}.", quotes=[str(error)]))
            raise

    def _next_batch(self) -> list[LogBlock]:
        """Waits for something to send; nothing when there is no more to come."""
        sent_at = time.monotonic()
        with self._changed:
            self._changed.wait_for(lambda: self._drafts or self._closing or self._over)
            pause = sent_at + FLUSH_AFTER_S - time.monotonic()
            self._changed.wait_for(
                lambda: self._size >= FLUSH_BYTES or self._flushing or self._closing or self._over,
                timeout=max(0.0, pause),
            )
            size = 0
            while self._drafts and size < _BATCH_BYTES:
                draft = self._drafts.popleft()
                size += draft.size + ENTRY_OVERHEAD_BYTES
                self._sending.append(draft)
            self._size -= size
            self._changed.notify_all()
        return [draft.block() for draft in self._sending]

    def _deliver(self, blocks: list[LogBlock]) -> None:
        self._batches += 1
        batch = Batch(self._writer, self._batches)
        began, failures = time.monotonic(), 0
        while not self._over:
            try:
                self._log.append(self._app, blocks, batch)
            except StoreError as error:
                failures += 1
                pause_s = backoff_s(failures, first_s=_FIRST_PAUSE_S, longest_s=_LONGEST_PAUSE_S)
                with self._changed:
                    self._outage.append_failed(error, is_long=time.monotonic() - began >= self._patience_s)
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: self._over, timeout=pause_s)
            else:
                with self._changed:
                    self._outage.append_succeeded()
                return


def _quoted(error: StoreError) -> Collection[str]:
    """What others wrote in an error's text; all of it, if that is not known."""
    return [str(error)] if error.quotes is None else error.quotes
