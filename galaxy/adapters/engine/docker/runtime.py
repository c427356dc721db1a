"""Runs app containers on a Docker engine."""

from __future__ import annotations

import threading
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from docker.errors import APIError
from docker.errors import NotFound as NoSuchObject
from docker.types import LogConfig

from galaxy.adapters.engine.docker.client import UNREACHABLE, DockerClient, last_word, translated
from galaxy.adapters.engine.docker.container import image_of
from galaxy.adapters.engine.docker.output import read_output, seconds
from galaxy.adapters.engine.docker.volumes import named_volumes
from galaxy.domain.cancellation import never_cancelled
from galaxy.domain.capabilities import APP_CAPABILITIES
from galaxy.domain.containers import AppContainer, ContainerExit, ContainerStatus, listening
from galaxy.domain.errors import ContainerNotStarted, ImageMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import docker

    from galaxy.domain.containers import ContainerSpec, OutputChunk

#: Says that a container is an app's, and of which pipeline.
PIPELINE_LABEL: Final = "galaxy.pipeline"
_PERIOD_US: Final = 100_000
#: What the engine keeps of a container's output until it is in the app's log: two files of this size.
_LOG_FILE: Final = "10m"
_STATUS: Final = {"created": ContainerStatus.CREATED, "running": ContainerStatus.RUNNING}


