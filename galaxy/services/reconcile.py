"""Keeps every version moving: the store is the authority, and messages are only hints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from galaxy.domain.redaction import Redactor
from galaxy.domain.states import VersionState
from galaxy.services.build import LOST_WORKER, tell_failure

if TYPE_CHECKING:
    from galaxy.adapters.queue import TaskQueue
    from galaxy.adapters.store import Due, RedisStore
    from galaxy.domain.models import VersionRef
    from galaxy.services.logbook import Logbook

logger = structlog.get_logger(__name__)


class Reconciler:
    """Ends attempts whose lease ran out, and enqueues again what waits unclaimed. Looks only at what is due."""

    def __init__(self, store: RedisStore, queue: TaskQueue, logs: Logbook, *, page: int = 100) -> None:
        self._store = store
        self._queue = queue
        self._logs = logs
        self._page = page

    def run(self) -> int:
        """Looks at everything that is due now; returns how many versions that was."""
        seen = 0
        while True:
            page = self._store.take_due(self._page)
            for due in page:
                self._look_at(due)
            seen += len(page)
            if len(page) < self._page:
                return seen

    def _look_at(self, due: Due) -> None:
        if due.state is VersionState.BUILDING:
            self._end_lost(due.ref)
        elif due.state in {VersionState.QUEUED, VersionState.RETRYING}:
            logger.info("version.enqueued_again", app=due.ref.app, version=due.ref.number)
            self._queue.build(due.ref, retries=due.attempt)
        elif due.state in {VersionState.BUILT, VersionState.ROLLING_OUT}:
            self._queue.roll_out(due.ref)

    def _end_lost(self, ref: VersionRef) -> None:
        outcome = self._store.end_lost(ref, LOST_WORKER)
        if outcome is None:
            return
        logger.warning("attempt.lost", app=ref.app, version=ref.number, attempt=outcome.attempt)
        with self._logs.writer(ref, outcome.attempt, Redactor(())) as log:
            tell_failure(log, ref, outcome, LOST_WORKER)
        if outcome.retry_in_s is not None:
            self._queue.build(ref, retries=outcome.attempt)
