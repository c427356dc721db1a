"""Celery's scheduler, for any number of beats: one leads and sends, the others stand by."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import structlog
from celery.beat import ScheduleEntry, Scheduler, SchedulingError

from galaxy.bootstrap import Pipeline
from galaxy.domain.errors import StoreError
from galaxy.settings import current

if TYPE_CHECKING:
    from galaxy.adapters.store.leader import LeaderLock

logger = structlog.get_logger(__name__)

#: Seconds between two tries while the store is away.
_AWAY_PAUSE_S: Final = 1.0


class LeadingScheduler(Scheduler):
    """Sends what is due only while it leads. Not leading, or losing the lead, never ends it.

    A message that is sent by two beats would do no harm, only the work twice.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Celery's own signature
        super().__init__(*args, **kwargs)
        self._leads: bool | None = None

    @cached_property
    def _leadership(self) -> LeaderLock:
        # not earlier: Celery also makes schedulers that never run
        return Pipeline(current()).leadership

    @cached_property
    def _pause_s(self) -> float:
        """The leader asks three times before its lock runs out, and who stands by as often."""
        return current().beat_lock_s / 3

    def tick(self, *args: Any, **kwargs: Any) -> float:  # noqa: ANN401 - Celery's own signature
        """Sends what is due, if this beat leads; returns after how many seconds to look again."""
        try:
            leads = self._leadership.take()
        except StoreError as error:
            logger.warning("beat.store_away", error=str(error))
            return _AWAY_PAUSE_S
        if leads is not self._leads:
            logger.info("beat.leads" if leads else "beat.stands_by")
            self._leads = leads
        return min(super().tick(*args, **kwargs), self._pause_s) if leads else self._pause_s

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:  # noqa: ANN401 - Celery's own signature
        """Sends one task; what can't be sent now is due again soon."""
        if not self._leadership.held:  # this process was stopped since it asked
            logger.warning("beat.lead_lost", task=entry.task)
            return
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except SchedulingError as error:
            logger.warning("beat.not_sent", task=entry.task, error=str(error))
        else:
            logger.info("beat.sent", task=entry.task)

    def close(self) -> None:
        """Ends as it should: another beat need not wait for the lock to run out."""
        super().close()
        if self._leads:
            with suppress(StoreError):
                self._leadership.give_up()
