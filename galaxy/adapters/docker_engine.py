"""A Docker engine, through the SDK's low-level client."""

from __future__ import annotations

import io
import ipaddress
import os
import re
import stat
import tarfile
import threading
import time
from contextlib import closing, contextmanager, suppress
from http import HTTPStatus
from tarfile import TarError
from typing import TYPE_CHECKING, Any, Final

import docker
import structlog
from docker.errors import APIError, DockerException, StreamParseError
from docker.errors import NotFound as NoSuchObject
from docker.utils import kwargs_from_env
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from galaxy.adapters.attach_stream import AttachStream
from galaxy.adapters.engine import Container, Image, Machine, TaggedImage
from galaxy.adapters.interruptible import interruptible
from galaxy.adapters.isolation import Isolation
from galaxy.domain.contract import SETUP_SCRIPT, FileKind, SetupScript
from galaxy.domain.errors import BaseImageUnusable, EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from galaxy.domain.image_config import ImageConfig
    from galaxy.domain.log import Stream

logger = structlog.get_logger(__name__)

#: Go's os.FileMode, as the archive API reports it.
_GO_DIR: Final = 1 << 31
_GO_SYMLINK: Final = 1 << 27
#: What the SDK raises when the engine goes away: requests' errors for answers, urllib3's in the middle of a stream.
_UNREACHABLE: Final = (DockerException, StreamParseError, RequestException, HTTPError, TarError, OSError)
_MAX_LINKS: Final = 8
_FIRST_LINE_BYTES: Final = 256


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

    def pull(self, repository: str, digest: str, keep_going: Callable[[], None]) -> Image:
        """See `Engine.pull`."""
        reference = f"{repository}@{digest}"
        with _translated("pull the base image"):
            try:
                return _image(self._api.inspect_image(reference))
            except NoSuchObject:
                api = self._api
                with self._given_up_with(api):
                    interruptible(
                        lambda: _consume(api.pull(repository, tag=digest, stream=True, decode=True)),
                        keep_going,
                    )
            return _image(self._api.inspect_image(reference), pulled=True)

    def setup_script(self, image: Image, *, name: str) -> SetupScript:
        """See `Engine.setup_script`. Looks into a container that is created and never started."""
        with _translated("look into the base image"):
            # an image without CMD can't be created without a command
            created = self._api.create_container(image.id, command=["-"], name=name, use_config_proxy=False)
            container = created["Id"]
            try:
                return self._look(container, SETUP_SCRIPT)
            finally:
                self._remove(container)

    @contextmanager
    def build_container(
        self, image: Image, *, name: str, command: tuple[str, ...]
    ) -> Iterator[DockerBuildContainer]:
        """See `Engine.build_container`."""
        # Commit merges the container's config into the image's, and some overrides can't be taken back: so the
        # entrypoint is overridden only where the base image has one, and nothing else but stdin is set.
        has_entrypoint = bool(image.config.get("Entrypoint"))
        healthcheck = {"test": ["NONE"]} if image.config.get("Healthcheck") else None
        with _translated("create the build container"):
            created = self._api.create_container(
                image.id,
                command=None if has_entrypoint else list(command),
                entrypoint=list(command) if has_entrypoint else None,
                name=name,
                stdin_open=True,
                healthcheck=healthcheck,
                use_config_proxy=False,
                host_config=self._isolation.host_config(self._api),
            )
        api = self._api
        container = DockerBuildContainer(api, created["Id"])
        try:
            with self._given_up_with(api):
                yield container
        finally:
            container.close()
            self._remove(created["Id"])

    def push(self, repository: str, tag: str, image_id: str, keep_going: Callable[[], None]) -> str:
        """See `Engine.push`."""
        with _translated("push the image"):
            api = self._api
            with self._given_up_with(api):
                final = interruptible(
                    lambda: _consume(api.push(repository, tag=tag, stream=True, decode=True)), keep_going
                )
            digest = final.get("Digest")
            pushed = self._api.inspect_image(image_id).get("RepoDigests") or ()
        # a worker that lost its lease may have moved the tag between our commit and our push
        if f"{repository}@{digest}" not in pushed:
            raise EngineError(
                f"The engine did not push the image that was committed for {repository}:{tag}.",
                "Look at the engine's own log.",
            )
        return str(digest)

    def remove_image(self, reference: str) -> None:
        """See `Engine.remove_image`."""
        with _translated("remove an image"), suppress(NoSuchObject):
            self._api.remove_image(reference)

    def containers(self, prefix: str) -> tuple[Container, ...]:
        """See `Engine.containers`."""
        with _translated("list containers"):
            found = self._api.containers(all=True, filters={"name": f"^/{re.escape(prefix)}"})
        return tuple(Container(id=each["Id"], name=each["Names"][0].removeprefix("/")) for each in found)

    def remove_container(self, container_id: str) -> None:
        """See `Engine.remove_container`."""
        with _translated("remove a container"), suppress(NoSuchObject):
            self._api.remove_container(container_id, force=True, v=True)

    def tagged_images(self, prefix: str) -> tuple[TaggedImage, ...]:
        """See `Engine.tagged_images`."""
        with _translated("list images"):
            found = self._api.images()
        return tuple(
            TaggedImage(id=each["Id"], reference=tag, digests=tuple(each["RepoDigests"] or ()))
            for each in found
            for tag in each["RepoTags"] or ()
            if tag.startswith(prefix)
        )

    def ping(self) -> str:
        """See `Engine.ping`."""
        with _translated("answer"):
            return str(self._api.version()["Version"])

    def machine(self) -> Machine:
        """See `Engine.machine`."""
        with _translated("list networks"):
            networks = self._api.networks()
        configs = [config for network in networks for config in network["IPAM"]["Config"] or ()]
        addresses = dict.fromkeys(filter(None, map(_gateway, configs)))
        return Machine(api_url=self._url or os.environ.get("DOCKER_HOST", ""), addresses=tuple(addresses))

    @contextmanager
    def _given_up_with(self, api: docker.APIClient) -> Iterator[None]:
        """A call that was given up may still use the client: what comes after an error takes another one."""
        try:
            yield
        except BaseException:
            if getattr(self._local, "api", None) is api:
                del self._local.api
            raise

    @property
    def _api(self) -> docker.APIClient:
        if not hasattr(self._local, "api"):
            environment = kwargs_from_env()
            if self._url:
                environment["base_url"] = self._url
            self._local.api = docker.APIClient(**environment, version="auto", timeout=self._timeout_s)
            # no proxy is between us and an engine; looking for one in the environment is a third of a call's cost
            self._local.api.trust_env = False
        api: docker.APIClient = self._local.api
        return api

    def _look(self, container: str, path: str) -> SetupScript:
        for _ in range(_MAX_LINKS):
            try:
                chunks, found = self._api.get_archive(container, path)
            except NoSuchObject:
                return SetupScript(kind=FileKind.MISSING)
            except APIError as error:
                if "too many links" in str(error):  # a circle
                    return SetupScript(kind=FileKind.OTHER)
                raise
            with closing(chunks):
                if not found["mode"] & (_GO_SYMLINK | _GO_DIR):
                    return _script(found["mode"], chunks)
            if found["mode"] & _GO_DIR:
                break
            path = found["linkTarget"]
        return SetupScript(kind=FileKind.OTHER)

    def _remove(self, container: str) -> None:
        """Removes a container with its volumes. A failure is logged: it must not hide why the block ended."""
        try:
            self._api.remove_container(container, force=True, v=True)
        except NoSuchObject:
            pass
        except _UNREACHABLE as error:
            logger.warning("container.not_removed", container=container, error=str(error))


