"""What dead attempts left on a real engine goes; what lives, and what is not ours, stays."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import docker
import fakeredis
import pytest
from pydantic import SecretStr

from galaxy.adapters.docker_engine import DockerEngine
from galaxy.adapters.keys import Keys
from galaxy.adapters.store import RedisStore
from galaxy.domain.models import Attempt, NewVersion, VersionRef
from galaxy.domain.names import LOOK, ClaimRef, container_name
from galaxy.services.reaper import Reaper
from tests.conftest import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

APP = "www.example.com"


class World:
    """An engine with containers and images, and a store that says which of them live."""

    def __init__(self) -> None:
        self.docker = docker.from_env()
        self.docker.ping()
        self.name = f"galaxy-reaper-{uuid4().hex[:8]}"
        self.registry = f"{self.name}.invalid:1"
        redis = fakeredis.FakeRedis(decode_responses=True)
        self.store = RedisStore(redis, Keys(self.name), lease_s=30, requeue_after_s=30)
        self.reaper = Reaper(self.store, DockerEngine(), name=self.name, registry=self.registry)
        self._base = self.docker.api.import_image_from_data(b"\0" * 1024, repository=self.name, tag="empty")

    def claim(self) -> Attempt:
        new = NewVersion(
            app=APP,
            bundle_url=SecretStr("http://bundles.example.com/x"),
            settings=SecretStr("{}"),
            env={},
            base_image="meteor/galaxy-app:latest",
            deployed_by="test",
        )
        made = self.store.create_version(new, idempotency_key=uuid4().hex, fingerprint="", retention_s=60)
        attempt = self.store.claim(VersionRef(APP, made.number))
        assert isinstance(attempt, Attempt)
        return attempt

    def container(self, name: str) -> str:
        created = self.docker.api.create_container(f"{self.name}:empty", command=["-"], name=name)
        return str(created["Id"])

    def names(self) -> set[str]:
        return {each.name for each in self.docker.containers.list(all=True, filters={"name": self.name})}

    def tag(self, number: int) -> str:
        image = self.docker.images.get(f"{self.name}:empty")
        image.tag(f"{self.registry}/apps/{APP}", str(number))
        return f"{self.registry}/apps/{APP}:{number}"

    def tags(self) -> set[str]:
        return {tag for image in self.docker.images.list() for tag in image.tags if self.name in tag}

    def close(self) -> None:
        for each in self.docker.containers.list(all=True, filters={"name": self.name}):
            each.remove(force=True, v=True)
        for tag in self.tags():
            self.docker.images.remove(tag, force=True)
        self.docker.close()


@pytest.fixture
def world() -> Iterator[World]:
    try:
        here = World()
    except docker.errors.DockerException:
        unavailable("no Docker engine answers")
    yield here
    here.close()


def name_of(world: World, attempt: Attempt) -> str:
    return container_name(world.name, ClaimRef(attempt.ref, attempt.token))


def test_the_container_of_a_live_attempt_stays_and_that_of_a_dead_one_goes(world: World) -> None:
    attempt = world.claim()
    live, dead = name_of(world, attempt), name_of(world, attempt.model_copy(update={"token": 99}))
    world.container(live)
    world.container(dead)
    world.container(dead + LOOK)

    assert world.reaper.run() == 2
    assert world.names() == {live}

    world.store.fail(attempt, "it failed", retry_in_s=60, steps=())
    assert world.reaper.run() == 1
    assert world.names() == set()


def test_containers_that_are_not_ours_stay(world: World) -> None:
    foreign = {f"{world.name}-db", f"x-{world.name}-build-{APP}-v1-1", f"{world.name}-build-something"}
    for name in foreign:
        world.container(name)
    assert world.reaper.run() == 0
    assert world.names() == foreign


def test_an_image_that_its_attempt_never_pushed_goes_unless_the_attempt_lives(world: World) -> None:
    attempt = world.claim()
    tag = world.tag(attempt.version)
    unknown = world.tag(77)
    world.docker.images.remove(f"{world.name}:empty")

    assert world.reaper.run() == 0

    world.docker.images.remove(unknown)
    world.store.fail(attempt, "it failed", retry_in_s=60, steps=())
    assert world.reaper.run() == 1
    assert tag not in world.tags()


def test_an_image_of_a_version_that_this_store_does_not_know_stays(world: World) -> None:
    unknown = world.tag(77)
    world.docker.images.remove(f"{world.name}:empty")
    assert world.reaper.run() == 0
    assert unknown in world.tags()
