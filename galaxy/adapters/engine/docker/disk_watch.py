"""Watches how much disk a build container takes. Most filesystems offer engines no limit for one container."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from http import HTTPStatus
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final, Self

import structlog
from docker.errors import APIError

from galaxy.adapters.engine.docker.client import UNREACHABLE
from galaxy.domain.errors import DiskFull, DiskLimitReached, GalaxyError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    import docker

    from galaxy.adapters.engine.docker.client import DockerClient

logger = structlog.get_logger(__name__)

#: Pause between two looks; the first comes soon, for scripts that fill a disk at once.
_FIRST_PAUSE_S: Final = 0.5
_PAUSE_S: Final = 5.0
#: A look walks through all files that the container wrote. It may take this part of the time at most.
_SHARE: Final = 1 / 20
#: An engine adds up the sizes of its volumes for one client at a time, and refuses all others with this sentence.
_BUSY: Final = "disk usage operation is already running"
_BUSY_TRIES: Final = 50
_BUSY_PAUSE_S: Final = 0.1


@dataclass(frozen=True, kw_only=True)
class DiskLimits:
    """What a build container may take.

    Attributes:
        max_bytes: Files that it wrote, in its own layer and in its volumes. 0: no limit.
        reserve_bytes: What has to stay free on the engine's filesystem, where this process sees it. 0: no limit.
    """

    max_bytes: int = 0
    reserve_bytes: int = 0


NO_LIMITS: Final = DiskLimits()


class DiskWatch:
    """Looks again and again, from a thread and with a client of its own, while it is used as a context.

    It kills a container that takes too much. Whoever runs it may wait for something else, such as the log.

    Args:
        connect: Makes the client; called in the thread.
        container: Its id.
    """

    def __init__(self, connect: Callable[[], DockerClient], container: str, limits: DiskLimits) -> None:
        self._connect = connect
        self._container = container
        self._limits = limits
        self._reached: GalaxyError | None = None
        self._over = Event()
        self._thread = Thread(target=self._run, name="disk watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._over.set()  # a look that hangs is not waited for: it changes nothing

    def check(self) -> None:
        """Returns while the container takes no more than it may.

        Raises:
            DiskLimitReached: It has written too much.
            DiskFull: The engine's filesystem is nearly full.
        """
        if self._reached:
            raise self._reached

    def look(self, api: docker.APIClient) -> None:
        """Looks now. Raises as `check`."""
        found = _get(api, f"containers/{self._container}/json", size="1")
        volumes = [mount["Name"] for mount in found["Mounts"] if mount["Type"] == "volume"]
        written = (found.get("SizeRw") or 0) + (_size_of(volumes, api) if volumes else 0)
        if 0 < self._limits.max_bytes < written:
            raise DiskLimitReached(
                f"The build wrote {_gigabytes(written)} of files; {_gigabytes(self._limits.max_bytes)} are the most.",
                "Make setup.sh write less, or ask the operator for a higher limit.",
            )
        free = _free_where(found)
        if free is not None and free < self._limits.reserve_bytes:
            raise DiskFull(
                f"The engine's filesystem has {_gigabytes(free)} left, less than the reserve of"
                f" {_gigabytes(self._limits.reserve_bytes)}.",
                "Operators have to make room on it.",
            )

    def _run(self) -> None:
        client: DockerClient | None = None
        pause_s = _FIRST_PAUSE_S
        while not self._over.wait(pause_s):
            began = time.monotonic()
            try:
                client = client or self._connect()
                self._reached = self._reached or self._problem(client.api)
                if self._reached:
                    _kill(client.api, self._container)
                    break
            except UNREACHABLE as error:  # whoever runs the container finds out too, or has removed it
                if not self._over.is_set():
                    logger.warning("disk.not_watched", container=self._container, error=type(error).__name__)
            took_s = time.monotonic() - began
            pause_s = max(_PAUSE_S, took_s / _SHARE)
        if client:
            client.api.close()

    def _problem(self, api: docker.APIClient) -> GalaxyError | None:
        try:
            self.look(api)
        except GalaxyError as error:
            return error
        return None


def _kill(api: docker.APIClient, container: str) -> None:
    try:
        api.kill(container)
    except APIError as error:
        if error.status_code not in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
            raise
        # it has ended by itself


def _size_of(volumes: list[str], api: docker.APIClient) -> int:
    """Engines tell the size of all volumes or of none."""
    volumes_there = _disk_usage(api)["Volumes"] or ()
    known = {each["Name"]: (each.get("UsageData") or {}).get("Size", 0) for each in volumes_there}
    return sum(max(0, known.get(name, 0)) for name in volumes)


def _disk_usage(api: docker.APIClient) -> dict[str, Any]:
    """The sizes of all volumes; of none, if others keep the engine busy with the same question for seconds."""
    for _ in range(_BUSY_TRIES):
        try:
            return _get(api, "system/df", type="volume")
        except APIError as error:
            if _BUSY not in str(error.explanation):
                raise
        time.sleep(_BUSY_PAUSE_S)
    logger.warning("disk.volumes_not_sized")
    return {"Volumes": ()}


def _get(api: docker.APIClient, path: str, **parameters: str) -> dict[str, Any]:
    """What the SDK's own calls can't ask for."""
    url = f"{api.base_url}/v{api.api_version}/{path}"
    answer = api.get(url, params=parameters, timeout=api.timeout)
    api._raise_for_status(answer)  # type: ignore[attr-defined] # noqa: SLF001 - tells what the engine says
    found: dict[str, Any] = answer.json()
    return found


def _free_where(container: dict[str, Any]) -> int | None:
    """Free bytes where a container writes; None if that is on another machine or hidden from this process."""
    graph = (container.get("GraphDriver") or {}).get("Data") or {}  # only some storage drivers tell where
    try:
        return shutil.disk_usage(graph["UpperDir"]).free
    except (KeyError, OSError):
        return None


def _gigabytes(size: int) -> str:
    return f"{size / 1024**3:.2f} GiB" if size >= 1024**3 else f"{size / 1024**2:.0f} MiB"
