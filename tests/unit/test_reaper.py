"""The reaper, with an engine and a store in memory; on a real engine: tests/integration/test_reaper.py."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import fakeredis
import pytest

from galaxy.domain.base_images.image_config import oci_labels
from galaxy.domain.errors import EngineError
from galaxy.domain.names import LeaseRef, app_image, attempt_tag, container_name, volume_name
from galaxy.services.reaper import Reaper
from tests.support.fake_engine import FakeEngine
from tests.support.stores import RAINED, claim, deploy, make_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from galaxy.domain.models import Attempt

NAME = "reaper-test"
REGISTRY = "registry.test"


class World:
    """An engine, a store, and the reaper between them."""

    def __init__(self) -> None:
        self.redis = fakeredis.FakeRedis(version=(7, 0), decode_responses=True)
        self.store = make_store(self.redis, NAME)
        self.engine = FakeEngine()
        self.reaper = Reaper(self.store, self.store, self.engine, name=NAME, registry=REGISTRY)

    def dead_attempt(self, app: str) -> Attempt:
        attempt = claim(self.store, deploy(self.store, app))
        self.store.fail(attempt, RAINED, retry_in_s=60, steps=())
        return attempt

    def container(self, attempt: Attempt) -> str:
        """What a dead attempt left; returns its name."""
        name = container_name(NAME, LeaseRef(attempt.ref, attempt.token))
        self.engine.container_names.add(name)
        return name

    def volume(self, attempt: Attempt) -> str:
        """What an engine that died left of a dead attempt; returns its name."""
        name = volume_name(container_name(NAME, LeaseRef(attempt.ref, attempt.token)), 1)
        self.engine.volume_names.add(name)
        return name

    def image(self, attempt: Attempt) -> str:
        """What a dead attempt committed; returns its name."""
        repository, _ = app_image(REGISTRY, attempt.ref)
        tag = attempt_tag(NAME, LeaseRef(attempt.ref, attempt.token))
        digest = self.engine.publish("base", {"Cmd": ["/bin/true"]})
        base = self.engine.pull("base", digest, lambda: None)
        labels = oci_labels(
            app=attempt.app,
            version=attempt.version,
            base_name="b",
            base_digest=digest,
            created=datetime.now(UTC),
        )
        with self.engine.build_container(base, name="commit", command=()) as box:
            box.commit(repository, tag, {"Labels": labels}, lambda: None)
        return f"{repository}:{tag}"

    def image_names(self) -> set[str]:
        return {tag for image in self.engine.tagged_images(REGISTRY) for tag in image.tags}


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.redis.close()


def test_a_container_that_can_not_be_removed_keeps_nothing_else(world: World) -> None:
    attempts = [world.dead_attempt(f"{name}.example.com") for name in "abc"]
    stuck, *_ = [world.container(attempt) for attempt in attempts]
    world.image(attempts[0])
    world.engine.fail_next("remove_container", EngineError("The engine is busy."))
    with pytest.raises(EngineError, match=rf"container {stuck} \(The engine is busy\)\."):
        world.reaper.run()
    assert world.engine.container_names == {stuck}
    assert world.image_names() == set()
    assert world.reaper.run() == 1
    assert world.engine.container_names == set()


def test_an_image_that_can_not_be_removed_keeps_no_other(world: World) -> None:
    stuck, _ = [world.image(world.dead_attempt(f"{name}.example.com")) for name in "ab"]
    busy = EngineError("The engine is busy.")
    world.engine.fail_next("remove_image", busy, busy)
    with pytest.raises(EngineError, match=rf"image {stuck} \(The engine is busy\)\."):
        world.reaper.run()
    assert world.image_names() == {stuck}
    assert world.reaper.run() == 1
    assert world.image_names() == set()


def test_a_volume_that_can_not_be_removed_keeps_no_other(world: World) -> None:
    stuck, _ = [world.volume(world.dead_attempt(f"{name}.example.com")) for name in "ab"]
    world.engine.fail_next("remove_volume", EngineError("The engine is busy."))
    with pytest.raises(EngineError, match=rf"volume {stuck} \(The engine is busy\)\."):
        world.reaper.run()
    assert world.engine.volume_names == {stuck}
    assert world.reaper.run() == 1
    assert world.engine.volume_names == set()


def test_an_engine_that_does_not_list_volumes_keeps_nothing_else(world: World) -> None:
    attempt = world.dead_attempt("a.example.com")
    world.container(attempt)
    world.image(attempt)
    world.engine.fail_next("volumes", EngineError("The engine could not list volumes."))
    with pytest.raises(EngineError, match="could not list volumes"):
        world.reaper.run()
    assert world.engine.container_names == world.image_names() == set()


def test_everything_that_could_not_be_removed_is_named(world: World) -> None:
    attempts = [world.dead_attempt(f"{name}.example.com") for name in "ab"]
    names = [*map(world.container, attempts), world.image(attempts[0])]
    busy = EngineError("The engine is busy.")
    world.engine.fail_next("remove_container", busy, busy)
    world.engine.fail_next("remove_image", busy, busy)
    with pytest.raises(EngineError) as raised:
        world.reaper.run()
    assert [name for name in names if name not in str(raised.value)] == []


def test_an_engine_that_can_not_be_asked_is_an_error(world: World) -> None:
    world.engine.fail_next("containers", EngineError("The engine can't be reached."))
    with pytest.raises(EngineError, match="can't be reached"):
        world.reaper.run()
