"""Rules about workers, queues, waiting versions and heartbeats."""

from __future__ import annotations

from collections import Counter
from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from pydantic import Field

from galaxy.domain.diagnosis.finding import fine, problem, warning
from galaxy.domain.diagnosis.words import counted, duration, listed
from galaxy.domain.fleet import (
    BUILD_WORKER,
    CELERY,
    CONTROL_WORKER,
    ROUTES,
    WORKER_KINDS,
    TaskName,
    serves_builds,
)
from galaxy.domain.heartbeats import BEAT, POLL, RECONCILE, swept_by
from galaxy.domain.models import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from galaxy.domain.diagnosis.finding import Finding
    from galaxy.domain.fleet import WorkerKind
    from galaxy.domain.heartbeats import Heartbeat
    from galaxy.domain.models import VersionRef
    from galaxy.domain.states import VersionState

WORKERS: Final = "workers"
QUEUES: Final = "queues"
VERSIONS: Final = "versions"
HEARTBEATS: Final = "heartbeats"

#: A message of a version may be on its way for this long before anybody has to wonder.
_GRACE_S: Final = 30.0
_LONG_WAIT_S: Final = 600.0
_LONG_QUEUE: Final = 1000
#: Missed heartbeats in a row before one speaks of a standstill.
_MISSED: Final = 5
_NAMED: Final = 3


class PeriodicWork(NamedTuple):
    """Work that every pipeline does again and again.

    Attributes:
        who: Whoever does it, as the subject of a sentence.
        loss: What happens when nobody does it, as the second half of a sentence.
        advice: What to do then.
    """

    who: str
    loss: str
    advice: str


_PERIODIC: Final = MappingProxyType(
    {
        BEAT: PeriodicWork(
            "The leading beat",
            "what was lost is not built again",
            f"Start `{' '.join(CELERY)} beat`; if it runs, read its log and restart it.",
        ),
        RECONCILE: PeriodicWork(
            "The reconciler",
            "what was lost is not built again",
            f"It needs beat and a {CONTROL_WORKER.name}: see that both run and read their logs.",
        ),
        POLL: PeriodicWork(
            "The poller of base images",
            "their changes are not noticed",
            f"It needs beat and a worker that serves {ROUTES[TaskName.POLL_BASE_IMAGES]}: read their logs.",
        ),
    }
)


class WorkerFacts(Frozen):
    """What a worker answers.

    Attributes:
        code: Fingerprint of the code that it runs; None from workers that know no such question.
        settings: Settings that all processes must agree on, as text by variable name.
        ready_for_s: How long ago it was ready for its first task; None from workers that do not tell.
    """

    name: str
    queues: tuple[str, ...] = ()
    slots: int = 0
    code: str | None = None
    settings: dict[str, str] = Field(default_factory=dict)
    ready_for_s: float | None = None


class Unfinished(NamedTuple):
    """A version that is neither active nor final.

    Attributes:
        waiting_s: For how long it could have been built and was not; 0 while it runs or is not due.
        lease_over_s: For how long its lease has been over; 0 while it is held.
    """

    ref: VersionRef
    state: VersionState
    waiting_s: float
    lease_over_s: float


def judge_workers(
    workers: Sequence[WorkerFacts],
    *,
    code: str,
    settings: Mapping[str, str],
    kinds: Sequence[WorkerKind] = WORKER_KINDS,
) -> Iterator[Finding]:
    """Whether somebody serves each queue, and whether all workers run the same code with the same settings.

    Args:
        workers: Those that answered.
        code: Fingerprint of the code of this process.
        settings: Those of this process that all processes must agree on, as text by variable name.
        kinds: The kinds of workers that a pipeline needs.
    """
    served = {queue for worker in workers for queue in worker.queues}
    for worker in workers:
        where = f"{counted(worker.slots, 'slot')} for {', '.join(worker.queues)}"
        yield fine(WORKERS, f"{worker.name} answers: {where}.")
    for kind in kinds:
        missing = [queue for queue in kind.queues if queue not in served]
        if missing:
            yield problem(
                WORKERS,
                f"No worker serves {', '.join(missing)}: {kind.standstill}.",
                f"Start a {kind.name}: {' '.join(kind.start)}",
            )
    yield from _differences(workers, code, settings)


def _differences(workers: Sequence[WorkerFacts], code: str, settings: Mapping[str, str]) -> Iterator[Finding]:
    others = [worker.name for worker in workers if worker.code != code]
    if others:
        yield warning(
            WORKERS,
            f"{listed(others)} {'runs' if len(others) == 1 else 'run'} other code than this command.",
            f"Restart {'it' if len(others) == 1 else 'them'} after an update; SIGTERM hands builds back.",
        )
    for worker in workers:
        differing = [
            f"{name} is {theirs} there and {settings[name]} here"
            for name, theirs in worker.settings.items()
            if name in settings and settings[name] != theirs
        ]
        if differing:
            yield warning(
                WORKERS,
                f"{worker.name} has other settings: {'; '.join(differing)}.",
                "Give all processes, and the shell in which `galaxy` runs, the same settings.",
            )


def judge_queues(depths: Mapping[str, int], workers: Sequence[WorkerFacts] | None) -> Iterator[Finding]:
    """How many messages wait, and whether anybody is there to take them."""
    waiting = ", ".join(f"{queue} {depth}" for queue, depth in depths.items())
    yield fine(QUEUES, f"Messages waiting: {waiting}.")
    served = None if workers is None else {queue for worker in workers for queue in worker.queues}
    for queue, depth in depths.items():
        if depth and served is not None and queue not in served:
            yield problem(
                QUEUES,
                f"{counted(depth, 'message')} in {queue}, and no worker serves it.",
                f"Start a worker with -Q {queue}; nothing is lost until then.",
            )
        elif depth >= _LONG_QUEUE:
            yield warning(
                QUEUES,
                f"{depth} messages wait in {queue}.",
                "Add workers for it, or find out in Flower what keeps the present ones busy.",
            )


