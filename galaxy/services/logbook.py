"""How the stories write to an app's log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from galaxy.adapters.log_stream import Batch
from galaxy.adapters.log_writer import LogWriter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from galaxy.adapters.log_stream import LogStream
    from galaxy.domain.announcement import Announcement
    from galaxy.domain.models import VersionRef
    from galaxy.domain.redaction import Redactor

#: Longer than a store may be away between the moment a log has an announcement and the moment the store forgets it.
_REMEMBERED_S: Final = 7 * 24 * 3600


class Logbook:
    """Opens writers for attempts, and writes announcements."""

    def __init__(self, stream: LogStream, *, attempt_max_bytes: int) -> None:
        self._stream = stream
        self._attempt_max_bytes = attempt_max_bytes

    def writer(self, ref: VersionRef, attempt: int, redactor: Redactor) -> LogWriter:
        """A writer for one attempt; see `LogWriter`."""
        return LogWriter(
            self._stream,
            app=ref.app,
            version=ref.number,
            attempt=attempt,
            redactor=redactor,
            max_output_bytes=self._attempt_max_bytes,
        )

    def announce(self, announcements: Iterable[Announcement]) -> None:
        """Writes what happened to versions, in this order; each once, however often it is called."""
        self._stream.append_each(
            (each.app, each.blocks(), Batch("announcements", each.number, remembered_s=_REMEMBERED_S))
            for each in announcements
        )

    def cursor_now(self, app: str) -> str:
        """The cursor after everything that is in the app's log now."""
        return self._stream.cursor_now(app)
