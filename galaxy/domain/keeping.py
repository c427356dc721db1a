"""What has to be done so that the containers that run are those that there have to be.

A pure function of what is wished for, what is recorded, and what was found. It is asked again and again, and answers
"nothing" once all is as it should be.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final, NamedTuple

from galaxy.domain.containers import ContainerStatus
from galaxy.domain.placements import ENDING, ROUTABLE, Act, Action, Event, Placement, PlacementState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from galaxy.domain.containers import AppContainer
    from galaxy.domain.health import Probe
    from galaxy.domain.placements import VersionWish

S = PlacementState

#: A new version's container that ends is started so often in all; then the rollout has failed.
MAX_STARTS: Final = 3
#: An app without a web server is healthy once its container has run for so long.
RUNS_FOR_MS: Final = 10_000
#: So many failed probes in a row make a container unhealthy.
MISSES: Final = 2
#: An unhealthy container is replaced after this.
REPLACED_AFTER_MS: Final = 300_000
#: A container that ran for so long and ended is no crash loop: it is replaced at once.
STEADY_MS: Final = 600_000
#: The longest wait before a container that keeps crashing is started again.
LONGEST_BACKOFF_MS: Final = 300_000
_FIRST_BACKOFF_MS: Final = 1_000
#: An engine that was asked to start a container has lost it if it is not there by then.
LOST_AFTER_MS: Final = 60_000


class Found(NamedTuple):
    """What is known about an app's containers at one moment.

    Attributes:
        containers: By `Placement.container_id`.
        probes: The newest probe of each container that was probed, by the same.
        refused: Why the engine could not start a container, by the same.
        in_flight: Requests that the router counts to a version's containers, by version; versions that it does not
            know are missing.
        now_ms: Milliseconds since the epoch.
    """

    containers: Mapping[str, AppContainer]
    probes: Mapping[str, Probe]
    refused: Mapping[str, str]
    in_flight: Mapping[int, int]
    now_ms: int


class Plan(NamedTuple):
    """What follows.

    Attributes:
        placements: All placements of the app as they have to be recorded, before anything is done.
        actions: What has to be done on the engine.
        events: What the app's log has to tell.
    """

    placements: tuple[Placement, ...]
    actions: tuple[Action, ...]
    events: tuple[Event, ...]


def decide(app: str, wishes: Sequence[VersionWish], placements: Iterable[Placement], found: Found) -> Plan:
    """What has to be done for an app now.

    Args:
        app: Its name.
        wishes: The versions that have to have containers; of a stopped app, none.
        placements: As they are recorded.
        found: What is known about the containers.
    """
    return _Decision(app, wishes, found).of(list(placements))


class _Decision:
    """One decision. Each placement is looked at by itself; then versions are, which may add placements."""

    def __init__(self, app: str, wishes: Sequence[VersionWish], found: Found) -> None:
        self._app = app
        self._wishes = {wish.version: wish for wish in wishes}
        self._found = found
        self._now = found.now_ms
        self._actions: list[Action] = []
        self._events: list[Event] = []

    def of(self, placements: list[Placement]) -> Plan:
        kept = [after for each in placements if (after := self._look_at(each)) is not None]
        for wish in self._wishes.values():
            kept = self._complete(wish, kept)
        kept = with_slots([self._begin(each) for each in kept])
        return Plan(tuple(kept), tuple(self._actions), tuple(self._events))

    # -- one placement

    def _look_at(self, placement: Placement) -> Placement | None:
        """The placement as it is now; None once nothing is left of it."""
        container = self._found.containers.get(placement.container_id)
        wish = self._wishes.get(placement.version)
        if placement.state in ENDING:
            return self._end(placement, container)
        if wish is None or placement.index >= wish.count:
            return self._leave(placement, container)
        if placement.state in {S.WANTED, S.FAILED}:
            return placement
        if container is None or placement.container_id in self._found.refused:
            return self._missing(placement, wish)
        if container.exit is not None:
            cause = f"It {container.exit.cause}."
            return self._ended(placement, wish, cause, ran_ms=container.exit.at_ms - container.started_at_ms)
        return self._running(placement.model_copy(update={"address": container.address}), container, wish)

    def _running(self, placement: Placement, container: AppContainer, wish: VersionWish) -> Placement:
        if wish.run.health_check is None:
            steady = self._now - container.started_at_ms >= RUNS_FOR_MS
            return self._healthy(placement) if steady else placement
        probe = self._found.probes.get(placement.container_id)
        if probe is None:
            return placement
        if probe.healthy:
            return self._healthy(placement)
        placement = placement.model_copy(update={"cause": probe.sentence(), "misses": placement.misses + 1})
        if placement.state is S.HEALTHY and placement.misses >= MISSES:
            self._tell("unhealthy", placement, placement.cause)
            return placement.become(S.UNHEALTHY, self._now)
        return placement

    def _healthy(self, placement: Placement) -> Placement:
        if placement.state is S.HEALTHY:
            return placement.model_copy(update={"misses": 0, "cause": ""})
        if placement.state is S.UNHEALTHY:
            self._tell("healthy_again", placement)
        first = placement.healthy_at_ms or self._now
        return placement.become(S.HEALTHY, self._now, misses=0, cause="", healthy_at_ms=first)

    def _missing(self, placement: Placement, wish: VersionWish) -> Placement:
        if refused := self._found.refused.get(placement.container_id):
            return self._ended(placement, wish, refused, ran_ms=0)
        if placement.state is S.STARTING and self._now - placement.since_ms < LOST_AFTER_MS:
            return placement
        return self._ended(placement, wish, "It is gone from its engine.", ran_ms=0)

    def _ended(self, placement: Placement, wish: VersionWish, cause: str, *, ran_ms: int) -> Placement:
        """A container that has to run has ended: another one takes its place, or the place has failed."""
        self._actions.append(Action(Act.REMOVE, placement))
        if not wish.serves:
            if placement.starts >= MAX_STARTS:
                return placement.become(S.FAILED, self._now, cause=cause, slot=0)
            self._tell("ended", placement, cause)
            return placement.become(
                S.WANTED, self._now, cause=cause, start_at_ms=self._now, address="", slot=0
            )
        if not wish.run.replace_containers:
            self._tell("not_replaced", placement, cause)
            return placement.become(S.FAILED, self._now, cause=cause, address="", slot=0)
        starts = 1 if ran_ms >= STEADY_MS else placement.starts
        wait_ms = backoff_ms(starts)
        self._tell("replaced", placement, cause)
        return placement.become(
            S.WANTED,
            self._now,
            cause=cause,
            start_at_ms=self._now + wait_ms,
            address="",
            healthy_at_ms=0,
            slot=0,
        )

    # -- the way out

    def _leave(self, placement: Placement, container: AppContainer | None) -> Placement | None:
        if placement.state in {S.WANTED, S.FAILED}:
            return None  # there is no container
        if placement.state is S.STARTING or container is None or container.exit is not None:
            return self._stop(placement, container)  # it never had a request, or can't answer one
        return placement.become(S.LEAVING, self._now)

    def _end(self, placement: Placement, container: AppContainer | None) -> Placement | None:
        over = self._now - placement.since_ms >= placement.grace_s * 1000
        if container is None:
            return None
        if container.status is ContainerStatus.EXITED:
            self._actions.append(Action(Act.REMOVE, placement))
            return None
        if placement.state is S.LEAVING:
            in_flight = self._found.in_flight.get(placement.version, 0)
            if in_flight and not over:
                return placement
            if in_flight:
                self._tell("cut_off", placement, str(in_flight))
            return self._stop(placement, container)
        if over:
            self._actions.append(Action(Act.KILL, placement))
        return placement

    def _stop(self, placement: Placement, container: AppContainer | None) -> Placement | None:
        if container is None:
            return None
        if container.exit is not None:
            self._actions.append(Action(Act.REMOVE, placement))
            return None
        self._actions.append(Action(Act.STOP, placement))
        return placement.become(S.STOPPING, self._now)

    # -- one version

    def _complete(self, wish: VersionWish, placements: list[Placement]) -> list[Placement]:
        """Adds the places that are missing, and replaces what is unhealthy for long or older than a restart."""
        mine = [each for each in placements if each.version == wish.version and each.state not in ENDING]
        taken = {(each.index, each.generation) for each in mine}
        current = [each for each in mine if each.generation == wish.generation]
        older = [each for each in mine if each.generation != wish.generation]
        missing = [index for index in range(wish.count) if (index, wish.generation) not in taken]
        if older:
            return self._restart(wish, placements, current, older, missing)
        placements += [self._new(wish, index) for index in missing]
        return self._replace_unhealthy(placements, current)

    def _restart(
        self,
        wish: VersionWish,
        placements: list[Placement],
        current: list[Placement],
        older: list[Placement],
        missing: list[int],
    ) -> list[Placement]:
        """One after the other: a new container has to be healthy before an older one leaves."""
        ready = {each.index for each in current if each.state is S.HEALTHY}
        leaving = [each for each in older if each.index in ready or each.index >= wish.count]
        if leaving:
            gone = [self._leave(each, self._found.containers.get(each.container_id)) for each in leaving]
            rest = [each for each in placements if each not in leaving]
            return rest + [each for each in gone if each is not None]
        if len(ready) == len(current) and missing:
            placements.append(self._new(wish, missing[0]))
        return placements

    def _replace_unhealthy(self, placements: list[Placement], current: list[Placement]) -> list[Placement]:
        """One at a time, and only while every other container of the version serves."""
        sick = [
            each
            for each in current
            if each.state is S.UNHEALTHY and self._now - each.since_ms >= REPLACED_AFTER_MS
        ]
        if not sick or any(each.state in {S.WANTED, S.STARTING} for each in current):
            return placements
        one = sick[0]
        if not self._wishes[one.version].run.replace_containers:
            return placements
        self._tell("replaced", one, one.cause)
        self._actions.append(Action(Act.REMOVE, one))
        wanted = one.become(S.WANTED, self._now, start_at_ms=self._now, address="", healthy_at_ms=0, slot=0)
        return [wanted if each is one else each for each in placements]

    def _new(self, wish: VersionWish, index: int) -> Placement:
        return Placement(
            app=self._app,
            version=wish.version,
            index=index,
            generation=wish.generation,
            since_ms=self._now,
            start_at_ms=self._now,
            grace_s=wish.run.grace_period_s,
        )

    def _begin(self, placement: Placement) -> Placement:
        if placement.state is not S.WANTED or placement.start_at_ms > self._now:
            return placement
        started = placement.become(S.STARTING, self._now, starts=placement.starts + 1, misses=0)
        self._actions.append(Action(Act.START, started))
        return started

    def _tell(self, code: str, placement: Placement, text: str = "") -> None:
        self._events.append(Event(code, placement.version, placement.container_id, text))


def backoff_ms(starts: int) -> int:
    """How long a place waits for its next container after so many: none at first, then longer and longer."""
    if starts <= 1:
        return 0
    return min(_FIRST_BACKOFF_MS << min(starts - 2, 20), LONGEST_BACKOFF_MS)


def with_slots(placements: Sequence[Placement]) -> list[Placement]:
    """Gives each container that became healthy a place in its version's backend that no other one has."""
    taken = {(each.version, each.slot) for each in placements}
    given: list[Placement] = []
    for each in placements:
        if each.state in ROUTABLE and not each.slot:
            slot = next(number for number in count(1) if (each.version, number) not in taken)
            taken.add((each.version, slot))
            given.append(each.model_copy(update={"slot": slot}))
        else:
            given.append(each)
    return given


def routable(placements: Iterable[Placement], version: int) -> tuple[Placement, ...]:
    """The containers of a version that get requests: those that are healthy, or if there is none, the others.

    Three seconds of retries beat an immediate "no healthy endpoints".
    """
    candidates = [each for each in placements if each.version == version and each.state in ROUTABLE]
    healthy = tuple(each for each in candidates if each.state is S.HEALTHY)
    return healthy or tuple(candidates)
