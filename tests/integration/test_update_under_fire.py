"""Pollers, fan-outs and builders are killed at random while a base image update goes through the fleet."""

from __future__ import annotations

import os
import random
import shutil
import time
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from galaxy.domain.base_images.image_reference import ImageReference
from galaxy.domain.models import BuiltImage, VersionRef
from galaxy.domain.states import Step, VersionState
from tests.conftest import unavailable
from tests.support.bundles import Bundles
from tests.support.fleet import Around, Fleet, RedisWithPassword, eventually
from tests.support.registry_server import RegistryServer
from tests.support.stores import claim, new_version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.fleet import Process

APPS = int(os.environ.get("UPDATE_APPS", "100"))
KILLS = int(os.environ.get("UPDATE_KILLS", "5"))
REPOSITORY = "meteor/galaxy-app"


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with RegistryServer().running() as server:
        yield server


@pytest.fixture
def fleet(server: RegistryServer, tmp_path: Path) -> Iterator[Fleet]:
    if not shutil.which("redis-server"):
        unavailable("redis-server is not installed")
    redis = RedisWithPassword(tmp_path)
    around = Around(
        redis, "registry.test", f"{REPOSITORY}:latest", Bundles("127.0.0.1"), f"fire-{uuid4().hex}"
    )
    options = {
        "GALAXY_DOCKER_HUB_MIRROR": server.url,
        "GALAXY_REGISTRY_TIMEOUT_S": "1",
        "GALAXY_BASE_IMAGE_TICK_S": "0.3",
        "GALAXY_BASE_IMAGE_POLL_S": "0.5",
        "GALAXY_UPDATE_WAVES": "1,100%",
    }
    fleet = Fleet(around, tmp_path, 0, **options)
    fleet.celery_app = "tests.support.fake_fleet"
    yield fleet
    fleet.stop()
    redis.stop()


def run_app(fleet: Fleet, app: str, base_digest: str) -> None:
    """The app is active, as a person deployed it."""
    reference = ImageReference.parse(f"{REPOSITORY}:latest")
    new = new_version(app).model_copy(update={"base_reference": reference.canonical})
    made = fleet.store.create_version(new, idempotency_key="k", fingerprint="f", retention_s=60)
    attempt = claim(fleet.store, VersionRef(app, made.number))
    fleet.store.record_progress(attempt, step=Step.PULL, base_digest=base_digest)
    built = BuiltImage(image="registry.test/x:1", image_digest=base_digest, base_digest=base_digest)
    fleet.store.finish(attempt, built, ())
    fleet.store.begin_rollout(attempt.ref)
    fleet.store.activate(attempt.ref)


def test_each_app_gets_exactly_one_version_whoever_is_killed(fleet: Fleet, server: RegistryServer) -> None:
    seed = random.randrange(10**9)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it with a failure
    chance = random.Random(seed)
    first = server.publish_image(REPOSITORY, "latest", b"first")
    apps = [f"app{number:04}.example.com" for number in range(APPS)]
    for app in apps:
        run_app(fleet, app, first)
    second = server.publish_image(REPOSITORY, "latest", b"second")

    queues = {"control-a": "control,rollouts,base-images", "control-b": "control,base-images,rollouts"}
    queues["build"] = "builds,builds.bulk"

    def start(name: str) -> Process:
        if name == "beat":
            return fleet.celery("beat", "beat", "-l", "info")
        return fleet.worker(name, queues[name], 1)

    def done() -> int:
        return sum(fleet.store.active_version(app) == 2 for app in apps)

    workers: dict[str, Process] = {name: start(name) for name in queues}
    for worker in workers.values():
        worker.wait_for("ready.")
    workers["beat"] = start("beat")
    eventually("the update has begun", lambda: fleet.store.versions(apps[0])[0].number == 2)
    done_before: list[int] = []
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.1, 1.5))
        done_before.append(done())
        name = chance.choice([*workers])
        workers[name].kill_all()
        workers[name] = start(name)
    assert done_before[0] < APPS, "it was over before anybody was killed"

    def active_on_it() -> bool:
        return done() == APPS

    eventually("every app is active on the new base image", active_on_it, timeout_s=150)
    for app in apps:
        rebuilt, deployed = fleet.store.versions(app)
        assert (deployed.number, deployed.state) == (1, VersionState.RETIRED)
        assert (rebuilt.automatic, rebuilt.base_digest) == (True, second)
