"""Why nothing has begun on a version yet, as far as the fleet's workers tell."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from galaxy.domain.fleet import ROUTES, TaskName, build_queue
from galaxy.domain.states import VersionState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galaxy.domain.diagnosis.fleet import WorkerFacts
    from galaxy.domain.fleet import Queue
    from galaxy.domain.models import Version


class WaitReason(StrEnum):
    """What a version waits for."""

    NO_WORKER = "no_worker"
    """No worker that serves its queue answers."""
    NO_FREE_SLOT = "no_free_slot"
    """All slots of the workers that answer are busy."""
    NOT_TAKEN_YET = "not_taken_yet"
    """A worker has a free slot, and none has begun the version yet."""
    BROKER_AWAY = "broker_away"
    """The broker, through which workers hear of it and could be asked, can't be reached."""


class Waiting(NamedTuple):
    """A version that waits.

    Attributes:
        rollout: It is built, and waits to be rolled out; otherwise it waits to be built.
        slots: How many versions all workers that answer can work on at a time.
    """

    reason: WaitReason
    rollout: bool
    slots: int = 0


def _queue_of(version: Version) -> Queue:
    """The queue in which the version waits now."""
    if version.state is VersionState.BUILT:
        return ROUTES[TaskName.ROLL_OUT]
    return build_queue(automatic=version.automatic)


def is_waiting(version: Version, now_ms: float) -> bool:
    """Whether a worker could begin the version's next piece of work."""
    if version.state is VersionState.RETRYING:
        return now_ms >= (version.retry_at_ms or 0)
    return version.state in {VersionState.QUEUED, VersionState.BUILT}


def why_waiting(version: Version, workers: Sequence[WorkerFacts] | None, *, building: int) -> Waiting:
    """What keeps a waiting version waiting.

    Args:
        version: One that `is_waiting`.
        workers: All workers that answer; None: the broker can't be reached.
        building: How many versions are being built at the moment.
    """
    rollout = version.state is VersionState.BUILT
    if workers is None:
        return Waiting(WaitReason.BROKER_AWAY, rollout)
    queue = _queue_of(version)
    serving = [worker for worker in workers if queue in worker.queues]
    slots = sum(worker.slots for worker in serving)
    if not serving:
        return Waiting(WaitReason.NO_WORKER, rollout)
    busy = not rollout and building >= slots
    return Waiting(WaitReason.NO_FREE_SLOT if busy else WaitReason.NOT_TAKEN_YET, rollout, slots)
