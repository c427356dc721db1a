"""The temporary container of one attempt, on a Docker engine."""

from __future__ import annotations

import re
import time
from contextlib import nullcontext
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from docker.errors import APIError

from galaxy.adapters.engine.docker.attach_stream import AttachStream
from galaxy.adapters.engine.docker.client import translated
from galaxy.adapters.engine.ports import Image
from galaxy.domain.backoff import backoff_s
from galaxy.domain.base_images.contract import SETUP_SCRIPT
from galaxy.domain.errors import BaseImageUnusable

if TYPE_CHECKING:
    from collections.abc import Callable

    import docker

    from galaxy.adapters.engine.docker.client import DockerClient
    from galaxy.adapters.engine.docker.disk_watch import DiskWatch
    from galaxy.domain.base_images.image_config import ImageConfig
    from galaxy.domain.log import Stream

#: How soon, and how often at the most, a container that has closed its output is asked whether it has ended.
_FIRST_LOOK_S: Final = 0.002
_LOOK_EVERY_S: Final = 0.2


class DockerBuildContainer:
    """A created container; see `BuildContainer`.

    Args:
        disk: Looks how much it writes; None for no limit.
    """

    def __init__(self, client: DockerClient, container: str, disk: DiskWatch | None) -> None:
        self._client = client
        self._id = container
        self._disk = disk
        self._stream: AttachStream | None = None

    def run(
        self, line: str, on_output: Callable[[Stream, bytes], None], check_cancelled: Callable[[], None]
    ) -> int:
        """See `BuildContainer.run`."""
        with translated("run the build container"):
            stream = self._client.call(self._begin, check_cancelled)
            stream.send_line(line)
            with self._disk or nullcontext() as disk:

                def check() -> None:
                    check_cancelled()
                    if disk:
                        disk.check()

                stream.read(on_output, check)
                return self._exit_code(check)

    def commit(
        self, repository: str, tag: str, config: ImageConfig, check_cancelled: Callable[[], None]
    ) -> Image:
        """See `BuildContainer.commit`."""

        def commit(api: docker.APIClient) -> dict[str, Any]:
            committed = api.commit(self._id, repository, tag, conf=dict(config))
            found: dict[str, Any] = api.inspect_image(committed["Id"])
            return found

        with translated("commit the build container"):
            return image_of(self._client.call(commit, check_cancelled))

    def close(self) -> None:
        """Closes the stream, so that the container can be removed."""
        if self._stream:
            self._stream.close()

    def _begin(self, api: docker.APIClient) -> AttachStream:
        # attached before the start: a late attach loses what was printed before
        stream = self._attach(api)
        self._start(api)
        return stream

    def _attach(self, api: docker.APIClient) -> AttachStream:
        parameters = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        raw = api.attach_socket(self._id, parameters)
        self._stream = AttachStream(getattr(raw, "_sock", raw), owner=getattr(raw, "_response", raw))
        return self._stream

    def _start(self, api: docker.APIClient) -> None:
        try:
            api.start(self._id)
        except APIError as error:
            said = str(error.explanation)
            if re.search("unable to find (user|group)", said):
                raise BaseImageUnusable(
                    f"The base image's USER does not exist in it: {said}.",
                    "Add that user in its Dockerfile, before USER, or correct the USER instruction.",
                    quotes=[said],
                ) from error
            # 400 for a command that is missing or not executable; 404 for a network that is
            if error.status_code == HTTPStatus.BAD_REQUEST:
                raise BaseImageUnusable(
                    f"bash could not be started in the base image: {said}",
                    f"Install bash where the first line of {SETUP_SCRIPT} says it is.",
                    quotes=[said],
                ) from error
            raise

    def _exit_code(self, check_cancelled: Callable[[], None]) -> int:
        """Asks for the exit code: `wait` would ignore deadlines. The stream's end does not mean success."""

        def state(api: docker.APIClient) -> dict[str, Any]:
            found: dict[str, Any] = api.inspect_container(self._id)["State"]
            if self._disk and not found["Running"]:
                self._disk.look(api)  # it may have been quicker than the watch
            return found

        looks = 0
        while (now := self._client.call(state, check_cancelled))["Running"]:
            looks += 1
            time.sleep(backoff_s(looks, first_s=_FIRST_LOOK_S, longest_s=_LOOK_EVERY_S))
        return int(now["ExitCode"])


def image_of(inspected: dict[str, Any], *, pulled: bool = False) -> Image:
    """An image from the engine's description of it."""
    return Image(id=inspected["Id"], config=inspected["Config"] or {}, pulled=pulled)
