"""A Docker engine, through the SDK's low-level client."""

from __future__ import annotations

import ipaddress
import os
import re
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import structlog
from docker.errors import APIError
from docker.errors import NotFound as NoSuchObject

from galaxy.adapters.engine.docker.client import UNREACHABLE, DockerClient, last_word, translated
from galaxy.adapters.engine.docker.container import DockerBuildContainer, image_of
from galaxy.adapters.engine.docker.disk_watch import DiskWatch
from galaxy.adapters.engine.docker.files import look_at_script
from galaxy.adapters.engine.docker.isolation import Isolation
from galaxy.adapters.engine.docker.volumes import named_volumes
from galaxy.adapters.engine.ports import Container, Image, Machine, TaggedImage
from galaxy.domain.base_images.contract import SETUP_SCRIPT
from galaxy.domain.cancellation import never_cancelled
from galaxy.domain.errors import BaseImageNotFound, EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import docker
    from docker.types import Mount

    from galaxy.domain.base_images.contract import SetupScript

logger = structlog.get_logger(__name__)


class DockerEngine:
    """One Docker engine. Each thread gets a client of its own, made when it is first needed.

    Args:
        url: As in DOCKER_HOST; None takes the environment's, or the default socket.
        isolation: Limits of build containers.
        timeout_s: Longest silence of one answer.
    """

    def __init__(
        self, *, url: str | None = None, isolation: Isolation | None = None, timeout_s: float = 600
    ) -> None:
        self._url = url
        self._isolation = isolation or Isolation()
        self._timeout_s = int(timeout_s)
        self._local = threading.local()

    def pull(
        self,
        repository: str,
        digest: str,
        check_cancelled: Callable[[], None],
        on_progress: Callable[[], None] = never_cancelled,
    ) -> Image:
        """See `Engine.pull`."""
        reference = f"{repository}@{digest}"

        def pull(api: docker.APIClient) -> Image:
            try:
                return image_of(api.inspect_image(reference))
            except NoSuchObject:
                _pull(api, repository, digest, on_progress)
                return image_of(api.inspect_image(reference), pulled=True)

        with translated("pull the base image"):
            return self._client.call(pull, check_cancelled)

    def setup_script(
        self, image: Image, *, name: str, check_cancelled: Callable[[], None] = never_cancelled
    ) -> SetupScript:
        """See `Engine.setup_script`. Looks into a container that is created and never started."""
        mounts = named_volumes(image, name)

        def create(api: docker.APIClient) -> str:
            # an image without CMD can't be created without a command
            created = api.create_container(
                image.id,
                command=["-"],
                name=name,
                use_config_proxy=False,
                host_config=api.create_host_config(mounts=mounts),
            )
            return str(created["Id"])

        with translated("look into the base image"):
            container = self._made(create, mounts, check_cancelled)
            try:
                return self._client.call(
                    lambda api: look_at_script(api, container, SETUP_SCRIPT), check_cancelled
                )
            finally:
                self._remove(container, mounts)

    @contextmanager
    def build_container(
        self,
        image: Image,
        *,
        name: str,
        command: tuple[str, ...],
        check_cancelled: Callable[[], None] = never_cancelled,
    ) -> Iterator[DockerBuildContainer]:
        """See `Engine.build_container`."""
        mounts = named_volumes(image, name)
        with translated("create the build container"):
            created = self._made(lambda api: self._create(api, image, name, command), mounts, check_cancelled)
        container = DockerBuildContainer(self._client, created, self._disk_watch(created))
        try:
            yield container
        finally:
            container.close()
            self._remove(created, mounts)

    def push(
        self,
        repository: str,
        tag: str,
        image_id: str,
        check_cancelled: Callable[[], None],
        on_progress: Callable[[], None] = never_cancelled,
    ) -> str:
        """See `Engine.push`."""

        def push(api: docker.APIClient) -> tuple[str, list[str]]:
            api.tag(image_id, repository, tag)
            final = last_word(api.push(repository, tag=tag, stream=True, decode=True), on_progress)
            return str(final.get("Digest")), api.inspect_image(image_id).get("RepoDigests") or []

        with translated("push the image"):
            digest, pushed = self._client.call(push, check_cancelled)
        # another attempt of the version may have moved the tag in between, if it runs on the same engine
        if f"{repository}@{digest}" not in pushed:
            raise EngineError(
                f"The engine did not push the image that was committed for {repository}:{tag}.",
                "Look at the engine's own log.",
            )
        return digest

    def remove_image(self, reference: str) -> None:
        """See `Engine.remove_image`."""
        by_id = reference.startswith("sha256:")
        with translated("remove an image"), suppress(NoSuchObject):
            # an image with several tags can be removed by its id only so
            self._client.clean_up(lambda api: api.remove_image(reference, force=by_id))

    def containers(self, prefix: str) -> tuple[Container, ...]:
        """See `Engine.containers`."""
        with translated("list containers"):
            found = self._client.api.containers(all=True, filters={"name": f"^/{re.escape(prefix)}"})
        return tuple(Container(id=each["Id"], name=each["Names"][0].removeprefix("/")) for each in found)

    def remove_container(self, container_id: str) -> None:
        """See `Engine.remove_container`."""
        with translated("remove a container"), suppress(NoSuchObject), _going_is_gone():
            self._client.clean_up(lambda api: api.remove_container(container_id, force=True, v=True))

    def volumes(self, prefix: str) -> tuple[str, ...]:
        """See `Engine.volumes`."""
        with translated("list volumes"):
            found = self._client.api.volumes(filters={"name": f"^{re.escape(prefix)}"})["Volumes"] or ()
        return tuple(each["Name"] for each in found)

    def remove_volume(self, name: str) -> None:
        """See `Engine.remove_volume`."""
        with translated("remove a volume"), suppress(NoSuchObject):
            self._client.clean_up(lambda api: api.remove_volume(name))

    def tagged_images(self, prefix: str) -> tuple[TaggedImage, ...]:
        """See `Engine.tagged_images`."""
        with translated("list images"):
            found = self._client.api.images()
        return tuple(
            TaggedImage(
                id=each["Id"],
                tags=tuple(each["RepoTags"] or ()),
                digests=tuple(each["RepoDigests"] or ()),
                labels=each["Labels"] or {},
            )
            for each in found
            if any(tag.startswith(prefix) for tag in each["RepoTags"] or ())
        )

    def ping(self) -> str:
        """See `Engine.ping`."""
        with translated("answer"):
            return str(self._client.api.version()["Version"])

    def machine(self) -> Machine:
        """See `Engine.machine`."""
        with translated("list networks"):
            networks = self._client.api.networks()
        configs = [config for network in networks for config in network["IPAM"]["Config"] or ()]
        addresses = dict.fromkeys(filter(None, map(_gateway, configs)))
        return Machine(api_url=self._url or os.environ.get("DOCKER_HOST", ""), addresses=tuple(addresses))

    @property
    def _client(self) -> DockerClient:
        client: DockerClient | None = getattr(self._local, "client", None)
        if client is None or client.is_cut_off:
            client = self._local.client = self._connect()
        return client

    def _connect(self) -> DockerClient:
        return DockerClient(self._url, self._timeout_s)

    def _disk_watch(self, container: str) -> DiskWatch | None:
        limits = self._isolation.disk
        watched = limits.max_bytes or limits.reserve_bytes
        return DiskWatch(self._connect, container, limits) if watched else None

    def _made(
        self,
        create: Callable[[docker.APIClient], str],
        mounts: Sequence[Mount],
        check_cancelled: Callable[[], None],
    ) -> str:
        """Creates a container. An engine that fails at it keeps the volumes that it had made for it."""
        try:
            return self._client.call(create, check_cancelled)
        except BaseException:
            self._remove(None, mounts)
            raise

    def _create(self, api: docker.APIClient, image: Image, name: str, command: tuple[str, ...]) -> str:
        # Commit merges the container's config into the image's, and some overrides can't be taken back: so the
        # entrypoint is overridden only where the base image has one, and nothing else but stdin is set.
        has_entrypoint = bool(image.config.get("Entrypoint"))
        created = api.create_container(
            image.id,
            command=None if has_entrypoint else list(command),
            entrypoint=list(command) if has_entrypoint else None,
            name=name,
            stdin_open=True,
            healthcheck={"test": ["NONE"]} if image.config.get("Healthcheck") else None,
            use_config_proxy=False,
            host_config=self._isolation.host_config(api, named_volumes(image, name)),
        )
        return str(created["Id"])

    def _remove(self, container: str | None, mounts: Sequence[Mount]) -> None:
        """Removes a container with its volumes. A failure is logged: it must not hide why the block ended."""
        volumes = [mount["Source"] for mount in mounts]

        def remove(api: docker.APIClient) -> None:
            if container:
                with suppress(NoSuchObject), _going_is_gone():
                    api.remove_container(container, force=True, v=True)
            for volume in volumes:
                with suppress(NoSuchObject):
                    api.remove_volume(volume)

        if not container and not volumes:
            return
        try:
            self._client.clean_up(remove)
        except UNREACHABLE as error:  # the reaper finds what is left
            logger.warning("not_removed", container=container, volumes=volumes, error=str(error))


def _pull(api: docker.APIClient, repository: str, digest: str, on_progress: Callable[[], None]) -> None:
    try:
        last_word(api.pull(repository, tag=digest, stream=True, decode=True), on_progress)
    except NoSuchObject as error:  # only the registry's own answer, and no outage, becomes this status
        raise BaseImageNotFound(
            f"{repository} has no image with the digest {digest}.",
            "Publish the base image again, or deploy on another one.",
        ) from error


@contextmanager
def _going_is_gone() -> Iterator[None]:
    """Somebody else is removing the container."""
    try:
        yield
    except APIError as error:
        if "already in progress" not in str(error.explanation):
            raise


def _gateway(config: dict[str, Any]) -> str:
    """The machine's address on a network; "" if the engine tells none."""
    if "Gateway" in config or "Subnet" not in config:
        return str(config.get("Gateway", "")).partition("/")[0]
    # an engine that has just made its bridge tells the subnet only; it took the first address for itself
    return str(next(ipaddress.ip_network(config["Subnet"]).hosts()))
