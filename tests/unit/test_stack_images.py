"""The stack's images are told from all others on the engine by their names."""

from __future__ import annotations

from typing import Any

import pytest

from stack import images
from stack.checkout import Choices
from stack.docker_api import Engine, Refused
from stack.images import Left

CHOICES = Choices(ports={"apps": 20001, "mirror": 20002, "redis": 20003})
APP, BASE = "127.0.0.1:20001/apps/a:1", "127.0.0.1:20002/meteor/galaxy-app@sha256:00"


class FakeEngine(Engine):
    """Holds images: names and history by id."""

    def __init__(self) -> None:
        super().__init__("unix:///x")
        self.__dict__.update(held={}, steps={}, in_use=set(), removed=[])  # an engine is a frozen value

    held: dict[str, list[str]]
    steps: dict[str, list[dict[str, Any]]]
    in_use: set[str]
    removed: list[str]

    def images(self) -> dict[str, list[str]]:
        return self.held

    def history(self, image: str) -> list[dict[str, Any]]:
        return self.steps[image]

    def remove_image(self, name: str) -> None:
        if name in self.in_use:
            raise Refused("a container uses it", 409)
        if name == "broken":
            raise Refused("disk", 500)
        self.removed.append(name)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


def step(name: str, size: int) -> dict[str, Any]:
    return {"Created": 1, "CreatedBy": name, "Size": size}


def test_only_names_of_the_stacks_registries_count(engine: FakeEngine) -> None:
    engine.held.update(
        {
            "one": [APP, "mine:1"],
            "two": [BASE],
            "other stack": ["127.0.0.1:20099/apps/a:1"],
            "no registry": ["127.0.0.1:20003/apps/a:1"],
            "longer port": ["127.0.0.1:200011/apps/a:1"],
            "nameless": [],
        }
    )
    assert images.left_by(engine, CHOICES) == [Left("one", (APP,)), Left("two", (BASE,))]
    assert images.left_by(engine, Choices()) == []


def test_layers_that_images_share_are_counted_once(engine: FakeEngine) -> None:
    base = [step("CMD", 0), step("ADD", 300_000_000)]
    engine.steps.update(
        {"base": base, "a": [step("setup", 25_000_000), *base], "b": [step("setup", 25_000_000)], "gone": []}
    )
    listed = [Left(name, (name,)) for name in ("base", "a", "b", "gone")]
    assert images.described(engine, listed) == "4 images of apps and base images, 350 MB"
    assert images.described(engine, listed[3:]) == "1 image of apps and base images, 0 bytes"


def test_an_image_that_a_container_uses_stays_and_is_told(engine: FakeEngine) -> None:
    engine.in_use.add(APP)
    assert images.remove(engine, [Left("one", (APP,)), Left("two", (BASE,))]) == [APP]
    assert engine.removed == [BASE]


def test_an_engine_that_fails_to_remove_is_an_error(engine: FakeEngine) -> None:
    with pytest.raises(Refused, match="disk"):
        images.remove(engine, [Left("one", ("broken",))])
