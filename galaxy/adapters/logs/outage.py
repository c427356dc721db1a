"""An outage of the logs' Redis, as a log's sender sees it: how long it lasts, and which lines are lost to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from galaxy.domain.log import Stream

if TYPE_CHECKING:
    from galaxy.domain.errors import StoreError
    from galaxy.domain.log import LogBlock


class Outage:
    """Knows whether Redis is away, and counts the lines that are left out because of that.

    Args:
        buffer_bytes: How much waits for Redis at most; only the sentence about an omission needs it.

    Attributes:
        is_long: Nobody should wait for its end any more.
        error: The error of the last append; None if it succeeded.
    """

    def __init__(self, buffer_bytes: int) -> None:
        self.is_long = False
        self.error: StoreError | None = None
        self._buffer_bytes = buffer_bytes
        self._first: LogBlock | None = None
        self._lines = 0
        self._bytes = 0

    def append_failed(self, error: StoreError, *, is_long: bool) -> None:
        """A batch could not be delivered."""
        self.error, self.is_long = error, is_long

    def append_succeeded(self) -> None:
        """A batch was delivered."""
        self.error, self.is_long = None, False

    def leave_out(self, head: LogBlock, text: bytes) -> None:
        """Counts lines that are not written. A piece of a line that continues does not count as a line."""
        line_ends = text.count(b"\n") + (not head.continued)
        self._first = self._first or head
        self._lines += line_ends
        self._bytes += len(text) + (not head.continued)

    def omission(self) -> tuple[LogBlock, bytes] | None:
        """A sentence for the place at which lines are missing, and forgets them; None if no line is missing."""
        if self._first is None:
            return None
        head = self._first._replace(stream=Stream.STDOUT, error=True, continued=False)
        sentence = (
            f"Left out here: {self._lines} lines ({self._bytes} bytes). The log could not be written for a while, and"
            f" {self._buffer_bytes} bytes wait for it at most."
        )
        self._first, self._lines, self._bytes = None, 0, 0
        return head, sentence.encode()
