"""The decision which containers to start, to stop and to replace, against a world that obeys it."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from galaxy.domain.containers import AppContainer, ContainerExit, ContainerStatus
from galaxy.domain.deploys.run_settings import RunSettings
from galaxy.domain.health import Probe, ProbeOutcome
from galaxy.domain.keeping import (
    LONGEST_BACKOFF_MS,
    MAX_STARTS,
    REPLACED_AFTER_MS,
    RUNS_FOR_MS,
    STEADY_MS,
    Found,
    Plan,
    backoff_ms,
    decide,
    routable,
)
from galaxy.domain.placements import Act, Placement, PlacementState, VersionWish

S = PlacementState
APP = "www.example.com"
SECOND = 1_000
ANSWERS = Probe(ProbeOutcome.ANSWERED, 3000, status=200)
REFUSES = Probe(ProbeOutcome.REFUSED, 3000)
WITHOUT_WEB = RunSettings(health_check=None)
LEFT_ALONE = RunSettings(replace_containers=False)


class World:
    """An engine and a router that do at once what they are told, and a clock that the test moves."""

    def __init__(self, *wishes: VersionWish) -> None:
        self.wishes = list(wishes)
        self.now_ms = 1_700_000_000_000
        self.containers: dict[str, AppContainer] = {}
        self.placements: tuple[Placement, ...] = ()
        self.probes: dict[str, Probe] = {}
        self.refused: dict[str, str] = {}
        self.in_flight: dict[int, int] = {}
        self.healthy_by_itself = True
        self.ends_at_sigterm = True
        self.events: list[tuple[str, str]] = []
        self.did: list[tuple[str, str]] = []

    def look(self, after_ms: int = SECOND) -> Plan:
        """One decision, and what follows from it."""
        self.now_ms += after_ms
        found = Found(self.containers, self.probes, self.refused, self.in_flight, self.now_ms)
        plan = decide(APP, self.wishes, self.placements, found)
        self.placements = plan.placements
        self.events += [(event.code, event.container) for event in plan.events]
        for act, placement in plan.actions:
            self.did.append((act, placement.container_id))
            self._do(act, placement.container_id)
        return plan

    def settle(self, after_ms: int = SECOND) -> None:
        """Looks until there is nothing more to do."""
        for _ in range(100):
            before = self.placements
            if not self.look(after_ms).actions and self.placements == before:
                return
        raise AssertionError(f"It never ends: {self.placements}")

    def end(self, name: str, code: int = 1) -> None:
        ended = ContainerExit(code, at_ms=self.now_ms)
        change = {"status": ContainerStatus.EXITED, "exit": ended}
        self.containers[name] = self.containers[name].model_copy(update=change)
        self.probes.pop(name, None)

    def states(self) -> dict[str, PlacementState]:
        return {each.container_id: each.state for each in self.placements}

    def running(self) -> set[str]:
        return {name for name, each in self.containers.items() if each.status is ContainerStatus.RUNNING}

    def _do(self, act: Act, name: str) -> None:
        if act is Act.START:
            assert name not in self.containers, "a name is used once"
            if name in self.refused:
                return
            self.containers[name] = AppContainer(
                id=name,
                name=name,
                labels={},
                status=ContainerStatus.RUNNING,
                address="172.20.0.2",
                started_at_ms=self.now_ms,
            )
            if self.healthy_by_itself:
                self.probes[name] = ANSWERS
        elif act is Act.REMOVE:
            self.containers.pop(name, None)
            self.probes.pop(name, None)
        elif act is Act.KILL or self.ends_at_sigterm:
            self.end(name, 137 if act is Act.KILL else 143)


def active(
    version: int = 1, count: int = 1, generation: int = 0, run: RunSettings | None = None
) -> VersionWish:
    return VersionWish(
        version=version, serves=True, count=count, generation=generation, run=run or RunSettings()
    )


def candidate(version: int = 2, count: int = 1, run: RunSettings | None = None) -> VersionWish:
    return VersionWish(version=version, serves=False, count=count, run=run or RunSettings())


# -- starting


def test_what_is_wished_for_is_started_and_becomes_healthy_when_it_answers() -> None:
    world = World(candidate(count=2))
    world.healthy_by_itself = False
    world.look()
    assert world.states() == {"v2-0-0-1": S.STARTING, "v2-1-0-1": S.STARTING}
    world.probes["v2-0-0-1"] = REFUSES
    world.look()
    (first, _) = world.placements
    assert (first.state, first.cause) == (S.STARTING, "It does not listen on port 3000.")
    world.probes = {"v2-0-0-1": ANSWERS, "v2-1-0-1": ANSWERS}
    world.settle()
    assert world.states() == {"v2-0-0-1": S.HEALTHY, "v2-1-0-1": S.HEALTHY}
    assert {each.slot for each in world.placements} == {1, 2}
    assert world.placements[0].cause == ""


def test_an_app_without_a_web_server_has_to_run_for_a_while() -> None:
    world = World(candidate(run=WITHOUT_WEB))
    world.healthy_by_itself = False
    world.look()
    world.look(RUNS_FOR_MS - 1)
    assert world.states() == {"v2-0-0-1": S.STARTING}
    world.look(1)
    assert world.states() == {"v2-0-0-1": S.HEALTHY}


def test_a_new_versions_container_that_ends_is_started_twice_more_and_then_has_failed() -> None:
    world = World(candidate())
    world.healthy_by_itself = False
    for start in range(1, MAX_STARTS + 1):
        world.look()
        assert world.states() == {f"v2-0-0-{start}": S.STARTING}
        world.end(f"v2-0-0-{start}", 3)
    world.settle()
    (placement,) = world.placements
    assert (placement.state, placement.cause) == (S.FAILED, "It ended with exit code 3.")
    assert world.containers == {}
    assert world.events == [("ended", "v2-0-0-1"), ("ended", "v2-0-0-2")]


def test_one_that_the_engine_refuses_has_failed_with_the_engines_words() -> None:
    world = World(candidate())
    world.refused = {f"v2-0-0-{start}": "The image can't be run." for start in range(1, MAX_STARTS + 1)}
    world.settle()
    (placement,) = world.placements
    assert (placement.state, placement.cause) == (S.FAILED, "The image can't be run.")


def test_an_engine_that_lost_a_start_is_asked_again() -> None:
    world = World(candidate())
    world.look()
    world.containers.clear()
    world.look()
    assert world.states() == {"v2-0-0-1": S.STARTING}, "it may only be slow"
    world.look(60 * SECOND)
    assert world.states() == {"v2-0-0-2": S.STARTING}


# -- replacing


def test_a_serving_container_that_dies_is_replaced_at_once_and_then_more_and_more_slowly() -> None:
    world = World(active())
    world.settle()
    waits = []
    for start in range(1, 6):
        world.end(f"v1-0-0-{start}")
        died_ms = world.now_ms
        while f"v1-0-0-{start + 1}" not in world.running():
            world.look(250)
        waits.append(world.now_ms - died_ms)
        world.look(250)
    assert waits[0] <= 500
    assert waits == sorted(waits)
    assert waits[-1] >= 8 * SECOND
    assert world.events == [("replaced", f"v1-0-0-{start}") for start in range(1, 6)]


def test_one_that_ran_for_long_is_no_crash_loop() -> None:
    world = World(active())
    world.settle()
    for start in (1, 2):
        world.end(f"v1-0-0-{start}")
        world.settle()
    world.now_ms += STEADY_MS
    world.end("v1-0-0-3")
    world.look(1)
    assert "v1-0-0-2" in {name for act, name in world.did if act is Act.START}
    assert world.placements[0].state is S.STARTING


def test_an_app_that_wants_it_so_is_left_alone() -> None:
    world = World(active(run=LEFT_ALONE))
    world.settle()
    world.end("v1-0-0-1")
    world.settle()
    assert world.states() == {"v1-0-0-1": S.FAILED}
    assert world.events == [("not_replaced", "v1-0-0-1")]


def test_one_miss_is_none_and_two_take_it_out() -> None:
    world = World(active(count=2))
    world.settle()
    world.probes["v1-0-0-1"] = REFUSES
    world.look()
    assert world.states()["v1-0-0-1"] is S.HEALTHY
    world.look()
    assert world.states()["v1-0-0-1"] is S.UNHEALTHY
    assert [each.container_id for each in routable(world.placements, 1)] == ["v1-1-0-1"]
    world.probes["v1-0-0-1"] = ANSWERS
    world.look()
    assert len(routable(world.placements, 1)) == 2
    assert [code for code, _ in world.events] == ["unhealthy", "healthy_again"]


def test_a_probe_that_succeeds_in_between_forgives_a_miss() -> None:
    world = World(active())
    world.settle()
    for probe in (REFUSES, ANSWERS, REFUSES, ANSWERS):
        world.probes["v1-0-0-1"] = probe
        world.look()
    assert world.events == []


def test_the_last_container_of_a_version_stays_in_the_router() -> None:
    world = World(active())
    world.settle()
    world.probes["v1-0-0-1"] = REFUSES
    world.look()
    world.look()
    assert world.states()["v1-0-0-1"] is S.UNHEALTHY
    assert [each.container_id for each in routable(world.placements, 1)] == ["v1-0-0-1"]


def test_what_is_unhealthy_for_long_is_replaced_one_at_a_time() -> None:
    world = World(active(count=3))
    world.settle()
    world.healthy_by_itself = False
    for name in ("v1-0-0-1", "v1-1-0-1"):
        world.probes[name] = REFUSES
    world.look()
    world.look()
    world.look(REPLACED_AFTER_MS - 1)
    assert world.did.count((Act.START, "v1-0-0-2")) == 0
    world.look(1)
    world.look()
    assert "v1-0-0-2" in world.running()
    assert "v1-1-0-1" in world.running(), "the second waits for the first"
    world.probes["v1-0-0-2"] = ANSWERS
    world.look()
    world.look()
    assert "v1-1-0-2" in world.running()


# -- leaving


def test_old_containers_answer_what_they_have_before_they_are_stopped() -> None:
    world = World(active())
    world.settle()
    world.wishes = [active(version=2)]
    world.in_flight = {1: 3}
    world.settle()
    assert world.states() == {"v1-0-0-1": S.LEAVING, "v2-0-0-1": S.HEALTHY}
    assert routable(world.placements, 1) == ()
    world.in_flight = {1: 0}
    world.settle()
    assert world.states() == {"v2-0-0-1": S.HEALTHY}
    assert world.running() == {"v2-0-0-1"}
    assert world.events == []


def test_a_drain_ends_with_the_grace_period_and_says_how_many_were_cut_off() -> None:
    world = World(active())
    world.settle()
    world.wishes, world.in_flight = [], {1: 2}
    world.look()
    world.look(29 * SECOND)
    assert world.states() == {"v1-0-0-1": S.LEAVING}
    plan = world.look(SECOND)
    assert [(event.code, event.text) for event in plan.events] == [("cut_off", "2")]
    world.settle()
    assert world.containers == {}


def test_who_ignores_sigterm_is_killed_after_the_grace_period() -> None:
    world = World(active(run=RunSettings(grace_period_s=10)))
    world.ends_at_sigterm = False
    world.settle()
    world.wishes = []
    world.look()
    world.look()
    assert world.states() == {"v1-0-0-1": S.STOPPING}
    world.look(9 * SECOND)
    assert world.running() == {"v1-0-0-1"}
    world.look(SECOND)
    world.settle()
    assert world.containers == {}


def test_a_new_version_that_is_given_up_leaves_nothing_behind_and_the_old_one_untouched() -> None:
    world = World(active())
    world.settle()
    before = dict(world.containers)
    world.wishes.append(candidate(count=2))
    world.settle()
    world.wishes.pop()
    world.settle()
    assert world.containers == before
    assert set(world.states()) == {"v1-0-0-1"}


# -- scale and restart


def test_scaling_adds_and_removes_the_last_places() -> None:
    world = World(active())
    world.settle()
    world.wishes = [active(count=3)]
    world.settle()
    assert world.running() == {"v1-0-0-1", "v1-1-0-1", "v1-2-0-1"}
    world.wishes = [active(count=1)]
    world.settle()
    assert world.running() == {"v1-0-0-1"}


@pytest.mark.parametrize("count", [1, 3])
def test_a_restart_replaces_one_after_the_other_and_always_serves_with_all(count: int) -> None:
    world = World(active(count=count))
    world.settle()
    world.wishes = [active(count=count, generation=1)]
    for _ in range(50):
        world.look(250)
        assert len(routable(world.placements, 1)) >= count
        assert len(world.running()) <= count + 1
    assert world.running() == {f"v1-{index}-1-1" for index in range(count)}


def test_a_restart_whose_new_containers_never_answer_keeps_the_old_ones() -> None:
    world = World(active(count=2))
    world.settle()
    world.healthy_by_itself = False
    world.wishes = [active(count=2, generation=1)]
    for _ in range(50):
        world.look(250)
    assert {"v1-0-0-1", "v1-1-0-1"} <= world.running()
    assert len(world.running()) == 3


def test_slots_are_never_shared() -> None:
    world = World(active(count=3))
    world.settle()
    world.in_flight = {1: 1}
    world.wishes = [active(count=3, generation=1)]
    for _ in range(30):
        world.look(250)
        slots = [each.slot for each in world.placements if each.slot]
        assert len(slots) == len(set(slots))


@pytest.mark.parametrize(
    ("starts", "wait_ms"), [(0, 0), (1, 0), (2, 1_000), (3, 2_000), (4, 4_000), (99, LONGEST_BACKOFF_MS)]
)
def test_waits_grow_and_have_an_end(starts: int, wait_ms: int) -> None:
    assert backoff_ms(starts) == wait_ms


# -- whatever happens


class Faults(RuleBasedStateMachine):
    """Containers die, vanish and fall silent, wishes change: the decision holds its promises, and comes to rest."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(active())

    @rule(after_ms=st.sampled_from([100, SECOND, 40 * SECOND, REPLACED_AFTER_MS]))
    def look(self, after_ms: int) -> None:
        self.world.look(after_ms)

    @rule(data=st.data())
    def one_dies(self, data: st.DataObject) -> None:
        if running := sorted(self.world.running()):
            self.world.end(data.draw(st.sampled_from(running)))

    @rule(data=st.data())
    def one_vanishes(self, data: st.DataObject) -> None:
        if self.world.containers:
            name = data.draw(st.sampled_from(sorted(self.world.containers)))
            del self.world.containers[name]
            self.world.probes.pop(name, None)

    @rule(data=st.data(), answers=st.booleans())
    def one_changes_its_mind(self, data: st.DataObject, *, answers: bool) -> None:
        if running := sorted(self.world.running()):
            self.world.probes[data.draw(st.sampled_from(running))] = ANSWERS if answers else REFUSES

    @rule(
        version=st.integers(1, 3),
        count=st.integers(1, 3),
        generation=st.integers(0, 2),
        new=st.booleans(),
        stopped=st.booleans(),
    )
    def wishes_change(self, version: int, count: int, generation: int, *, new: bool, stopped: bool) -> None:
        self.world.wishes = [] if stopped else [active(version, count, generation)]
        if new and not stopped:
            self.world.wishes.append(candidate(version + 1, count))

    @rule(requests=st.integers(0, 2))
    def requests_come(self, requests: int) -> None:
        self.world.in_flight = {1: requests, 2: requests}

    @invariant()
    def every_container_belongs_to_a_placement(self) -> None:
        assert set(self.world.containers) <= set(self.world.states())

    @invariant()
    def only_what_serves_is_routed_and_never_what_leaves(self) -> None:
        for version in (1, 2, 3, 4):
            assert all(
                each.state in {S.HEALTHY, S.UNHEALTHY} for each in routable(self.world.placements, version)
            )
            slots = [each.slot for each in self.world.placements if each.version == version and each.slot]
            assert len(slots) == len(set(slots))

    def teardown(self) -> None:
        """Once the faults end, exactly what is wished for runs."""
        world = self.world
        world.in_flight = {}
        world.probes = dict.fromkeys(world.running(), ANSWERS)
        for _ in range(200):
            world.look(LONGEST_BACKOFF_MS)
            for name in world.running():
                world.probes.setdefault(name, ANSWERS)
        wanted = {(wish.version, index) for wish in world.wishes for index in range(wish.count)}
        failed = {(each.version, each.index) for each in world.placements if each.state is S.FAILED}
        serving = {(each.version, each.index) for each in world.placements if each.state is S.HEALTHY}
        assert serving == wanted - failed
        assert len(world.running()) == len(serving)
        assert not any(
            version == wish.version for version, _ in failed for wish in world.wishes if wish.serves
        )


TestFaults = Faults.TestCase
TestFaults.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
