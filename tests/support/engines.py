"""The two engines as the contract tests see them: the same questions, two ways to answer."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from docker.errors import ImageNotFound, NotFound

from galaxy.adapters.engine.docker.engine import DockerEngine
from galaxy.adapters.registry import RegistryClient
from galaxy.domain.base_images.image_reference import ImageReference
from galaxy.domain.errors import BaseImageNotFound
from galaxy.domain.names import VOLUME
from tests.support.fake_engine import FakeEngine

if TYPE_CHECKING:
    import docker

    from galaxy.adapters.engine.ports import Engine, Image
    from tests.support.base_images import BaseImages, BaseImageSpec
    from tests.support.docker_registry import DockerRegistry


class EngineUnderTest(Protocol):
    """An engine, and what a test has to know about its world.

    Attributes:
        registry: Host of a registry that works.
        dead_registry: Host of one that can't be reached.
    """

    registry: str
    dead_registry: str

    @property
    def engine(self) -> Engine: ...

    def load(self, spec: BaseImageSpec) -> Image:
        """Makes a base image that the engine has."""
        ...

    def publish(self, spec: BaseImageSpec) -> tuple[str, str]:
        """Makes a base image that only the registry has; returns its repository and digest."""
        ...

    def has_container(self, name: str) -> bool: ...

    def volumes_of(self, name: str) -> set[str]:
        """Names of an existing container's volumes."""
        ...

    def existing(self, volumes: set[str]) -> set[str]:
        """Those volumes that still exist."""
        ...

    def leave_volume(self, name: str) -> None:
        """Makes a volume that no container has."""
        ...

    def has_image(self, reference: str) -> bool: ...

    def move_tag(self, repository: str, tag: str, image: Image) -> None: ...

    def registry_digest(self, repository: str, tag: str) -> str | None: ...


class FakeUnderTest:
    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.registry = "registry.test"
        self.dead_registry = "dead.test"
        self.engine.unreachable.add(self.dead_registry)

    def load(self, spec: BaseImageSpec) -> Image:
        return self.engine.pull(*self.publish(spec), lambda: None)

    def publish(self, spec: BaseImageSpec) -> tuple[str, str]:
        repository = f"{self.registry}/base/{uuid4().hex}"
        digest = self.engine.publish(
            repository, spec.config, script=spec.script, program=spec.program, has_bash=spec.has_bash
        )
        return repository, digest

    def has_container(self, name: str) -> bool:
        return name in self.engine.container_names

    def volumes_of(self, name: str) -> set[str]:
        return {each for each in self.engine.volume_names if each.startswith(name + VOLUME)}

    def existing(self, volumes: set[str]) -> set[str]:
        return volumes & self.engine.volume_names

    def leave_volume(self, name: str) -> None:
        self.engine.volume_names.add(name)

    def has_image(self, reference: str) -> bool:
        return reference in self.engine.images

    def move_tag(self, repository: str, tag: str, image: Image) -> None:
        self.engine.tag(repository, tag, image.id)

    def registry_digest(self, repository: str, tag: str) -> str | None:
        return self.engine.registry_digest(repository, tag)


class DockerUnderTest:
    def __init__(self, api: docker.APIClient, images: BaseImages, registry: DockerRegistry) -> None:
        self.engine = DockerEngine(timeout_s=60)
        self.registry = registry.authority
        self.dead_registry = "127.0.0.1:1"  # a port of the system's that nobody uses
        self.api = api
        self._images = images

    def load(self, spec: BaseImageSpec) -> Image:
        image = self._images.build(spec)
        told = {name: image.config[name] for name in spec.config}
        assert told == spec.config, "the specification's config is not what its Dockerfile makes"
        return image

    def publish(self, spec: BaseImageSpec) -> tuple[str, str]:
        repository = f"{self.registry}/base/{uuid4().hex}"
        return repository, self._images.publish(self._images.build(spec), repository, "1")

    def has_container(self, name: str) -> bool:
        return bool(self.api.containers(all=True, filters={"name": f"^/{name}$"}))

    def volumes_of(self, name: str) -> set[str]:
        return {mount["Name"] for mount in self.api.inspect_container(name)["Mounts"]}

    def existing(self, volumes: set[str]) -> set[str]:
        return {volume for volume in volumes if self._has_volume(volume)}

    def leave_volume(self, name: str) -> None:
        self.api.create_volume(name)

    def has_image(self, reference: str) -> bool:
        try:
            self.api.inspect_image(reference)
        except ImageNotFound:
            return False
        return True

    def move_tag(self, repository: str, tag: str, image: Image) -> None:
        self.api.tag(image.id, repository, tag)

    def registry_digest(self, repository: str, tag: str) -> str | None:
        with closing(RegistryClient(internal_hosts=[self.registry])) as registry:
            try:
                return registry.resolve(ImageReference.parse(f"{repository}:{tag}"))
            except BaseImageNotFound:
                return None

    def _has_volume(self, name: str) -> bool:
        try:
            self.api.inspect_volume(name)
        except NotFound:
            return False
        return True
