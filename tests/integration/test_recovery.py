"""Dead workers, dead slots and an emptied broker: every version goes on without a person."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import pytest

from galaxy.domain.states import Step, VersionState
from tests.support.fleet import eventually
from tests.support.gated_fleet import gated_fleet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import docker

    from galaxy.domain.models import VersionRef
    from tests.support.bundles import Bundle
    from tests.support.fleet import Around, Fleet
    from tests.support.gate import Gate

LEASE_S: Final = 2.0
RECONCILE_S: Final = 0.5
#: Lease, one period of the reconciler, the worker's start and the build itself, on a busy machine.
RECOVERED_S: Final = 20.0


class Hospital:
    """A fleet whose build worker dies again and again, with doors at which its builds can be stopped."""

    def __init__(self, fleet: Fleet, gates: dict[str, Gate]) -> None:
        self.fleet, self.gates = fleet, gates
        self.worker = fleet.start(slots=1)

    def deploy(self, bundle: Bundle) -> VersionRef:
        return self.fleet.deploy(f"{uuid4().hex}.example.com", bundle.url)

    def kill_worker(self) -> None:
        """With every slot, as the end of its machine would; another one is started."""
        self.worker.kill_all()
        self.worker = self.fleet.build_worker(slots=1)

    def kill_slot(self) -> None:
        """The process that builds, alone, as the kernel does when memory runs out."""
        (slot,) = Path(f"/proc/{self.worker.pid}/task/{self.worker.pid}/children").read_text().split()
        os.kill(int(slot), signal.SIGKILL)


@pytest.fixture(scope="module")
def hospital(
    around_fleets: Around, docker_api: docker.APIClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hospital]:
    options = {
        "GALAXY_LEASE_S": str(LEASE_S),
        "GALAXY_RECONCILE_PERIOD_S": str(RECONCILE_S),
        "GALAXY_REAP_PERIOD_S": "1",
    }
    folder = tmp_path_factory.mktemp("hospital")
    with gated_fleet(around_fleets, docker_api, folder, 3, **options) as (fleet, gates):
        yield Hospital(fleet, gates)


@pytest.mark.parametrize("kill", [Hospital.kill_worker, Hospital.kill_slot])
@pytest.mark.parametrize(
    ("step", "gate", "request_held"),
    [(Step.PULL, "mirror", "HEAD "), (Step.SETUP, "", ""), (Step.PUSH, "registry", "POST|HEAD|GET")],
)
def test_a_killed_build_costs_one_attempt_and_begins_again(  # noqa: PLR0913, PLR0917 - two fixtures, two parameters
    hospital: Hospital,
    docker_api: docker.APIClient,
    kill: Callable[[Hospital], None],
    step: Step,
    gate: str,
    request_held: str,
) -> None:
    bundle = hospital.fleet.bundles.add("sleep 1000" if step is Step.SETUP else "true", "true")
    closed = hospital.gates.get(gate)
    if closed:
        closed.held.clear()
        closed.shut_at(request_held)
    ref = hospital.deploy(bundle)
    eventually(
        f"it is in {step}",
        lambda: hospital.fleet.store.version(ref).step is step and (closed or bundle.asked),
    )
    if closed:
        eventually("it waits", closed.held.is_set)

    kill(hospital)
    if closed:
        closed.open()

    version = hospital.fleet.wait_until_final(ref, RECOVERED_S)
    assert (version.state, version.attempt) == (VersionState.ACTIVE, 2)
    name = hospital.fleet.env["GALAXY_NAME"]
    eventually("nothing is left", lambda: not docker_api.containers(all=True, filters={"name": name}))


def test_an_emptied_broker_loses_no_version_though_others_are_enqueued_since(hospital: Hospital) -> None:
    held = hospital.fleet.bundles.add("sleep 3", "true")
    running = hospital.deploy(held)
    eventually("the only slot is taken", lambda: held.asked)
    lost = [hospital.deploy(hospital.fleet.bundles.add()) for _ in range(3)]
    with hospital.fleet.redis.client(hospital.fleet.broker_db) as broker:
        broker.flushdb()
    later = [hospital.deploy(hospital.fleet.bundles.add()) for _ in range(2)]
    ended = [hospital.fleet.wait_until_final(ref, RECOVERED_S) for ref in (running, *lost, *later)]
    assert {(version.state, version.attempt) for version in ended} == {(VersionState.ACTIVE, 1)}
    assert held.asked == 1
