"""Everything that people read of apps and versions: the one way in which faces look into the store and the logs."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from galaxy.domain.deploys.app_name import parse_app_name
from galaxy.domain.deploys.waiting import Waiting, is_waiting, why_waiting
from galaxy.domain.errors import QueueError, StoreError, VersionNotFound
from galaxy.domain.log import EVERYTHING, LogFilter, LogLine, LogPage
from galaxy.domain.models import Version, VersionRef
from galaxy.domain.states import UNFINISHED, VersionState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from galaxy.adapters.logs.stream import LogStream
    from galaxy.adapters.queue import TaskQueue
    from galaxy.adapters.store.apps import AppList
    from galaxy.adapters.store.versions import VersionStore
    from galaxy.domain.activity import ActivityEntry
    from galaxy.domain.app_summary import AppSummary
    from galaxy.services.announcer import Announcer

#: How long the log may be quiet before a watched version is looked at (ms).
_QUIET_MS: Final = 200
#: How long workers may think about their answer.
_WORKERS_ANSWER_S: Final = 2.0
#: Unfinished versions that are looked at to count those that are being built.
_UNFINISHED_LIMIT: Final = 1000


class Progress(NamedTuple):
    """What is new of a version that is watched.

    Attributes:
        lines: New lines of its log; often none.
        version: The version as it is now.
        waiting: Why nothing has begun; None most of the time, see `Queries.watch`.
    """

    lines: list[LogLine]
    version: Version
    waiting: Waiting | None = None

    @property
    def unfinished(self) -> bool:
        """The version still needs work: it is neither active nor has it failed, nor was it active once."""
        return self.version.state in UNFINISHED


class Queries:
    """Reads apps, versions, history and logs. Changes nothing.

    Names of apps are taken as people write them. All methods raise `InvalidInput` for a malformed name and
    `StoreError` when Redis can't be reached.

    Args:
        queue: Asked why a version waits; has to be one that gives up soon.
        first_hint_after_s: How long a version may wait before a watcher is told why.
        further_hints_every_s: How long after that the watcher is told again.
    """

    def __init__(  # noqa: PLR0913 - what can be read, and how patiently it is watched
        self,
        store: VersionStore,
        apps: AppList,
        logs: LogStream,
        announcer: Announcer,
        queue: TaskQueue,
        *,
        first_hint_after_s: float = 5.0,
        further_hints_every_s: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._apps = apps
        self._logs = logs
        self._announcer = announcer
        self._queue = queue
        self._first_hint_after_s = first_hint_after_s
        self._further_hints_every_s = further_hints_every_s
        self._clock = clock

    # -- apps and versions

    def apps(self) -> Iterator[AppSummary]:
        """All apps by name."""
        return self._apps.all()

    def app(self, app: object) -> AppSummary:
        """One app: what serves it, and what it wants of base image updates.

        Raises:
            AppNotFound: It was never deployed.
        """
        return self._apps.one(parse_app_name(app))

    def versions(self, app: object, limit: int = 50) -> list[Version]:
        """The app's newest versions, newest first.

        Raises:
            AppNotFound: It was never deployed.
        """
        return self._store.versions(parse_app_name(app), limit)

    def version(self, app: object, number: int) -> Version:
        """One version.

        Raises:
            AppNotFound: The app was never deployed.
            VersionNotFound: It has no such version.
        """
        return find_version(self._store, VersionRef(parse_app_name(app), number))

    def activity(self, app: object, limit: int = 50) -> list[ActivityEntry]:
        """What happened to the app lately, oldest first.

        Raises:
            AppNotFound: It was never deployed.
        """
        name = parse_app_name(app)
        self._store.versions(name, limit=1)
        return self._store.activity(name, limit)

    # -- logs

    def newest_lines(
        self, app: object, count: int, only: LogFilter = EVERYTHING, *, since_ms: int | None = None
    ) -> LogPage:
        """The last `count` lines that the filter admits, and the cursor behind them.

        Args:
            app: Hostname.
            count: At most so many lines.
            only: Which lines are wanted.
            since_ms: Nothing older than this is looked at; milliseconds since the epoch.

        Raises:
            AppNotFound: The app was never deployed.
            VersionNotFound: The filter names a version that it does not have.
        """
        return self._logs.tail(self._app_of_log(app, only), count, only, since_ms=since_ms)

    def lines_since(self, app: object, since_ms: int, only: LogFilter = EVERYTHING) -> Iterator[LogPage]:
        """All lines from a time on that the filter admits, page by page; the last page has the cursor to follow.

        Raises:
            AppNotFound: The app was never deployed.
            VersionNotFound: The filter names a version that it does not have.
        """
        name = self._app_of_log(app, only)
        return self._logs.pages(name, self._logs.since(since_ms), only)

    def follow(self, app: object, cursor: str, only: LogFilter = EVERYTHING) -> Iterator[LogPage]:
        """What is written to the app's log from a cursor on, as it comes, without end; see `LogStream.follow`."""
        return self._logs.follow(parse_app_name(app), cursor, only)

    def watch(self, ref: VersionRef, cursor: str, only: LogFilter | None = None) -> Iterator[Progress]:
        """What becomes of a version: its log from a cursor on, and its states, until it is final and all is told.

        Yields several times a second. The last one holds the final version. When nothing has begun for some
        seconds, and every half minute from then on, `waiting` says why: the workers are asked then, which holds up
        everything else for about two seconds.

        Args:
            ref: Names the version.
            cursor: From where the log is read.
            only: Which lines are wanted; by default all of the version.

        Raises:
            AppNotFound: The app was never deployed.
            VersionNotFound: It has no such version.
        """
        only = LogFilter(version=ref.number) if only is None else only
        version = find_version(self._store, ref)
        waits = _Waits(self._first_hint_after_s, self._further_hints_every_s)
        end = self._end_of_log(version)
        for page in self._logs.follow(ref.app, cursor, only, block_ms=_QUIET_MS):
            # not only at the end of the log: other versions and the app itself may go on writing for ever
            if end and (page.cursor == cursor or _position(page.cursor) >= _position(end)):
                yield Progress(page.lines, version)
                return
            waiting = self._why_waiting(version) if waits.is_due(version, self._clock()) else None
            if version.state in UNFINISHED:
                version = self._store.version(ref)
            end = end or self._end_of_log(version)
            yield Progress(page.lines, version, waiting if is_waiting(version, _now_ms()) else None)
            cursor = page.cursor

    # -- inside

    def _app_of_log(self, app: object, only: LogFilter) -> str:
        """The app whose log it is: an app or a version that does not exist is an error, not an empty log."""
        name = parse_app_name(app)
        if only.version is None:
            self._store.versions(name, limit=1)
        else:
            find_version(self._store, VersionRef(name, only.version))
        return name

    def _end_of_log(self, version: Version) -> str | None:
        """The cursor behind all that is told of a final version; None: not final, or the logs can't be reached now."""
        if version.state in UNFINISHED:
            return None
        self._announcer.announce(version.app)  # whoever made the last move may not have come to it yet
        with suppress(StoreError):
            return self._logs.cursor_now(version.app)
        return None

    def _why_waiting(self, version: Version) -> Waiting:
        try:
            workers = self._queue.workers(wait_s=_WORKERS_ANSWER_S)
        except QueueError:
            return why_waiting(version, None, building=0)
        unfinished = self._store.unfinished(_UNFINISHED_LIMIT)
        building = sum(each.state is VersionState.BUILDING for each in unfinished)
        return why_waiting(version, workers, building=building)


def find_version(store: VersionStore, ref: VersionRef) -> Version:
    """One version.

    Raises:
        AppNotFound: The app was never deployed.
        VersionNotFound: It has no such version.
    """
    try:
        return store.version(ref)
    except VersionNotFound:
        store.versions(ref.app, limit=1)  # that there is no such app says more
        raise


class _Waits:
    """Knows when a watcher should be told why a version waits."""

    def __init__(self, first_s: float, again_s: float) -> None:
        self._first_s = first_s
        self._again_s = again_s
        self._seen: tuple[object, ...] = ()
        self._due_at = 0.0

    def is_due(self, version: Version, now: float) -> bool:
        """Whether it waits, and has done so for long enough since it moved or since this was true."""
        seen = (version.state, version.attempt, is_waiting(version, _now_ms()))
        if seen != self._seen:
            self._seen, self._due_at = seen, now + self._first_s
        if not seen[-1] or now < self._due_at:
            return False
        self._due_at = now + self._again_s
        return True


def _position(cursor: str) -> tuple[int, ...]:
    return tuple(map(int, cursor.split("-")))


def _now_ms() -> float:
    return time.time() * 1000