def judge_versions(
    unfinished: Sequence[Unfinished],
    workers: Sequence[WorkerFacts] | None,
    *,
    patience_s: float,
) -> Iterator[Finding]:
    """Whether every version moves.

    Args:
        unfinished: Versions that are neither active nor final.
        workers: None if nobody could be asked.
        patience_s: How long a lost message or a lost worker may go unnoticed.
    """
    states = Counter(str(each.state) for each in unfinished)
    counts = ", ".join(f"{count} {state}" for state, count in states.items())
    yield fine(VERSIONS, f"Unfinished: {counts or 'none'}.")
    lost = [each for each in unfinished if each.lease_over_s > patience_s]
    if lost:
        yield problem(
            VERSIONS,
            f"{counted(len(lost), 'attempt')} of lost workers not ended: {_some(lost)}. The oldest lease ran out"
            f" {duration(max(each.lease_over_s for each in lost))} ago.",
            f"The reconciler does that: see that beat and a {CONTROL_WORKER.name} run.",
        )
    waiting = [each for each in unfinished if each.waiting_s > patience_s + _GRACE_S]
    if not waiting:
        return
    longest = max(each.waiting_s for each in waiting)
    found = f"{counted(len(waiting), 'version')} waiting, for up to {duration(longest)}: {_some(waiting)}."
    if workers is not None and not any(serves_builds(worker.queues) for worker in workers):
        yield problem(VERSIONS, f"{found} No {BUILD_WORKER.name} answers.", f"Start a {BUILD_WORKER.name}.")
    elif longest > _LONG_WAIT_S:
        yield warning(
            VERSIONS, found, "Add build workers or slots; if slots are free, look at the log of beat."
        )


def judge_heartbeats(
    heartbeats: Mapping[str, Heartbeat],
    workers: Sequence[WorkerFacts] | None,
    *,
    reconcile_period_s: float,
    reap_period_s: float,
) -> Iterator[Finding]:
    """Whether everything periodic happens. A fleet that has just been started gets time for its first heartbeats.

    Args:
        heartbeats: By name. The store keeps them when a fleet is stopped, so they may be older than the fleet.
        workers: None if nobody could be asked.
        reconcile_period_s: As in the settings.
        reap_period_s: As in the settings.
    """
    limit_s = _MISSED * reconcile_period_s + _GRACE_S
    started_s = _just_started(workers or (), reconcile_period_s)
    for name, work in _PERIODIC.items():
        # a poll takes as long as the slowest registries
        patience_s = _LONG_WAIT_S if name == POLL else limit_s
        heartbeat = heartbeats.get(name)
        seen = (
            f"{work.who} was last seen {duration(heartbeat.age_s)} ago"
            if heartbeat
            else f"{work.who} has not been seen"
        )
        if heartbeat and heartbeat.age_s <= patience_s:
            yield fine(HEARTBEATS, f"{seen}.")
        elif started_s is not None:
            yield fine(HEARTBEATS, f"{seen}. The fleet started {duration(started_s)} ago.")
        else:
            yield problem(HEARTBEATS, f"{seen}: {work.loss}.", work.advice)
    for name, heartbeat in heartbeats.items():
        worker = swept_by(name)
        if worker is not None:
            yield _reaper(worker, heartbeat, workers, reap_period_s)
        elif name not in _PERIODIC:
            yield fine(HEARTBEATS, f"{name} was last seen {duration(heartbeat.age_s)} ago.")


def _just_started(workers: Sequence[WorkerFacts], period_s: float) -> float | None:
    """Since when (s) workers run that are all too new for work with this period; None if one of them is not.

    A worker that does not tell since when it runs is not new, and where no worker answers nothing has been started.
    """
    oldest_s = max((inf if each.ready_for_s is None else each.ready_for_s for each in workers), default=inf)
    return oldest_s if oldest_s < max(_GRACE_S, 2 * period_s) else None


def _reaper(
    name: str, heartbeat: Heartbeat, workers: Sequence[WorkerFacts] | None, period_s: float
) -> Finding:
    age = duration(heartbeat.age_s)
    if heartbeat.age_s <= _MISSED * period_s + _GRACE_S:
        return fine(HEARTBEATS, f"The engine of {name} was swept {age} ago.")
    answering = [worker for worker in workers or () if worker.name == name]
    if workers is not None and not answering:
        return warning(
            HEARTBEATS,
            f"{name} vanished {age} ago, and nobody sweeps its engine.",
            "Start a build worker on that engine; if the machine is gone, this note goes after a day.",
        )
    found = f"The engine of {name} was last swept {age} ago"
    started_s = _just_started(answering, period_s)
    if started_s is not None:
        return fine(HEARTBEATS, f"{found}. That worker started {duration(started_s)} ago.")
    return problem(
        HEARTBEATS,
        f"{found}: what dead attempts left stays there.",
        f"Look for reaper.failed in the log of {name}.",
    )


def _some(versions: Sequence[Unfinished]) -> str:
    first = ", ".join(str(each.ref) for each in versions[:_NAMED])
    more = len(versions) - _NAMED
    return f"{first} and {more} more" if more > 0 else first
