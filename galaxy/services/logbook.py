"""How the stories write to an app's log."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from galaxy.domain.errors import StoreError
from galaxy.domain.log import Batch
from galaxy.domain.output.attempt_output import AttemptOutput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from galaxy.adapters.logs.stream import LogStream
    from galaxy.adapters.logs.writer import LogWriter
    from galaxy.domain.announcement import Announcement
    from galaxy.domain.models import Attempt

#: How long a build waits for a Redis that is away before it leaves output out, and for the end of its log.
PATIENCE_S: Final = 30.0
#: Longer than a store may be away between the moment a log has an announcement and the moment the store forgets it.
_REMEMBERED_S: Final = 7 * 24 * 3600
#: How long logs that were away are left alone by those who can do without them.
_LEFT_ALONE_S: Final = 10.0


class Logbook:
    """Opens writers for attempts, and writes announcements.

    Announcements and cursors are small parts of other work, so they fail at once for some seconds after this process
    found the logs away. A writer waits: what it can't write is lost.

    Args:
        stream: Where logs are kept.
        writer: Makes the writers.
        attempt_max_bytes: How much output of one attempt is kept.
        patience_s: How long a writer waits for a Redis that is away.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        stream: LogStream,
        writer: type[LogWriter],
        *,
        attempt_max_bytes: int,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._writer = writer
        self._attempt_max_bytes = attempt_max_bytes
        self._patience_s = patience_s
        self._clock = clock
        self._left_alone_until = clock()

    def writer(self, attempt: Attempt) -> LogWriter:
        """A writer for one attempt, which knows its secrets; see `LogWriter`."""
        return self._writer(
            self._stream,
            app=attempt.app,
            version=attempt.version,
            attempt=attempt.number,
            attempt_output=AttemptOutput(
                app=attempt.app,
                bundle_url=attempt.bundle_url,
                env=attempt.env,
                max_bytes=self._attempt_max_bytes,
            ),
            patience_s=self._patience_s,
        )

    def announce(self, announcements: Iterable[Announcement]) -> None:
        """Writes what happened to versions, in this order; each once, however often it is called.

        Raises:
            StoreError: It could not be written, or was not tried.
        """
        with self._unless_away():
            self._stream.append_each(
                (each.app, each.blocks(), Batch("announcements", each.number, remembered_s=_REMEMBERED_S))
                for each in announcements
            )

    def cursor_now(self, app: str) -> str:
        """The cursor after everything that is in the app's log now.

        Raises:
            StoreError: It could not be read, or was not tried.
        """
        with self._unless_away():
            return self._stream.cursor_now(app)

    @contextmanager
    def _unless_away(self) -> Iterator[None]:
        if self._clock() < self._left_alone_until:
            raise StoreError(f"The logs were away less than {_LEFT_ALONE_S:g} s ago and are not asked yet.")
        try:
            yield
        except StoreError as error:
            if error.away:
                self._left_alone_until = self._clock() + _LEFT_ALONE_S
            raise
