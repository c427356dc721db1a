"""Keeps every version moving: the store is the authority, and messages are only hints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from galaxy.domain.errors import GalaxyError, StoreError
from galaxy.domain.heartbeats import RECONCILE
from galaxy.domain.reasons import WORKER_LOST
from galaxy.domain.states import VersionState
from galaxy.domain.work import WorkKind

if TYPE_CHECKING:
    from galaxy.adapters.queue import TaskQueue
    from galaxy.adapters.store.heartbeats import HeartbeatStore
    from galaxy.adapters.store.leases import LeaseStore
    from galaxy.adapters.store.versions import VersionStore
    from galaxy.domain.work import Due
    from galaxy.services.announcer import Announcer

logger = structlog.get_logger(__name__)

#: A message that was not delivered for this long is taken for lost, however full the queue is. Each such mistake
#: costs one message more, so it is long.
_LOST_AFTER_S: Final = 600.0


class _Broker(NamedTuple):
    """What is known of the messages that wait.

    Attributes:
        age_s: Since when nothing has been lost of what was enqueued.
        nothing_enqueued: By whether the builds are automatic.
    """

    age_s: float
    nothing_enqueued: dict[bool, bool]

    def has_lost(self, due: Due) -> bool:
        """The message of a version that waits is gone. While others wait, its own most likely does so too."""
        return self.nothing_enqueued[due.automatic] or due.waited_s > min(self.age_s, _LOST_AFTER_S)


class Reconciler:
    """Ends work whose lease ran out, and enqueues again what waits unclaimed. Looks only at what is due."""

    def __init__(  # noqa: PLR0913 - what it reads, and what it can set in motion
        self,
        store: VersionStore,
        leases: LeaseStore,
        heartbeats: HeartbeatStore,
        queue: TaskQueue,
        announcer: Announcer,
        *,
        page: int = 100,
    ) -> None:
        self._store = store
        self._leases = leases
        self._heartbeats = heartbeats
        self._queue = queue
        self._announcer = announcer
        self._page = page

    def run(self) -> int:
        """Looks at everything that is due now, then brings the logs up to date; returns how many versions were due."""
        try:
            return self._look_at_all()
        finally:
            self._announce_all()

    def _look_at_all(self) -> int:
        seen = 0
        broker = _Broker(
            age_s=self._queue.age_s(),
            nothing_enqueued={it: self._queue.is_empty(automatic=it) for it in (False, True)},
        )
        while True:
            page = self._store.take_due(self._page)
            for due in page:
                try:
                    self._look_at(due, message_lost=broker.has_lost(due))
                except GalaxyError as error:  # it is due again; the others must not wait for it
                    logger.warning("version.not_reconciled", app=due.ref.app, error=str(error))
            seen += len(page)
            if len(page) < self._page:
                break
        self._heartbeats.record_heartbeat(RECONCILE)
        return seen

    def _look_at(self, due: Due, *, message_lost: bool) -> None:
        if due.work:
            self._end_lost(due, due.work)
        elif due.state in {VersionState.QUEUED, VersionState.RETRYING}:
            if message_lost:
                self._enqueue_again(due)
        elif due.state in {VersionState.BUILT, VersionState.ROLLING_OUT}:
            self._queue.roll_out(due.ref)

    def _enqueue_again(self, due: Due) -> None:
        logger.info("version.enqueued_again", app=due.ref.app, version=due.ref.number)
        self._store.mark_enqueued(due.ref)
        self._queue.build(due.ref, retries=due.attempt, automatic=due.automatic)

    def _end_lost(self, due: Due, kind: WorkKind) -> None:
        ref = due.ref
        outcome = self._leases.end_lost(ref, WORKER_LOST, kind)
        if outcome is None:
            return
        logger.warning("attempt.lost", app=ref.app, version=ref.number, attempt=outcome.attempt)
        if outcome.retry_in_s is not None and kind is WorkKind.BUILD:
            self._queue.build(ref, retries=outcome.attempt, automatic=due.automatic)

    def _announce_all(self) -> None:
        try:
            self._announcer.announce_all()
        except StoreError as error:  # logs that can't be written must not keep versions from moving
            logger.warning("announcements.delayed", error=str(error))
