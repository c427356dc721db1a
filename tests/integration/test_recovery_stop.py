"""A build worker that is told to stop hands its builds to another one, whatever they wait for."""

from __future__ import annotations

import signal
import time
from itertools import count
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import uuid4

import pytest

from galaxy.adapters.queue import TaskQueue
from galaxy.domain.states import Step, VersionState
from galaxy.domain.ticks import reaper_of
from tests.support.fleet import eventually
from tests.support.gated_fleet import gated_fleet

if TYPE_CHECKING:
    from collections.abc import Iterator

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


class Relay:
    """Build workers, one after the other, and neither beat nor reconciler: nothing but a hand-over helps."""

    def __init__(self, fleet: Fleet, gates: dict[str, Gate]) -> None:
        self.fleet, self.gates = fleet, gates
        self.queue = TaskQueue(fleet.broker_url)
        self._names = (f"build{number}" for number in count())
        self.worker = self._started()

    def deploy(self, bundle: Bundle) -> VersionRef:
        ref = self.fleet.record(f"{uuid4().hex}.example.com", bundle.url)
        self.queue.build(ref)
        return ref

    def steps(self, refs: list[VersionRef]) -> list[Step | None]:
        return [self.fleet.store.version(ref).step for ref in refs]

    def replace(self) -> float:
        """Starts another worker and tells the present one to stop; returns how long it took to end."""
        name = reaper_of(f"{self._name}@fleet")
        eventually("it sweeps its engine", lambda: name in self.fleet.store.ticks())
        old, self.worker = self.worker, self._started()
        began = time.monotonic()
        old.send(signal.SIGTERM)
        old.wait()
        assert name not in self.fleet.store.ticks(), "nobody is to miss it"
        return time.monotonic() - began

    def _started(self) -> Process:
        self._name = next(self._names)
        worker = self.fleet.build_worker(name=self._name)
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
