"""How a worker comes by an attempt, and gives it back when it has to stop."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog

from galaxy.domain.errors import GalaxyError, QueueError
from galaxy.domain.models import Attempt, NotClaimed
from galaxy.domain.reasons import WORKER_LOST
from galaxy.domain.work import WorkKind
from galaxy.services.retries import failure_of

if TYPE_CHECKING:
    from galaxy.adapters.queue import TaskQueue
    from galaxy.adapters.store.leases import LeaseStore
    from galaxy.domain.models import VersionRef
    from galaxy.services.announcer import Announcer

logger = structlog.get_logger(__name__)


class WorkClaim:
    """One worker's claim of a version's next attempt. Making it asks nobody yet.

    A signal interrupts a worker anywhere, also when the store has given it an attempt and it does not know which. By
    the claim's id it finds that out afterwards.
    """

    def __init__(self, ref: VersionRef, leases: LeaseStore, queue: TaskQueue, announcer: Announcer) -> None:
        self._ref = ref
        self._leases = leases
        self._queue = queue
        self._announcer = announcer
        self._id = uuid4().hex
        self._taken: Attempt | NotClaimed | None = None

    def take(self) -> Attempt | NotClaimed:
        """The attempt, with its lease, or why there is none.

        Raises:
            BuildFailed: The last attempt was lost with its worker.
        """
        taken = self._leases.claim(self._ref, self._id)
        if taken is NotClaimed.EXPIRED:
            self._end_lost()
            taken = self._leases.claim(self._ref, self._id)
        self._taken = taken
        return taken

    def hand_back(self) -> bool:
        """Lets another worker begin the attempt again; False if it has ended, or the store can't be reached."""
        try:
            attempt = self._taken or self._leases.claim(self._ref, self._id)
            if isinstance(attempt, NotClaimed) or self._leases.hand_back(attempt):
                return False
        except GalaxyError as error:  # the worker ends nevertheless, and its lease runs out
            app, version = self._ref
            logger.warning("attempt.not_handed_back", app=app, version=version, error=str(error))
            return False
        with suppress(QueueError):  # the reconciler makes up for it
            self._queue.build(attempt.ref, retries=attempt.number - 1, automatic=attempt.automatic)
        return True

    def _end_lost(self) -> None:
        """This delivery came before the reconciler did."""
        if outcome := self._leases.end_lost(self._ref, WORKER_LOST, WorkKind.BUILD):
            self._announcer.announce(self._ref.app)
            if outcome.retry_in_s is None:
                raise failure_of(self._ref, outcome, WORKER_LOST)