class DockerRuntime:
    """App containers on one Docker engine. Each thread gets a client of its own, made when it is first needed.

    Args:
        network: The engine's network that app containers are attached to.
        url: As in DOCKER_HOST; None takes the environment's, or the default socket.
        timeout_s: Longest silence of one answer.
    """

    def __init__(self, *, network: str, url: str | None = None, timeout_s: float = 600) -> None:
        self._network = network
        self._url = url
        self._timeout_s = int(timeout_s)
        self._local = threading.local()

    def ensure(
        self, spec: ContainerSpec, check_cancelled: Callable[[], None] = never_cancelled
    ) -> AppContainer:
        """See `Runtime.ensure`."""
        with translated("run an app container"):
            found = self._find(spec.name) or self._create(spec, check_cancelled)
            if found["State"]["Status"] == "created":
                self._start(found["Id"], spec)
                found = self._client.api.inspect_container(found["Id"])
        return self._container(found)

    def list(self, pipeline: str) -> tuple[AppContainer, ...]:
        """See `Runtime.list`."""
        filters = {"label": f"{PIPELINE_LABEL}={pipeline}"}
        containers = []
        with translated("list app containers"):
            for each in self._client.api.containers(all=True, filters=filters):
                with suppress(NoSuchObject):  # it was removed meanwhile
                    containers.append(self._container(self._client.api.inspect_container(each["Id"])))
        return tuple(sorted(containers, key=lambda container: container.name))

    def logs(self, container_id: str, *, since: str = "", follow: bool = True) -> Iterator[OutputChunk]:
        """See `Runtime.logs`. Takes a connection of its own for as long as it is read."""
        client = DockerClient(self._url, self._timeout_s)
        with translated("read an app container's output"), suppress(NoSuchObject):
            yield from read_output(client.api, container_id, since=since, follow=follow)

    def stop(self, container_id: str, *, kill: bool = False) -> None:
        """See `Runtime.stop`."""
        with translated("stop an app container"), suppress(NoSuchObject):
            try:
                self._client.clean_up(lambda api: _signal(api, container_id, kill=kill))
            except APIError as error:
                if error.status_code != HTTPStatus.CONFLICT:  # it does not run
                    raise

    def remove(self, container_id: str) -> None:
        """See `Runtime.remove`."""

        def remove(api: docker.APIClient) -> None:
            found = api.inspect_container(container_id)
            api.remove_container(container_id, force=True, v=True)
            for mount in found["Mounts"]:
                if mount.get("Type") == "volume" and mount["Name"].startswith(found["Name"].lstrip("/")):
                    with suppress(NoSuchObject):
                        api.remove_volume(mount["Name"])

        with translated("remove an app container"), suppress(NoSuchObject):
            try:
                self._client.clean_up(remove)
            except APIError as error:
                if "already in progress" not in str(error.explanation):
                    raise

    def listening(self, container_id: str) -> tuple[int, ...]:
        """See `Runtime.listening`. Images without `cat` can't tell."""

        def look(api: docker.APIClient) -> bytes:
            asked = api.exec_create(container_id, ["cat", "/proc/net/tcp", "/proc/net/tcp6"], stderr=False)
            return bytes(api.exec_start(asked["Id"]))

        try:
            return listening(self._client.clean_up(look).decode(errors="replace"))
        except UNREACHABLE:  # what can't be found out is left unsaid
            return ()

    @property
    def _client(self) -> DockerClient:
        client: DockerClient | None = getattr(self._local, "client", None)
        if client is None or client.is_cut_off:
            client = self._local.client = DockerClient(self._url, self._timeout_s)
        return client

    def _find(self, name: str) -> dict[str, Any] | None:
        with suppress(NoSuchObject):
            return dict(self._client.api.inspect_container(name))
        return None

    def _create(self, spec: ContainerSpec, check_cancelled: Callable[[], None]) -> dict[str, Any]:
        def create(api: docker.APIClient) -> dict[str, Any]:
            image = image_of(_image(api, spec))
            created = api.create_container(
                image.id,
                name=spec.name,
                environment={name: value.get_secret_value() for name, value in spec.environment.items()},
                labels=spec.labels,
                use_config_proxy=False,
                # our prober looks from outside, by one rule for all images
                healthcheck={"test": ["NONE"]} if image.config.get("Healthcheck") else None,
                host_config=api.create_host_config(
                    mounts=named_volumes(image, spec.name),
                    network_mode=self._network,
                    log_config=LogConfig(type="json-file", config={"max-size": _LOG_FILE, "max-file": "2"}),
                    mem_limit=spec.limits.memory_bytes or None,
                    memswap_limit=spec.limits.memory_bytes or None,
                    cpu_period=_PERIOD_US if spec.limits.cpus else None,
                    cpu_quota=int(spec.limits.cpus * _PERIOD_US) or None,
                    pids_limit=spec.limits.pids or None,
                    cap_drop=["ALL"],
                    cap_add=list(APP_CAPABILITIES),
                    security_opt=["no-new-privileges:true"],
                    restart_policy={"Name": "no"},  # ours replaces containers, and tells why
                ),
            )
            return dict(api.inspect_container(created["Id"]))

        try:
            return self._client.call(create, check_cancelled)
        except APIError as error:
            said = str(error.explanation)
            if error.status_code == HTTPStatus.CONFLICT and (found := self._find(spec.name)):
                return found  # somebody else was quicker
            if "No command specified" in said:
                raise ContainerNotStarted(
                    "The image has neither CMD nor ENTRYPOINT, so there is nothing to run.",
                    "Add one of them to the base image.",
                ) from error
            raise

    def _start(self, container: str, spec: ContainerSpec) -> None:
        try:
            self._client.api.start(container)
        except APIError as error:
            # what the image says can't be run: a command that is missing, a user that does not exist
            if error.status_code in {HTTPStatus.BAD_REQUEST, HTTPStatus.INTERNAL_SERVER_ERROR} and (
                "OCI runtime" in (said := str(error.explanation)) or "unable to find" in said
            ):
                raise ContainerNotStarted(
                    f"The image can't be run: {said.rstrip('.')}.",
                    "Check CMD, ENTRYPOINT and USER of the base image.",
                    image=spec.image,
                ) from error
            raise

    def _container(self, found: dict[str, Any]) -> AppContainer:
        state = found["State"]
        status = _STATUS.get(state["Status"], ContainerStatus.EXITED)
        networks = found["NetworkSettings"]["Networks"]
        exited = None
        if status is ContainerStatus.EXITED:
            exited = ContainerExit(
                code=state["ExitCode"],
                out_of_memory=state["OOMKilled"],
                at_ms=_ms(state["FinishedAt"]),
                message=state["Error"],
            )
        return AppContainer(
            id=found["Id"],
            name=found["Name"].removeprefix("/"),
            labels=found["Config"]["Labels"] or {},
            status=status,
            address=(networks.get(self._network) or {}).get("IPAddress", ""),
            started_at_ms=_ms(state["StartedAt"]),
            exit=exited,
        )


def _image(api: docker.APIClient, spec: ContainerSpec) -> dict[str, Any]:
    with suppress(NoSuchObject):
        return dict(api.inspect_image(spec.image))
    try:
        last_word(api.pull(spec.repository, tag=spec.digest, stream=True, decode=True), never_cancelled)
    except NoSuchObject as error:
        raise ImageMissing(
            f"The registry does not have the image {spec.image} any more.", "Deploy again.", image=spec.image
        ) from error
    return dict(api.inspect_image(spec.image))


def _signal(api: docker.APIClient, container: str, *, kill: bool) -> None:
    wanted = api.inspect_container(container)["Config"].get("StopSignal")
    api.kill(container, "SIGKILL" if kill else wanted or "SIGTERM")


def _ms(stamp: str) -> int:
    """The engine's time in milliseconds since the epoch; 0 for its time of what has not happened."""
    return 0 if stamp.startswith("0001-") else int(float(seconds(stamp)) * 1000)
