"""How the stories write to an app's log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from galaxy.adapters.log_writer import LogWriter
from galaxy.domain.log import LogBlock

if TYPE_CHECKING:
    from galaxy.adapters.log_stream import LogStream
    from galaxy.domain.models import VersionRef
    from galaxy.domain.redaction import Redactor


class Logbook:
    """Opens writers for attempts, and writes single sentences."""

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

    def say(self, ref: VersionRef, *sentences: str) -> None:
        """Writes sentences that belong to a version and to no attempt. They must hold no secret."""
        now_ms = int(time.time() * 1000)
        self._stream.append(ref.app, [LogBlock(text="\n".join(sentences), at_ms=now_ms, version=ref.number)])

    def cursor_now(self, app: str) -> str:
        """The cursor after everything that is in the app's log now."""
        return self._stream.cursor_now(app)
