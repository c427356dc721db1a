"""The apps' logs: one Redis stream each, several lines to an entry."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast
from uuid import uuid4

from galaxy.adapters.logs.entry import ARGUMENTS_PER_ENTRY, ENTRY_OVERHEAD_BYTES, from_fields, to_arguments
from galaxy.adapters.redis_errors import translated
from galaxy.adapters.store.scripts import RedisScripts, Script
from galaxy.domain.errors import StoreError
from galaxy.domain.log import EVERYTHING, START, Batch, LogBlock, LogFilter, LogLine, LogPage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from redis import Redis

    from galaxy.adapters.store.keys import Keys
    from galaxy.adapters.store.scripts import Argument, ScriptCall

_APPEND: Final = Script(
    "append",
    ("log", "size", "writer"),
    ("batch", "remembered_ms", "retention_ms", "max_bytes", "overhead", "per_entry"),
    rest="entries",
    package="galaxy.adapters.logs",
)

#: Entries fetched in one round trip; each has up to 63 KiB.
_PAGE_ENTRIES: Final = 32

#: How long `follow` waits for a Redis that went away, and how often it looks.
_FOLLOW_PATIENCE_S: Final = 30.0
_FOLLOW_PAUSE_S: Final = 0.2


class _Entry(NamedTuple):
    id: str
    block: LogBlock


class LogStream:
    """Writes and reads the logs of all apps. All methods raise `StoreError` when Redis can't do its part.

    Args:
        redis: Client of the logs' database, without `decode_responses`. Its `socket_timeout` has to be longer
            than the `block_ms` given to `follow`.
        keys: Names of the keys.
        retention_s: How long lines are kept.
        max_bytes: Size of an app's log in Redis's memory; the oldest lines go first.
    """

    def __init__(self, redis: Redis, keys: Keys, *, retention_s: int, max_bytes: int) -> None:
        self._redis = redis
        self._keys = keys
        self._retention_ms = retention_s * 1000
        self._max_bytes = max_bytes
        self._scripts = RedisScripts(redis, _translated)

    def append(self, app: str, blocks: Sequence[LogBlock], batch: Batch | None = None) -> str:
        """Appends blocks in one atomic round trip and trims the log.

        A batch that is appended again, because nobody knew whether it arrived, changes nothing.

        Returns:
            The cursor after the newest entry.
        """
        newest: bytes = self._scripts.run(_APPEND, self._call(app, blocks, batch or Batch(uuid4().hex, 1)))
        return newest.decode()

    def append_each(self, batches: Iterable[tuple[str, Sequence[LogBlock], Batch]]) -> None:
        """Appends blocks to the logs of apps, in few round trips; each batch as `append` does it."""
        self._scripts.run_each(_APPEND, (self._call(*each) for each in batches))

    def read(self, app: str, after: str = START, limit: int = 1000, only: LogFilter = EVERYTHING) -> LogPage:
        """Reads on after a cursor. No lines and the same cursor: that was the end, for now.

        Reading stops with the entry that reaches `limit` lines, so there can be more.
        """
        lines: list[LogLine] = []
        cursor = after
        while len(lines) < limit:
            entries = self._range(app, f"({cursor}", "+")
            for entry in entries:
                cursor = entry.id
                if only.admits(entry.block):
                    lines += entry.block.lines()
                if len(lines) >= limit:
                    break
            if len(entries) < _PAGE_ENTRIES:
                break
        return LogPage(lines, cursor)

    def pages(self, app: str, after: str = START, only: LogFilter = EVERYTHING) -> Iterator[LogPage]:
        """Reads from a cursor to the end of the log, page by page. The last page has the cursor to follow."""
        while True:
            page = self.read(app, after, only=only)
            yield page
            if page.cursor == after:
                return
            after = page.cursor

    def tail(
        self, app: str, count: int, only: LogFilter = EVERYTHING, *, since_ms: int | None = None
    ) -> LogPage:
        """The last `count` lines that the filter admits, found by reading backwards.

        Looks no further back than `since_ms`, in milliseconds since the epoch.
        """
        found: list[list[LogLine]] = []
        missing = count
        cursor: str | None = None
        newest, oldest = "+", "-" if since_ms is None else str(since_ms)
        while True:
            entries = self._range(app, oldest, newest, backwards=True)
            cursor = cursor or (entries[0].id if entries else None)
            for entry in entries:
                if missing > 0 and only.admits(entry.block):
                    lines = [*entry.block.lines()][-missing:]
                    found.append(lines)
                    missing -= len(lines)
            if missing <= 0 or len(entries) < _PAGE_ENTRIES:
                break
            newest = f"({entries[-1].id}"
        return LogPage([line for lines in reversed(found) for line in lines], cursor or START)

    def since(self, at_ms: int) -> str:
        """The cursor from which everything written at or after a time is read."""
        return f"{at_ms - 1}-{2**64 - 1}"

    def cursor_now(self, app: str) -> str:
        """The cursor after everything that is in the log now."""
        entries = self._range(app, "-", "+", backwards=True, count=1)
        return entries[0].id if entries else START

    def follow(
        self, app: str, after: str, only: LogFilter = EVERYTHING, *, block_ms: int = 1000
    ) -> Iterator[LogPage]:
        """Yields what is written from a cursor on, as it comes, without end.

        Also yields a page without lines about every `block_ms`, so that the caller can look at other things.
        A Redis that goes away is waited for, up to half a minute.
        """
        while True:
            entries = self._wait_for_entries(app, after, block_ms)
            lines = [line for entry in entries if only.admits(entry.block) for line in entry.block.lines()]
            after = entries[-1].id if entries else after
            yield LogPage(lines, after)

    def _call(self, app: str, blocks: Sequence[LogBlock], batch: Batch) -> ScriptCall:
        keys = self._keys
        names = {
            "log": keys.log(app),
            "size": keys.log_size(app),
            "writer": keys.log_writer(app, batch.writer),
        }
        arguments: dict[str, Argument] = {
            "batch": batch.number,
            "remembered_ms": batch.remembered_s * 1000,
            "retention_ms": self._retention_ms,
            "max_bytes": self._max_bytes,
            "overhead": ENTRY_OVERHEAD_BYTES,
            "per_entry": ARGUMENTS_PER_ENTRY,
        }
        return _APPEND.call(names, arguments, to_arguments(blocks))

    def _wait_for_entries(self, app: str, after: str, block_ms: int) -> list[_Entry]:
        log = self._keys.log(app)
        give_up_at = time.monotonic() + _FOLLOW_PATIENCE_S
        while True:
            try:
                with _translated():
                    streams = self._redis.xread({log: after}, count=_PAGE_ENTRIES, block=block_ms)
            except StoreError:
                if time.monotonic() >= give_up_at:
                    raise
                time.sleep(_FOLLOW_PAUSE_S)
            else:
                return _entries_of_stream(streams)

    def _range(
        self, app: str, oldest: str, newest: str, *, backwards: bool = False, count: int = _PAGE_ENTRIES
    ) -> list[_Entry]:
        log = self._keys.log(app)
        with _translated():
            if backwards:
                return _entries(self._redis.xrevrange(log, newest, oldest, count=count))
            return _entries(self._redis.xrange(log, oldest, newest, count=count))


def _entries(reply: object) -> list[_Entry]:
    pairs = cast("Sequence[tuple[bytes, dict[bytes, bytes]]]", reply)
    return [_Entry(entry_id.decode(), from_fields(fields)) for entry_id, fields in pairs]


def _entries_of_stream(reply: Any) -> list[_Entry]:  # noqa: ANN401 - a list or, in RESP3, a mapping
    """The entries of XREAD's answer for one stream."""
    if not reply:
        return []
    if isinstance(reply, dict):
        (found,) = reply.values()
        return [entry for page in found for entry in _entries(page)]
    ((_, pairs),) = reply
    return _entries(pairs)


def _translated() -> AbstractContextManager[None]:
    return translated("The logs' Redis", "GALAXY_LOGS_URL")