class DockerBuildContainer:
    """A created container; see `BuildContainer`."""

    def __init__(self, api: docker.APIClient, container: str) -> None:
        self._api = api
        self._id = container
        self._stream: AttachStream | None = None

    def run(
        self, line: str, on_output: Callable[[Stream, bytes], None], keep_going: Callable[[], None]
    ) -> int:
        """See `BuildContainer.run`."""
        with _translated("run the build container"):
            # attached before the start: a late attach loses what was printed before
            stream = self._attach()
            self._start()
            stream.send_line(line)
            stream.read(on_output, keep_going)
            return self._exit_code(keep_going)

    def commit(self, repository: str, tag: str, config: ImageConfig, keep_going: Callable[[], None]) -> Image:
        """See `BuildContainer.commit`."""
        with _translated("commit the build container"):
            committed = interruptible(
                lambda: self._api.commit(self._id, repository, tag, conf=dict(config)), keep_going
            )
            return _image(self._api.inspect_image(committed["Id"]))

    def close(self) -> None:
        """Closes the stream, so that the container can be removed."""
        if self._stream:
            self._stream.close()

    def _attach(self) -> AttachStream:
        parameters = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        raw = self._api.attach_socket(self._id, parameters)
        self._stream = AttachStream(getattr(raw, "_sock", raw), owner=getattr(raw, "_response", raw))
        return self._stream

    def _start(self) -> None:
        try:
            self._api.start(self._id)
        except APIError as error:
            # 400 for a command that is missing or not executable; 404 for a network that is
            if error.status_code == HTTPStatus.BAD_REQUEST:
                raise BaseImageUnusable(
                    f"bash could not be started in the base image: {error.explanation}",
                    f"Install bash where the first line of {SETUP_SCRIPT} says it is.",
                ) from error
            raise

    def _exit_code(self, keep_going: Callable[[], None]) -> int:
        """Asks for the exit code: `wait` would ignore deadlines. The stream's end does not mean success."""
        pause_s = 0.002
        while (state := self._api.inspect_container(self._id)["State"])["Running"]:
            keep_going()
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.2)
        return int(state["ExitCode"])


