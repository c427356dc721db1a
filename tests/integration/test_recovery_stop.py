"""A build worker that is told to stop hands its builds to another one, whatever they wait for."""

from __future__ import annotations

import os
import signal
import time
from itertools import count
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import uuid4

import pytest

from galaxy.adapters.queue import TaskQueue
from galaxy.domain.heartbeats import reaper_of
from galaxy.domain.states import Step, VersionState
from tests.support.fleet import eventually
from tests.support.gated_fleet import gated_fleet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import docker

    from galaxy.domain.models import VersionRef
    from tests.support.bundles import Bundle
    from tests.support.fleet import Around, Fleet, Process
    from tests.support.gate import Gate

#: What a supervisor gives a worker before it kills it; docker-compose.yml gives more.
GRACE_S: Final = 10.0
#: From its end until another worker has built what it had. The lease is longer: nobody waits for it.
TAKEN_OVER_S: Final = 25.0
LEASE_S: Final = 60


def once(worker: Process) -> None:
    worker.send(signal.SIGTERM)


def again_and_again(worker: Process) -> None:
    """As an impatient supervisor does."""
    while worker.alive:
        worker.send(signal.SIGTERM)
        time.sleep(0.02)


def with_its_group(worker: Process) -> None:
    """As a service manager does."""
    os.killpg(worker.pid, signal.SIGTERM)


def with_its_group_again_and_again(worker: Process) -> None:
    while worker.alive:
        with_its_group(worker)
        time.sleep(0.02)


def by_hanging_up(worker: Process) -> None:
    """As a terminal does that is closed."""
    os.killpg(worker.pid, signal.SIGHUP)


def and_by_hanging_up(worker: Process) -> None:
    """As systemd does with SendSIGHUP."""
    worker.send(signal.SIGTERM)
    worker.send(signal.SIGHUP)


class Relay:
    """Build workers, one after the other, and neither beat nor reconciler: nothing but a hand-over helps."""

    def __init__(self, fleet: Fleet, gates: dict[str, Gate]) -> None:
        self.fleet, self.gates = fleet, gates
        self.queue = TaskQueue(fleet.broker_url)
        self._names = (f"build{number}" for number in count())
        self.worker = self.started()

    def deploy(self, bundle: Bundle) -> VersionRef:
        ref = self.fleet.record(f"{uuid4().hex}.example.com", bundle.url)
        self.queue.build(ref)
        return ref

    def steps(self, refs: list[VersionRef]) -> list[Step | None]:
        return [self.fleet.store.version(ref).step for ref in refs]

    def replace(self, tell: Callable[[Process], None] = once) -> float:
        """Starts another worker and tells the present one to stop; returns how long it took to end."""
        name = reaper_of(f"{self._name}@fleet")
        eventually("it sweeps its engine", lambda: name in self.fleet.store.heartbeats())
        old, self.worker = self.worker, self.started()
        began = time.monotonic()
        tell(old)
        old.wait()
        assert name not in self.fleet.store.heartbeats(), "nobody is to miss it"
        return time.monotonic() - began

    def started(self, **env: str) -> Process:
        """Starts a worker by the plain command, with nothing but settings in its environment."""
        self._name = next(self._names)
        worker = self.fleet.worker(self._name, "builds,builds.bulk", 2, env=env)
        worker.wait_for("ready.")
        return worker


@pytest.fixture(scope="module")
def relay(
    around_fleets: Around, docker_api: docker.APIClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Relay]:
    options = {"GALAXY_LEASE_S": str(LEASE_S), "GALAXY_REAP_PERIOD_S": "0.5"}
    folder = tmp_path_factory.mktemp("relay")
    with gated_fleet(around_fleets, docker_api, folder, 4, **options) as (fleet, gates):
        yield Relay(fleet, gates)


class Hold(NamedTuple):
    """How builds are kept in a step: the bundle's line of shell, or the request at which a gate is shut."""

    step: Step
    line: str = "true"
    gate: str = ""
    request: str = ""


HOLDS: Final = {
    "while the engine pulls": Hold(Step.PULL, gate="mirror", request="GET /v2/"),
    "while the registry is asked for a digest": Hold(Step.PULL, gate="mirror", request="HEAD "),
    "while setup.sh heeds no signal": Hold(Step.SETUP, "trap '' TERM; while :; do sleep 1; done"),
    "while a large image is committed": Hold(Step.COMMIT, "printf '%0200000000d' 0 > /large"),
    "while the engine pushes": Hold(Step.PUSH, gate="registry", request="POST|PUT|PATCH|HEAD|GET"),
}


