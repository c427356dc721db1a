from __future__ import annotations

import pytest

from galaxy.adapters.docker_volumes import named_volumes
from galaxy.adapters.engine import Image


def _named(container: str, *volumes: str) -> dict[str, str]:
    image = Image(id="sha256:1", config={"Volumes": {volume: {} for volume in volumes}})
    return {mount["Target"]: mount["Source"] for mount in named_volumes(image, container)}


def test_each_place_has_one_volume_however_often_it_is_declared() -> None:
    assert _named("build", "/data", "/data/", "//data/x/..", "/cache") == {
        "/data": "build-volume-1",
        "/cache": "build-volume-2",
    }


@pytest.mark.parametrize("volume", ["relative", "/", "/data/.."])
def test_what_engines_take_from_an_image_only_is_left_to_them(volume: str) -> None:
    assert _named("build", volume) == {}


def test_a_name_of_255_characters_is_used_and_a_longer_one_is_not() -> None:
    longest = "x" * (255 - len("-volume-1"))
    assert _named(longest, "/data") == {"/data": f"{longest}-volume-1"}
    assert _named(f"{longest}x", "/data") == {}
