"""What every registry must do for the client: the test server and the real one pass the same tests."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from galaxy.adapters.registry import RegistryClient
from galaxy.domain.base_images.image_reference import ImageReference
from galaxy.domain.errors import BaseImageNotFound
from tests.support.docker_registry import DockerRegistry, docker_registry
from tests.support.registry_server import RegistryServer, digest_of, image_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = b'{"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}}'
OTHER_CONFIG = CONFIG.replace(b"amd64", b"arm64")


@pytest.fixture(
    scope="module", params=["test server", pytest.param("docker-registry", marks=pytest.mark.service)]
)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RegistryServer | DockerRegistry]:
    if request.param == "test server":
        with RegistryServer().running() as server:
            yield server
    else:
        with docker_registry(tmp_path_factory.mktemp("registry")) as process:
            yield process


@pytest.fixture
def registry(server: RegistryServer | DockerRegistry) -> Iterator[RegistryClient]:
    registry = RegistryClient(docker_hub_mirror=server.url)
    yield registry
    registry.close()


def test_a_tag_resolves_to_the_digest_of_the_manifest_under_it(
    server: RegistryServer | DockerRegistry, registry: RegistryClient
) -> None:
    digest = server.publish_image("meteor/galaxy-app", "latest", CONFIG)
    assert registry.resolve(ImageReference.parse("meteor/galaxy-app")) == digest


def test_a_moved_tag_resolves_to_the_new_digest(
    server: RegistryServer | DockerRegistry, registry: RegistryClient
) -> None:
    reference = ImageReference.parse("meteor/moving:1")
    first = server.publish_image("meteor/moving", "1", CONFIG)
    assert registry.resolve(reference) == first
    second = server.publish_image("meteor/moving", "1", OTHER_CONFIG)
    assert registry.resolve(reference) == second != first


def test_one_word_images_are_in_library(
    server: RegistryServer | DockerRegistry, registry: RegistryClient
) -> None:
    digest = server.publish_image("library/debian", "12", CONFIG)
    assert registry.resolve(ImageReference.parse("debian:12")) == digest


@pytest.mark.parametrize("missing", ["meteor/galaxy-app:no-such-tag", "meteor/no-such-repository:latest"])
def test_a_missing_tag_or_repository_is_not_found(
    server: RegistryServer | DockerRegistry, registry: RegistryClient, missing: str
) -> None:
    server.publish_image("meteor/galaxy-app", "latest", CONFIG)
    with pytest.raises(BaseImageNotFound, match=missing):
        registry.resolve(ImageReference.parse(missing))


@pytest.mark.parametrize(
    ("wanted", "pushed_as"),
    [
        ("node:20", "library/node:20"),
        ("example/no-such:1", "example/no-such:1"),
        ("example/no-such@sha256:" + "0" * 64, "example/no-such"),
    ],
)
def test_an_image_that_the_stand_in_for_docker_hub_lacks_is_told_with_the_name_to_push_it_as(
    server: RegistryServer | DockerRegistry, registry: RegistryClient, wanted: str, pushed_as: str
) -> None:
    reference = ImageReference.parse(wanted)
    with pytest.raises(BaseImageNotFound) as raised:
        registry.manifest(reference)
    push_as = f"{server.authority}/{pushed_as}"
    assert raised.value.facts == {"image": str(reference), "registry": server.authority, "push_as": push_as}
    assert f"{server.authority}, which stands in for Docker Hub here, has no image {reference}." in str(
        raised.value
    )
    assert f"push this one as {push_as}. docs/writing-a-base-image.md shows how." in str(raised.value)


def test_a_registry_that_stands_in_for_nothing_gives_no_advice_about_docker_hub(
    server: RegistryServer | DockerRegistry,
) -> None:
    registry = RegistryClient(docker_hub_mirror=server.url, internal_hosts=[server.authority])
    with pytest.raises(BaseImageNotFound) as raised:
        registry.resolve(ImageReference.parse(f"{server.authority}/no/such:1"))
    registry.close()
    assert raised.value.message == f"{server.authority} has no image {server.authority}/no/such:1."
    assert "Docker Hub" not in str(raised.value)


def test_a_manifest_is_read_by_tag_and_by_digest_with_its_bytes_unchanged(
    server: RegistryServer | DockerRegistry, registry: RegistryClient
) -> None:
    digest = server.publish_image("meteor/galaxy-app", "latest", CONFIG)
    reference = ImageReference.parse("meteor/galaxy-app:latest")
    for manifest in (registry.manifest(reference), registry.manifest(reference.at(digest))):
        assert manifest.body == image_manifest(CONFIG)
        assert manifest.digest == digest == f"sha256:{hashlib.sha256(manifest.body).hexdigest()}"
        assert manifest.for_platform("linux", "amd64") == digest


def test_a_tag_that_holds_an_index_resolves_to_the_index_and_leads_to_each_platform(
    server: RegistryServer | DockerRegistry, registry: RegistryClient
) -> None:
    configs = {"linux/amd64": CONFIG, "linux/arm64/v8": OTHER_CONFIG}
    digest = server.publish_index("meteor/many", "1", configs)
    reference = ImageReference.parse("meteor/many:1")
    manifest = registry.manifest(reference)
    assert registry.resolve(reference) == manifest.digest == digest
    assert manifest.is_index
    assert manifest.for_platform("linux", "amd64") == digest_of(image_manifest(CONFIG))
    assert manifest.for_platform("linux", "arm64") == digest_of(image_manifest(OTHER_CONFIG))
    assert manifest.for_platform("linux", "s390x") is None