@pytest.mark.parametrize("hold", HOLDS.values(), ids=HOLDS.keys())
def test_a_stopped_worker_hands_its_builds_over(
    relay: Relay, docker_api: docker.APIClient, hold: Hold
) -> None:
    # an engine that is left alone with a commit ends it in its own time: the next one has to be later
    again = "sleep 4" if hold.step is Step.COMMIT else "true"
    bundles = [relay.fleet.bundles.add(hold.line, again) for _ in range(2)]
    closed = relay.gates.get(hold.gate)
    if closed:
        closed.held.clear()
        closed.shut_at(hold.request)
    refs = [relay.deploy(bundle) for bundle in bundles]
    # commits can't be held: one is enough
    enough = any if hold.step is Step.COMMIT else all
    eventually(f"in {hold.step}", lambda: enough(step is hold.step for step in relay.steps(refs)))
    if closed:
        eventually("somebody waits", closed.held.is_set)

    assert relay.replace() < GRACE_S

    if closed:
        closed.open()
    for ref in refs:
        assert relay.fleet.wait_until(ref, VersionState.BUILT, timeout_s=TAKEN_OVER_S).attempt == 1
    name = relay.fleet.env["GALAXY_NAME"]
    eventually("nothing is left", lambda: not docker_api.containers(all=True, filters={"name": name}))


def running_builds(relay: Relay) -> list[VersionRef]:
    """One for each slot, with scripts that do not end by themselves the first time."""
    hold = HOLDS["while setup.sh heeds no signal"]
    refs = [relay.deploy(relay.fleet.bundles.add(hold.line, "true")) for _ in range(2)]
    eventually("in setup", lambda: all(step is hold.step for step in relay.steps(refs)))
    return refs


@pytest.mark.parametrize(
    "tell",
    [
        again_and_again,
        with_its_group,
        with_its_group_again_and_again,
        by_hanging_up,
        and_by_hanging_up,
    ],
)
def test_builds_are_handed_over_however_the_worker_is_told(
    relay: Relay, tell: Callable[[Process], None]
) -> None:
    refs = running_builds(relay)
    assert relay.replace(tell) < GRACE_S
    for ref in refs:
        assert relay.fleet.wait_until(ref, VersionState.BUILT, timeout_s=TAKEN_OVER_S).attempt == 1


@pytest.mark.parametrize("tell", [once, with_its_group_again_and_again])
def test_a_worker_that_was_told_by_its_environment_does_the_same(
    relay: Relay, tell: Callable[[Process], None]
) -> None:
    plain, relay.worker = relay.worker, relay.started(REMAP_SIGTERM="SIGQUIT")
    plain.send(signal.SIGTERM)
    plain.wait()
    refs = running_builds(relay)
    assert relay.replace(tell) < GRACE_S
    for ref in refs:
        assert relay.fleet.wait_until(ref, VersionState.BUILT, timeout_s=TAKEN_OVER_S).attempt == 1


def test_a_worker_that_was_started_by_nohup_goes_on_when_its_terminal_is_closed(relay: Relay) -> None:
    plain, handler = relay.worker, signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        relay.worker = relay.started()
    finally:
        signal.signal(signal.SIGHUP, handler)
    plain.send(signal.SIGTERM)
    plain.wait()
    bundle = relay.fleet.bundles.add()
    bundle.hold()
    ref = relay.deploy(bundle)
    eventually("it is asked for", lambda: bundle.asked)
    by_hanging_up(relay.worker)
    bundle.release()
    assert relay.fleet.wait_until(ref, VersionState.BUILT, timeout_s=TAKEN_OVER_S).attempt == 1
    assert bundle.asked == 1
    assert relay.worker.alive


def test_ctrl_c_lets_builds_come_to_their_end(relay: Relay) -> None:
    bundle = relay.fleet.bundles.add()
    bundle.hold()
    ref = relay.deploy(bundle)
    eventually("setup.sh runs", lambda: bundle.asked)
    old, relay.worker = relay.worker, relay.started()
    os.killpg(old.pid, signal.SIGINT)  # a terminal tells the whole group
    old.wait_for("Hitting Ctrl+C again")
    time.sleep(1)  # longer than a worker takes to hand a build back
    assert relay.steps([ref]) == [Step.SETUP]
    bundle.release()
    assert relay.fleet.wait_until(ref, VersionState.BUILT).attempt == 1
    old.wait()
    assert bundle.asked == 1
