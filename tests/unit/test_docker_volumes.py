from __future__ import annotations

from galaxy.adapters.engine.docker.volumes import named_volumes
from galaxy.adapters.engine.ports import Image

IMAGE = Image(id="sha256:1", config={"Volumes": {"/data/": {}, "/cache": {}, "relative": {}}})


def _named(container: str) -> dict[str, str]:
    return {mount["Target"]: mount["Source"] for mount in named_volumes(IMAGE, container)}


def test_volumes_are_named_after_their_container() -> None:
    assert _named("build") == {"/cache": "build-volume-1", "/data": "build-volume-2"}


def test_a_name_of_255_characters_is_used_and_a_longer_one_is_not() -> None:
    longest = "x" * (255 - len("-volume-1"))
    assert [*_named(longest)] == ["/cache", "/data"]
    assert _named(f"{longest}x") == {}
