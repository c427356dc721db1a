"""What a log's writer knows of a Redis that is away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from galaxy.domain.log import Stream

if TYPE_CHECKING:
    from galaxy.domain.errors import StoreError
    from galaxy.domain.log import LogBlock


class Outage:
    """Whether Redis is away, and which lines are left out because of that.

    Args:
        buffer_bytes: What waits for Redis at most; it is only told.

    Attributes:
        is_long: Nobody should wait for its end any more.
        error: What Redis, or its absence, said last; None while it is there.
    """

    def __init__(self, buffer_bytes: int) -> None:
        self.is_long = False
        self.error: StoreError | None = None
        self._buffer_bytes = buffer_bytes
        self._first: LogBlock | None = None
        self._lines = 0
        self._bytes = 0

    def goes_on(self, error: StoreError, *, is_long: bool) -> None:
        """A batch could not be delivered."""
        self.error, self.is_long = error, is_long

    def ends(self) -> None:
        """A batch was delivered."""
        self.error, self.is_long = None, False

    def leave_out(self, head: LogBlock, text: bytes) -> None:
        """Counts lines that nobody will see. A piece of a line that goes on is no line yet."""
        line_ends = text.count(b"\n") + (not head.continued)
        self._first = self._first or head
        self._lines += line_ends
        self._bytes += len(text) + (not head.continued)

    def told(self) -> tuple[LogBlock, bytes] | None:
        """A sentence for the place at which lines are missing, once; None where none are."""
        if self._first is None:
            return None
        head = self._first._replace(stream=Stream.STDOUT, error=True, continued=False)
        sentence = (
            f"Left out here: {self._lines} lines ({self._bytes} bytes). The log could not be written for a while, and"
            f" {self._buffer_bytes} bytes wait for it at most."
        )
        self._first, self._lines, self._bytes = None, 0, 0
        return head, sentence.encode()
