"""The only bookkeeping of the build story: which step runs, and how long each took."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from galaxy.domain.models import StepTiming
from galaxy.domain.states import Step
from galaxy.services.lease import abandoned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from galaxy.adapters.store.leases import LeaseStore
    from galaxy.domain.models import Attempt


class StepRecorder:
    """Records each step of an attempt in the store, for whoever watches, and for the version's history."""

    def __init__(
        self, leases: LeaseStore, attempt: Attempt, on_step: Callable[[Attempt, Step], None]
    ) -> None:
        self._leases = leases
        self._attempt = attempt
        self._on_step = on_step
        self.timings: list[StepTiming] = []

    @contextmanager
    def __call__(self, step: Step) -> Iterator[None]:
        """Records a step around its block, which begins only while the attempt holds its lease."""
        self._progress(step)
        self._on_step(self._attempt, step)
        started_at_ms, began = int(time.time() * 1000), time.monotonic()
        try:
            yield
        finally:
            took_ms = round((time.monotonic() - began) * 1000)
            self.timings.append(StepTiming(step=step, started_at_ms=started_at_ms, duration_ms=took_ms))

    def base_digest(self, digest: str) -> None:
        """Records which base image the attempt is built on, also if it fails."""
        self._progress(Step.PULL, digest)

    def _progress(self, step: Step, base_digest: str | None = None) -> None:
        lost_to = self._leases.record_progress(self._attempt, step=step, base_digest=base_digest)
        if lost_to:
            raise abandoned(self._attempt, lost_to)
