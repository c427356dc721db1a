"""The probe on the real engine: it finds what a build container reaches."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from pydantic import SecretStr

from galaxy.adapters.engine.docker.engine import DockerEngine
from galaxy.adapters.engine.docker.isolation import Isolation
from galaxy.adapters.registry import RegistryClient
from galaxy.domain.errors import BaseImageUnusable, EngineError
from galaxy.domain.names import volume_name
from galaxy.services.probe import IsolationProbe
from galaxy.settings import Settings
from tests.support.base_images import BaseImageSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

    from tests.support.base_images import BaseImages
    from tests.support.docker_registry import DockerRegistry


class Probes:
    """Makes probes whose default base image is one of the test's."""

    def __init__(self, images: BaseImages, registry: DockerRegistry, network: str) -> None:
        self._images = images
        self._registry = registry
        self.network = network
        self.names = f"galaxy-test-{uuid4().hex[:12]}"

    def probe(self, spec: BaseImageSpec, *, store: str, network: str | None = None) -> IsolationProbe:
        repository = f"{self._registry.authority}/base/{uuid4().hex}"
        self._images.publish(self._images.build(spec), repository, "1")
        settings = Settings(
            name=self.names,
            registry=self._registry.authority,
            default_base_image=f"{repository}:1",
            store_url=SecretStr(store),
            build_network=network or self.network,
        )
        registry = RegistryClient(internal_hosts=[self._registry.authority])
        engine = DockerEngine(isolation=Isolation(network=settings.build_network))
        return IsolationProbe(
            engine, registry, settings, addresses_of=lambda host: (host,), own_addresses=lambda: ()
        )


@pytest.fixture
def probes(
    base_images: BaseImages, app_registry: DockerRegistry, docker_api: docker.APIClient
) -> Iterator[Probes]:
    here = Probes(base_images, app_registry, "bridge")
    yield here
    left = docker_api.containers(all=True, filters={"name": here.names})
    for image in docker_api.images(f"{app_registry.authority}/base/*"):
        for digest in image["RepoDigests"] or ():
            docker_api.remove_image(digest)
    assert left == [], "a probe left its container behind"


@pytest.fixture
def listener() -> Iterator[tuple[str, int]]:
    """Something that listens on this machine's address on the default bridge."""
    (address,) = DockerEngine().machine().addresses[:1]
    with closing(socket.create_server((address, 0))) as server:
        yield address, server.getsockname()[1]


def test_what_listens_on_the_machine_is_reached_from_the_default_bridge(
    probes: Probes, listener: tuple[str, int]
) -> None:
    address, port = listener
    # on a worker's loopback, as the worker sees it
    report = probes.probe(BaseImageSpec(), store=f"redis://:secret@127.0.0.1:{port}/0").run()
    assert [str(each) for each in report.reached if each.port == port] == [
        f"Redis (store) at {address}:{port}"
    ]
    assert report.tried > 5


def test_without_a_network_nothing_is_reached(probes: Probes, listener: tuple[str, int]) -> None:
    _, port = listener
    report = probes.probe(BaseImageSpec(), store=f"redis://127.0.0.1:{port}/0", network="none").run()
    assert report.reached == ()


def test_it_sees_the_container_as_setup_does(probes: Probes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GALAXY_SECRET_OF_A_TEST", "1")
    spec = BaseImageSpec(dockerfile='ENV NODE_ENV=production\nUSER app\nCMD ["/bin/true"]')
    probe = probes.probe(spec, store="redis://127.0.0.1:1/0", network="none")
    report = probe.run()
    seen = probe._look(probe._base_image(60), ())
    assert seen.variables == {"PATH", "HOSTNAME", "HOME", "NODE_ENV"}
    assert seen.capabilities != 0
    assert (report.leaked, report.excess_capabilities, report.no_new_privileges) == ((), (), True)


def test_a_base_image_that_can_not_be_a_probe_is_said_and_does_not_pass_for_safe(probes: Probes) -> None:
    probe = probes.probe(BaseImageSpec(setup=None), store="redis://127.0.0.1:1/0")
    with pytest.raises(BaseImageUnusable, match="GALAXY_DEFAULT_BASE_IMAGE"):
        probe.run()


def test_a_network_that_does_not_exist_is_said_with_what_to_do(probes: Probes) -> None:
    probe = probes.probe(BaseImageSpec(), store="redis://127.0.0.1:1/0", network="galaxy-missing")
    with pytest.raises(EngineError, match=r"network galaxy-missing.*make that network with deploy"):
        probe.run()


def test_a_probe_that_was_forgotten_is_removed_by_the_next_one(
    probes: Probes, docker_api: docker.APIClient, base_images: BaseImages
) -> None:
    probe = probes.probe(BaseImageSpec(), store="redis://127.0.0.1:1/0", network="none")
    image = base_images.build(BaseImageSpec())
    old, new = (f"{probes.names}-probe-{began}-x" for began in (1700000000, 9700000000))
    for name in (old, new):
        docker_api.create_container(image.id, name=name)
        docker_api.create_volume(volume_name(name, 1))
    try:
        probe.run()
        left = docker_api.containers(all=True, filters={"name": probes.names})
        assert [each["Names"] for each in left] == [[f"/{new}"]]
        volumes = docker_api.volumes(filters={"name": probes.names})["Volumes"]
        assert [each["Name"] for each in volumes] == [volume_name(new, 1)]
    finally:
        docker_api.remove_container(new)
        docker_api.remove_volume(volume_name(new, 1))
