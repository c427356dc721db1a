"""Dead workers, dead slots and an emptied broker: every version goes on without a person."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import uuid4

import pytest

from galaxy.domain.states import Step, VersionState
from tests.support.bundles import OBEDIENT
from tests.support.fleet import eventually
from tests.support.gate import Gate, engine_address
from tests.support.gated_fleet import gated_fleet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import docker

    from galaxy.domain.models import VersionRef
    from tests.support.base_images import BaseImages
    from tests.support.bundles import Bundle
    from tests.support.fleet import Around, Fleet

LEASE_S: Final = 3.0
RECONCILE_S: Final = 0.5
REAP_S: Final = 1.0
#: A few rounds of the reaper, on a busy machine: with the default period, a minute.
REAPED_S: Final = 10.0
#: Lease, one period of the reconciler, the worker's start and the build itself, on a busy machine.
RECOVERED_S: Final = 20.0


class Door(NamedTuple):
    """Where a build is stopped: at this request to the server behind the gate; without one, in its own script."""

    gate: str = ""
    request: str = ""


DOORS: Final = {
    Step.PULL: Door("mirror", "HEAD "),
    Step.VERIFY: Door("engine", "GET .*/archive"),
    Step.SETUP: Door(),
    Step.COMMIT: Door("engine", "POST .*/commit"),
    Step.PUSH: Door("registry", "POST|HEAD|GET"),
}


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
        "GALAXY_REAP_PERIOD_S": str(REAP_S),
    }
    folder = tmp_path_factory.mktemp("hospital")
    with Gate(engine_address(docker_api)) as engine:
        options["DOCKER_HOST"] = f"tcp://{engine.address}"
        with gated_fleet(around_fleets, docker_api, folder, 3, **options) as (fleet, gates):
            yield Hospital(fleet, {**gates, "engine": engine})


class Remains:
    """What builds of an app leave on the engine, looked at behind the gate."""

    def __init__(self, api: docker.APIClient, fleet: Fleet, app: str) -> None:
        self._api, self._app = api, app
        self._named = {"name": f"{fleet.env['GALAXY_NAME']}-build-{app}-"}

    def containers(self) -> list[str]:
        found = self._api.containers(all=True, filters=self._named)
        return [name for each in found for name in each["Names"]]

    def volumes(self) -> list[str]:
        found = self._api.volumes(filters=self._named)["Volumes"] or ()
        return [each["Name"] for each in found]

    def images(self) -> list[list[str]]:
        """The tags of each image that was committed for the app."""
        label = f"org.opencontainers.image.title={self._app}"
        return [each["RepoTags"] or [] for each in self._api.images(all=True, filters={"label": label})]


@pytest.fixture
def base_image(around_fleets: Around, base_images: BaseImages) -> dict[str, object]:
    """Settings with a base image that no worker knows yet, and that has a volume."""
    repository = f"{around_fleets.name}/{uuid4().hex}"
    spec = OBEDIENT._replace(dockerfile=f'LABEL a={uuid4().hex}\nVOLUME /data\nCMD ["/bin/true"]')
    base_images.publish(base_images.build(spec), f"{around_fleets.registry}/{repository}", "1")
    return {"galaxy.meteor.com": {"baseImage": {"repository": repository, "tag": "1"}}}


@pytest.mark.parametrize("kill", [Hospital.kill_worker, Hospital.kill_slot])
@pytest.mark.parametrize("step", [*DOORS])
def test_a_killed_build_costs_one_attempt_and_leaves_nothing_behind(  # noqa: PLR0913, PLR0917 - fixtures, parameters
    hospital: Hospital,
    docker_api: docker.APIClient,
    app: str,
    base_image: dict[str, object],
    kill: Callable[[Hospital], None],
    step: Step,
) -> None:
    fleet, door = hospital.fleet, DOORS[step]
    bundle = fleet.bundles.add("sleep 1000" if step is Step.SETUP else "true", "true")
    gate = hospital.gates.get(door.gate)
    if gate:
        gate.held.clear()
        gate.shut_at(door.request)
    ref = fleet.deploy(app, bundle.url, base_image)
    eventually(f"it is in {step}", lambda: fleet.store.version(ref).step is step and (gate or bundle.asked))
    if gate:
        eventually("it waits", gate.held.is_set)
    remains = Remains(docker_api, fleet, app)
    assert bool(remains.containers()) is bool(remains.volumes()) is (step is not Step.PULL)

    kill(hospital)
    if gate:  # what an engine or a registry was asked for, it may still do
        gate.open()

    version = fleet.wait_until_final(ref, RECOVERED_S)
    assert (version.state, version.attempt) == (VersionState.ACTIVE, 2), fleet.outputs()
    eventually("no container is left", lambda: not remains.containers(), REAPED_S)
    eventually("no volume is left", lambda: not remains.volumes(), REAPED_S)
    only = [[f"{fleet.env['GALAXY_REGISTRY']}/apps/{app}:1"]]
    eventually("only the version's image is left", lambda: remains.images() == only, REAPED_S)


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
