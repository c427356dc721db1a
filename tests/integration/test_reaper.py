"""What dead attempts left on a real engine goes; what lives, and what is not ours, stays."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import docker
import fakeredis
import pytest
from pydantic import SecretStr

from galaxy.adapters.engine.docker.engine import DockerEngine
from galaxy.adapters.store.keys import Keys
from galaxy.domain.base_images.image_config import oci_labels
from galaxy.domain.errors import EngineError
from galaxy.domain.models import Attempt, BuiltImage, NewVersion, VersionRef
from galaxy.domain.names import LOOK, LeaseRef, app_image, attempt_tag, container_name, volume_name
from galaxy.services.reaper import Reaper
from tests.conftest import unavailable
from tests.support.base_images import BaseImageSpec
from tests.support.stores import RAINED, AllStores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.docker_registry import DockerRegistry
    from tests.support.engines import DockerUnderTest

APP = "www.example.com"


class World:
    """An engine with containers and images, and a store that says which of them live."""

    def __init__(self) -> None:
        self.docker = docker.from_env()
        self.docker.ping()
        self.name = f"galaxy-reaper-{uuid4().hex[:8]}"
        redis = fakeredis.FakeRedis(decode_responses=True)
        self.store = AllStores(redis, Keys(self.name), lease_s=30, requeue_after_s=30)
        self.use_registry(f"{self.name}.invalid:1")
        self._base = self.docker.api.import_image_from_data(b"\0" * 1024, repository=self.name, tag="empty")

    def use_registry(self, authority: str) -> None:
        self.registry = authority
        self.reaper = Reaper(self.store, self.store, DockerEngine(), name=self.name, registry=authority)

    def claim(self, app: str = APP) -> Attempt:
        new = NewVersion(
            app=app,
            bundle_url=SecretStr("http://bundles.example.com/x"),
            settings=SecretStr("{}"),
            env={},
            base_image="meteor/galaxy-app:latest",
            deployed_by="test",
        )
        made = self.store.create_version(new, idempotency_key=uuid4().hex, fingerprint="", retention_s=60)
        attempt = self.store.claim(VersionRef(app, made.number))
        assert isinstance(attempt, Attempt)
        return attempt

    def claim_again(self, attempt: Attempt) -> Attempt:
        again = self.store.claim(attempt.ref)
        assert isinstance(again, Attempt)
        return again

    def container(self, name: str, base: str = "") -> str:
        created = self.docker.api.create_container(base or f"{self.name}:empty", command=["-"], name=name)
        return str(created["Id"])

    def names(self) -> set[str]:
        return {each.name for each in self.docker.containers.list(all=True, filters={"name": self.name})}

    def commit(self, attempt: Attempt, *, tag: str = "", app: str = APP, base: str = "") -> str:
        """An image as an attempt commits it; returns its id."""
        container = self.container(f"{self.name}-commit-{uuid4().hex[:8]}", base)
        digest = f"sha256:{'0' * 64}"
        labels = oci_labels(
            app=app, version=attempt.version, base_name="b", base_digest=digest, created=datetime.now(UTC)
        )
        own = tag or attempt_tag(self.name, LeaseRef(attempt.ref, attempt.token))
        made = self.docker.api.commit(container, self.repository(app), own, conf={"Labels": labels})
        self.docker.api.remove_container(container)
        return str(made["Id"])

    def repository(self, app: str = APP) -> str:
        return app_image(self.registry, VersionRef(app, 1))[0]

    def has_image(self, image: str) -> bool:
        try:
            self.docker.images.get(image)
        except docker.errors.ImageNotFound:
            return False
        return True

    def volumes(self) -> set[str]:
        return {each.name for each in self.docker.volumes.list(filters={"name": self.name})}

    def tags(self) -> set[str]:
        ours = (self.name, f"{self.registry}/apps/{APP}:")
        return {
            tag for image in self.docker.images.list() for tag in image.tags if any(x in tag for x in ours)
        }

    def close(self) -> None:
        for each in self.docker.containers.list(all=True, filters={"name": self.name}):
            each.remove(force=True, v=True)
        for volume in self.volumes():
            self.docker.volumes.get(volume).remove()
        for tag in self.tags():
            with suppress(docker.errors.ImageNotFound):  # gone with the container's image
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
    return container_name(world.name, LeaseRef(attempt.ref, attempt.token))


def fail(world: World, attempt: Attempt) -> None:
    world.store.fail(attempt, RAINED, retry_in_s=60, steps=())


def test_the_container_of_a_live_attempt_stays_and_those_of_a_dead_one_go(world: World) -> None:
    attempt = world.claim()
    name = name_of(world, attempt)
    world.container(name)
    world.container(name + LOOK)
    assert world.reaper.run() == 0
    assert world.names() == {name, name + LOOK}

    fail(world, attempt)
    assert world.reaper.run() == 2
    assert world.names() == set()


def test_the_volumes_of_a_dead_container_go_with_it(world: World) -> None:
    attempt = world.claim()
    api, name = world.docker.api, name_of(world, attempt)
    named = docker.types.Mount("/named", volume_name(name, 1))
    container = api.create_container(
        f"{world.name}:empty",
        command=["-"],
        name=name,
        volumes=["/data"],
        host_config=api.create_host_config(mounts=[named]),
    )
    volumes = {mount["Name"] for mount in api.inspect_container(container)["Mounts"]}
    assert len(volumes) == 2
    fail(world, attempt)
    world.reaper.run()
    assert volumes.isdisjoint(each.name for each in world.docker.volumes.list())


def test_a_volume_that_a_dead_engine_left_without_its_container_goes_once_its_attempt_is_dead(
    world: World,
) -> None:
    attempt = world.claim()
    ours = {volume_name(name_of(world, attempt) + suffix, 1) for suffix in ("", LOOK)}
    foreign = {
        f"{world.name}-build-cache",
        f"x-{min(ours)}",
        name_of(world, attempt),
        volume_name(name_of(world, attempt.model_copy(update={"token": attempt.token + 99})), 1),
    }
    for name in ours | foreign:
        world.docker.volumes.create(name)
    assert world.reaper.run() == 0
    assert world.volumes() == ours | foreign

    fail(world, attempt)
    assert world.reaper.run() == 2
    assert world.volumes() == foreign


def test_a_volume_that_somebody_uses_holds_up_nothing_and_goes_after_them(world: World) -> None:
    used, other = world.claim(), world.claim("other.example.com")
    volumes = [volume_name(name_of(world, each), 1) for each in (used, other)]
    for name in volumes:
        world.docker.volumes.create(name)
    user = world.docker.api.create_container(
        f"{world.name}:empty",
        command=["-"],
        name=f"{world.name}-debug",
        host_config=world.docker.api.create_host_config(mounts=[docker.types.Mount("/x", volumes[0])]),
    )
    fail(world, used)
    fail(world, other)
    with pytest.raises(EngineError, match=f"volume {re.escape(volumes[0])} "):
        world.reaper.run()
    assert world.volumes() == {volumes[0]}
    world.docker.api.remove_container(user)
    assert world.reaper.run() == 1
    assert world.volumes() == set()


def test_containers_that_are_not_ours_stay(world: World) -> None:
    attempt = world.claim()
    fail(world, attempt)
    foreign = {
        f"{world.name}-db",
        f"x-{name_of(world, attempt)}",
        f"{name_of(world, attempt)}-copy",
        f"{world.name}-build-something",
        f"{world.name}-build-cache-v1-1",  # named as ours are, for an app that there is not
        name_of(world, attempt.model_copy(update={"version": 99})),
        name_of(world, attempt.model_copy(update={"token": attempt.token + 99})),
    }
    for name in foreign:
        world.container(name)
    assert world.reaper.run() == 0
    assert world.names() == foreign


@pytest.mark.parametrize("app", [APP, f"{'a' * 60}.{'b' * 60}.{'c' * 60}.example.com"])
def test_an_image_that_its_attempt_never_pushed_goes_once_the_attempt_is_dead(world: World, app: str) -> None:
    attempt = world.claim(app)
    image = world.commit(attempt, app=app)
    world.docker.images.get(image).tag(world.repository(app), str(attempt.version))
    assert world.reaper.run() == 0
    fail(world, attempt)
    assert world.reaper.run() == 1
    assert not world.has_image(image)


def test_the_version_of_a_dead_attempt_can_be_built_anew_while_it_is_reaped(world: World) -> None:
    dead = world.claim()
    old = world.commit(dead)
    world.store.fail(dead, RAINED, retry_in_s=0, steps=())
    alive = world.claim_again(dead)
    new = world.commit(alive)
    # the new attempt took the version's tag from the old one's image
    world.docker.images.get(new).tag(world.repository(), str(alive.version))
    assert world.reaper.run() == 1
    assert not world.has_image(old)
    assert {*world.docker.images.get(new).tags} == {
        f"{world.repository()}:1",
        f"{world.repository()}:{attempt_tag(world.name, LeaseRef(alive.ref, alive.token))}",
    }


def test_a_dead_image_with_a_tag_of_somebody_elses_stays_under_that_tag_alone(world: World) -> None:
    attempt = world.claim()
    image = world.commit(attempt)
    for repository, tag in ((world.repository(), "1"), (world.name, "debug")):
        world.docker.images.get(image).tag(repository, tag)
    fail(world, attempt)
    for _ in range(2):
        assert world.reaper.run() == 0
        assert world.docker.images.get(image).tags == [f"{world.name}:debug"]


def test_a_dead_image_that_somebody_runs_loses_our_names_only(world: World) -> None:
    attempt = world.claim()
    image = world.commit(attempt)
    container = world.docker.api.create_container(image, command=["-"], name=f"{world.name}-debug")
    fail(world, attempt)
    world.reaper.run()
    assert world.names() == {f"{world.name}-debug"}
    assert world.docker.api.inspect_container(container)["Image"] == image


@pytest.mark.parametrize("tagged", [False, True])
def test_a_dead_image_that_a_running_container_uses_goes_after_it_and_keeps_no_other(
    world: World, docker_under_test: DockerUnderTest, *, tagged: bool
) -> None:
    used, other = world.claim(), world.claim("other.example.com")
    base = docker_under_test.load(BaseImageSpec())
    image, unused = world.commit(used, base=base.id), world.commit(other, app="other.example.com")
    if tagged:
        world.docker.images.get(image).tag(world.repository(), "1")
    running = world.docker.containers.run(
        image, entrypoint=["/bin/sleep", "60"], name=f"{world.name}-debug", detach=True
    )
    fail(world, used)
    fail(world, other)
    own_name = f"{world.repository()}:{attempt_tag(world.name, LeaseRef(used.ref, used.token))}"
    for _ in range(2):
        with pytest.raises(EngineError, match=f"image {re.escape(own_name)} "):
            world.reaper.run()
        assert world.docker.images.get(image).tags == [own_name]
        assert not world.has_image(unused)
        running.reload()
        assert running.status == "running"

    running.remove(force=True)
    assert world.reaper.run() == 1
    assert not world.has_image(image)


def test_images_that_no_attempt_of_ours_committed_stay(world: World) -> None:
    attempt = world.claim()
    fail(world, attempt)
    kept = {
        world.commit(attempt, tag="1"),  # another pipeline's, with the same app in the same registry
        world.commit(attempt, tag="1-other-1"),
        world.commit(attempt.model_copy(update={"version": 77})),
        world.commit(attempt, app="unknown.example.com"),
        world.commit(attempt.model_copy(update={"token": attempt.token + 99})),
    }
    assert world.reaper.run() == 0
    assert all(world.has_image(image) for image in kept)


def test_a_pushed_image_stays_and_loses_the_claims_tag_that_its_worker_left(
    world: World, app_registry: DockerRegistry
) -> None:
    world.use_registry(app_registry.authority)
    attempt = world.claim()
    image = world.commit(attempt)
    digest = DockerEngine().push(world.repository(), "1", image, lambda: None)
    built = BuiltImage(image=f"{world.repository()}:1", image_digest=digest, base_digest="sha256:0")
    assert world.store.finish(attempt, built, ()) is None
    for _ in range(2):
        assert world.reaper.run() == 0
        assert world.docker.images.get(image).tags == [f"{world.repository()}:1"]
