"""Keeps every version moving: the store is the authority, and messages are only hints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from galaxy.domain.errors import GalaxyError, StoreError
from galaxy.domain.states import VersionState
from galaxy.domain.ticks import RECONCILE
from galaxy.services.retries import LOST_WORKER

if TYPE_CHECKING:
    from galaxy.adapters.queue import TaskQueue
    from galaxy.adapters.store import Due, RedisStore
    from galaxy.services.announcer import Announcer

logger = structlog.get_logger(__name__)

#: A message that was not delivered for this long is taken for lost, however full the queue is. Each such mistake
#: costs one message more, so it is long.
_LOST_AFTER_S: Final = 600.0


class Reconciler:
    """Ends attempts whose lease ran out, and enqueues again what waits unclaimed. Looks only at what is due."""

    def __init__(self, store: RedisStore, queue: TaskQueue, announcer: Announcer, *, page: int = 100) -> None:
        self._store = store
        self._queue = queue
        self._announcer = announcer
        self._page = page

    def run(self) -> int:
        """Looks at everything that is due now, and tells the logs of it; returns how many versions that was."""
        try:
            return self._look_at_all()
        finally:
            self._tell_what_is_untold()

    def _look_at_all(self) -> int:
        seen = 0
        nothing_enqueued = {
            automatic: self._queue.is_empty(automatic=automatic) for automatic in (False, True)
        }
        while True:
            page = self._store.take_due(self._page)
            for due in page:
                try:
                    self._look_at(due, nothing_enqueued=nothing_enqueued[due.automatic])
                except GalaxyError as error:  # it is due again; the others must not wait for it
                    logger.warning("version.not_reconciled", app=due.ref.app, error=str(error))
            seen += len(page)
            if len(page) < self._page:
                break
        self._store.record_tick(RECONCILE)
        return seen

    def _look_at(self, due: Due, *, nothing_enqueued: bool) -> None:
        if due.state is VersionState.BUILDING:
            self._end_lost(due)
        elif due.state in {VersionState.QUEUED, VersionState.RETRYING}:
            # while others wait in the queue, its own message is most likely there too
            if nothing_enqueued or due.waited_s > _LOST_AFTER_S:
                self._enqueue_again(due)
        elif due.state in {VersionState.BUILT, VersionState.ROLLING_OUT}:
            self._queue.roll_out(due.ref)

    def _enqueue_again(self, due: Due) -> None:
        logger.info("version.enqueued_again", app=due.ref.app, version=due.ref.number)
        self._store.mark_enqueued(due.ref)
        self._queue.build(due.ref, retries=due.attempt, automatic=due.automatic)

    def _end_lost(self, due: Due) -> None:
        ref = due.ref
        outcome = self._store.end_lost(ref, LOST_WORKER)
        if outcome is None:
            return
        logger.warning("attempt.lost", app=ref.app, version=ref.number, attempt=outcome.attempt)
        if outcome.retry_in_s is not None:
            self._queue.build(ref, retries=outcome.attempt, automatic=due.automatic)

    def _tell_what_is_untold(self) -> None:
        try:
            self._announcer.tell_all()
        except StoreError as error:  # logs that can't be written must not keep versions from moving
            logger.warning("announcements.delayed", error=str(error))
