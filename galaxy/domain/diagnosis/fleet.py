"""What to think of workers, queues, waiting versions and heartbeats."""

from __future__ import annotations

from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from pydantic import Field

from galaxy.domain.diagnosis.finding import fine, problem, unreachable, warning
from galaxy.domain.diagnosis.words import counted, duration
from galaxy.domain.heartbeats import BEAT, POLL, RECONCILE, swept_by
from galaxy.domain.models import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from galaxy.domain.diagnosis.finding import Finding
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


class Periodic(NamedTuple):
    """Work that has to go on in every pipeline, and what is lost and to be done when it does not."""

    who: str
    loss: str
    advice: str


_PERIODIC: Final = MappingProxyType(
    {
        BEAT: Periodic(
            "The leading beat",
            "what was lost is not built again",
            "Start `celery -A workers beat`; if it runs, read its log and restart it.",
        ),
        RECONCILE: Periodic(
            "The reconciler",
            "what was lost is not built again",
            "It needs beat and a control worker: see that both run and read their logs.",
        ),
        POLL: Periodic(
            "The poller of base images",
            "their changes are not noticed",
            "It needs beat and a control worker that serves base-images: read their logs.",
        ),
    }
)


class WorkerFacts(Frozen):
    """What a worker answers.

    Attributes:
        code: Fingerprint of the code that it runs; None from workers that know no such question.
        settings: Settings that all processes must agree on, as text by variable name.
    """

    name: str
    queues: tuple[str, ...] = ()
    slots: int = 0
    code: str | None = None
    settings: dict[str, str] = Field(default_factory=dict)


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


class FleetFacts(NamedTuple):
    """The fleet at one moment; None stands for what could not be asked."""

    workers: Sequence[WorkerFacts] | None
    depths: Mapping[str, int] | None
    unfinished: Sequence[Unfinished] | None


class Served(NamedTuple):
    """Queues of one kind of worker, and what stands still without it."""

    worker: str
    queues: tuple[str, ...]
    standstill: str


def judge_workers(
    workers: Sequence[WorkerFacts], kinds: Sequence[Served], *, code: str, settings: Mapping[str, str]
) -> Iterator[Finding]:
    """Whether somebody serves each queue, and whether all workers are of one mind."""
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
                f"Start a {kind.worker}: celery -A workers worker -Q {','.join(kind.queues)}",
            )
    yield from _one_mind(workers, code, settings)


def _one_mind(workers: Sequence[WorkerFacts], code: str, settings: Mapping[str, str]) -> Iterator[Finding]:
    others = [worker.name for worker in workers if worker.code != code]
    if others:
        yield warning(
            WORKERS,
            f"{', '.join(others)} {'runs' if len(others) == 1 else 'run'} other code than this command.",
            "Restart them after an update; SIGTERM hands their builds back.",
        )
    for worker in workers:
        differing = [
            f"{name} is {told} there and {settings[name]} here"
            for name, told in worker.settings.items()
            if name in settings and settings[name] != told
        ]
        if differing:
            yield warning(
                WORKERS,
                f"{worker.name} has other settings: {'; '.join(differing)}.",
                "Give all processes, and the shell in which `galaxy` runs, the same settings.",
            )


def judge_queues(depths: Mapping[str, int], workers: Sequence[WorkerFacts] | None) -> Iterator[Finding]:
    """How many messages wait, and whether anybody is there to take them."""
    told = ", ".join(f"{queue} {depth}" for queue, depth in depths.items())
    yield fine(QUEUES, f"Messages waiting: {told}.")
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
    building: str,
    patience_s: float,
) -> Iterator[Finding]:
    """Whether every version moves.

    Args:
        unfinished: Versions that are neither active nor final.
        workers: None if nobody could be asked.
        building: The queue of builds.
        patience_s: How long a lost message or a lost worker may go unnoticed.
    """
    states = Counter(str(each.state) for each in unfinished)
    told = ", ".join(f"{count} {state}" for state, count in states.items())
    yield fine(VERSIONS, f"Unfinished: {told or 'none'}.")
    lost = [each for each in unfinished if each.lease_over_s > patience_s]
    if lost:
        yield problem(
            VERSIONS,
            f"{counted(len(lost), 'attempt')} of lost workers not ended: {_some(lost)}. The oldest lease ran out"
            f" {duration(max(each.lease_over_s for each in lost))} ago.",
            "The reconciler does that: see that beat and a control worker run.",
        )
    waiting = [each for each in unfinished if each.waiting_s > patience_s + _GRACE_S]
    if not waiting:
        return
    longest = max(each.waiting_s for each in waiting)
    found = f"{counted(len(waiting), 'version')} waiting, for up to {duration(longest)}: {_some(waiting)}."
    if workers is not None and not any(building in worker.queues for worker in workers):
        yield problem(VERSIONS, f"{found} No build worker answers.", "Start a build worker.")
    elif longest > _LONG_WAIT_S:
        yield warning(
            VERSIONS, found, "Add build workers or slots; if slots are free, look at the log of beat."
        )


def judge_ticks(
    heartbeats: Mapping[str, Heartbeat],
    workers: Sequence[WorkerFacts] | None,
    *,
    reconcile_period_s: float,
    reap_period_s: float,
) -> Iterator[Finding]:
    """Whether everything periodic happens."""
    limit_s = _MISSED * reconcile_period_s + _GRACE_S
    for name, work in _PERIODIC.items():
        # a poll takes as long as the slowest registries
        patience_s = _LONG_WAIT_S if name == POLL else limit_s
        if name not in heartbeats:
            yield problem(HEARTBEATS, f"{work.who} has not been seen: {work.loss}.", work.advice)
            continue
        seen = f"{work.who} was last seen {duration(heartbeats[name].age_s)} ago"
        if heartbeats[name].age_s > patience_s:
            yield problem(HEARTBEATS, f"{seen}: {work.loss}.", work.advice)
        else:
            yield fine(HEARTBEATS, f"{seen}.")
    answering = None if workers is None else {worker.name for worker in workers}
    for name, heartbeat in heartbeats.items():
        worker = swept_by(name)
        if worker is not None:
            yield _reaper(worker, heartbeat, answering, _MISSED * reap_period_s + _GRACE_S)
        elif name not in _PERIODIC:
            yield fine(HEARTBEATS, f"{name} was last seen {duration(heartbeat.age_s)} ago.")


def _reaper(worker: str, heartbeat: Heartbeat, answering: set[str] | None, limit_s: float) -> Finding:
    age = duration(heartbeat.age_s)
    if heartbeat.age_s <= limit_s:
        return fine(HEARTBEATS, f"The engine of {worker} was swept {age} ago.")
    if answering is not None and worker not in answering:
        return warning(
            HEARTBEATS,
            f"{worker} vanished {age} ago, and nobody sweeps its engine.",
            "Start a build worker on that engine; if the machine is gone, this note goes after a day.",
        )
    return problem(
        HEARTBEATS,
        f"The engine of {worker} was last swept {age} ago: what dead attempts left stays there.",
        f"Look for reaper.failed in the log of {worker}.",
    )


def judge_unanswered(failure: str) -> Finding:
    """No worker can be asked."""
    return unreachable(WORKERS, failure, "Check GALAXY_BROKER_URL and that Redis runs.")


def _some(versions: Sequence[Unfinished]) -> str:
    first = ", ".join(str(each.ref) for each in versions[:_NAMED])
    more = len(versions) - _NAMED
    return f"{first} and {more} more" if more > 0 else first