@contextmanager
def _translated(action: str) -> Iterator[None]:
    try:
        yield
    except APIError as error:
        said = str(error.explanation or error)
        raise EngineError(f"The engine could not {action}: {said}.", _suggestion(said)) from error
    except _UNREACHABLE as error:
        raise EngineError(
            f"The engine could not {action}: it can't be reached ({type(error).__name__}).",
            "Check DOCKER_HOST and that the engine runs.",
        ) from error


def _suggestion(said: str) -> str:
    """What to do about an error of the engine, by its own words: its status codes tell less."""
    if re.search(r"\bruntime (specified|name)\b", said):
        return "Make that runtime known to the engine, or change GALAXY_BUILD_RUNTIME."
    if re.search(r"\bnetwork \S+ not found", said):
        return "Make that network with deploy/build-network, or change GALAXY_BUILD_NETWORK."
    return "Look at the engine's own log."


def _consume(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Reads a progress stream to its end; errors come in it, with HTTP status 200. Returns its last `aux`."""
    last: dict[str, Any] = {}
    error = None
    for event in events:  # to the end also after an error, which frees the connection
        error = error or event.get("error")
        last = event.get("aux") or last
    if error:
        raise EngineError(f"The engine said: {error}.", "Check the registry and the engine's log.")
    return last


def _gateway(config: dict[str, str]) -> str:
    """The machine's address on a network; "" if the engine tells none."""
    if "Gateway" in config or "Subnet" not in config:
        return config.get("Gateway", "").partition("/")[0]
    # an engine that has just made its bridge tells the subnet only; it took the first address for itself
    return str(next(ipaddress.ip_network(config["Subnet"]).hosts()))


def _image(inspected: dict[str, Any], *, pulled: bool = False) -> Image:
    return Image(id=inspected["Id"], config=inspected["Config"] or {}, pulled=pulled)


def _script(mode: int, chunks: Iterator[bytes]) -> SetupScript:
    """Reads the first line of the one file in an archive, and no more than that."""
    with tarfile.open(fileobj=_ChunkReader(chunks), mode="r|") as archive:
        member = archive.next()
        content = archive.extractfile(member) if member else None
        head = content.read(_FIRST_LINE_BYTES) if content else b""
    return SetupScript(
        kind=FileKind.FILE if content else FileKind.OTHER,
        executable=bool(mode & (stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)),
        first_line=head.split(b"\n", 1)[0].decode(errors="replace"),
    )


class _ChunkReader(io.RawIOBase):
    """Lets tarfile read from an iterator of chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._rest) < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            self._rest += chunk
        cut = len(self._rest) if size < 0 else size
        data, self._rest = self._rest[:cut], self._rest[cut:]
        return data
