"""An engine in memory: no containers, no registry, and the same contract tests as the real one."""

from __future__ import annotations

import hashlib
from collections import defaultdict, deque
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from galaxy.adapters.engine.ports import Container, Image, Machine, TaggedImage
from galaxy.domain.base_images.contract import FileKind, SetupScript, volume_places
from galaxy.domain.cancellation import never_cancelled
from galaxy.domain.errors import BaseImageNotFound, BaseImageUnusable, EngineError
from galaxy.domain.log import Stream
from galaxy.domain.names import volume_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from galaxy.domain.base_images.image_config import ImageConfig

#: What a script that keeps the contract looks like from outside.
BASH_SCRIPT: Final = SetupScript(kind=FileKind.FILE, executable=True, first_line="#!/bin/bash")


class Running:
    """A program in a build container, as the program itself sees it.

    Attributes:
        line: What it was handed on stdin.
    """

    def __init__(
        self, line: str, on_output: Callable[[Stream, bytes], None], check_cancelled: Callable[[], None]
    ) -> None:
        self.line = line
        self.tick = check_cancelled
        self._on_output = on_output

    def print(self, text: str | bytes, stream: Stream = Stream.STDOUT) -> None:
        """Prints exactly this; the line end is the program's business. May end the program."""
        self.tick()
        self._on_output(stream, text.encode() if isinstance(text, str) else text)


Program: TypeAlias = "Callable[[Running], int]"
"""Runs in place of setup.sh and returns its exit code. One that goes on for long calls `tick` now and then."""


def succeed(_: Running) -> int:
    """The program that prints nothing and succeeds."""
    return 0


class _Content(NamedTuple):
    image: Image
    script: SetupScript
    program: Program
    has_bash: bool


class FakeEngine:
    """A container engine and its registries in memory. Not for several threads.

    Attributes:
        container_names: Names of the containers that exist.
        volume_names: Names of the volumes that exist.
        images: The images that exist, by id.
        unreachable: Hosts of registries that can't be reached.
        alter_config: What the engine makes of a config on commit; the real one should change nothing.
    """

    def __init__(self) -> None:
        self.container_names: set[str] = set()
        self.volume_names: set[str] = set()
        self.images: dict[str, Image] = {}
        self.unreachable: set[str] = set()
        self.alter_config: Callable[[dict[str, object]], dict[str, object]] = dict
        self._contents: dict[str, _Content] = {}
        self._names: dict[str, str] = {}
        self._registries: dict[str, str] = {}
        self._faults: defaultdict[str, deque[Exception]] = defaultdict(deque)
        self._ids = (_sha256(f"image {number}") for number in count(1))

    # -- what a test prepares and asks

    def publish(
        self,
        repository: str,
        config: ImageConfig,
        *,
        script: SetupScript = BASH_SCRIPT,
        program: Program = succeed,
        has_bash: bool = True,
    ) -> str:
        """Puts a base image into a registry and returns its manifest digest.

        Args:
            repository: With the registry's host.
            config: As the engine's API would show it.
            script: What is found at `/app/setup.sh`.
            program: What that script does.
            has_bash: There is a bash where the script's first line says.
        """
        image = Image(id=next(self._ids), config=dict(config))
        self._contents[image.id] = _Content(image, script, program, has_bash)
        digest = _sha256(f"manifest of {image.id}")
        self._registries[f"{repository}@{digest}"] = image.id
        return digest

    def fail_next(self, method: str, *errors: Exception) -> None:
        """The next calls of a method raise these: of the engine's, or `create`, `run`, `commit`."""
        self._faults[method].extend(errors)

    def tag(self, repository: str, tag: str, image_id: str) -> None:
        """Moves a tag, as another worker might."""
        self._names[f"{repository}:{tag}"] = image_id

    def registry_digest(self, repository: str, tag: str) -> str | None:
        """The manifest digest that the registry shows for a tag."""
        return self._registries.get(f"{repository}:{tag}")

    # -- what the build stage uses

    def pull(
        self,
        repository: str,
        digest: str,
        check_cancelled: Callable[[], None],
        on_progress: Callable[[], None] = never_cancelled,
    ) -> Image:
        """See `Engine.pull`."""
        self._meet_fault("pull")
        reference = f"{repository}@{digest}"
        if known := self._names.get(reference):
            return self.images[known]
        self._reach(repository)
        check_cancelled()
        on_progress()
        found = self._registries.get(reference)
        if not found:
            raise BaseImageNotFound(f"{repository} has no image with the digest {digest}.")
        self._names[reference] = found
        self.images[found] = self._contents[found].image
        return self.images[found].model_copy(update={"pulled": True})

    def setup_script(
        self, image: Image, *, name: str, check_cancelled: Callable[[], None] = never_cancelled
    ) -> SetupScript:
        """See `Engine.setup_script`."""
        self._meet_fault("setup_script")
        check_cancelled()
        if name in self.container_names:
            raise EngineError(f"The engine could not look into the base image: {name} is in use.")
        return self._content(image.id).script

    @contextmanager
    def build_container(
        self,
        image: Image,
        *,
        name: str,
        command: tuple[str, ...],
        check_cancelled: Callable[[], None] = never_cancelled,
    ) -> Iterator[FakeBuildContainer]:
        """See `Engine.build_container`."""
        self._meet_fault("create")
        check_cancelled()
        content = self._content(image.id)
        if name in self.container_names:
            raise EngineError(f"The engine could not create the build container: {name} is in use.")
        places = volume_places(image.config)
        volumes = {volume_name(name, number) for number, _ in enumerate(places, start=1)}
        self.container_names.add(name)
        self.volume_names |= volumes
        try:
            yield FakeBuildContainer(self, content, command)
        finally:
            self.container_names.discard(name)
            self.volume_names -= volumes

    def push(
        self,
        repository: str,
        tag: str,
        image_id: str,
        check_cancelled: Callable[[], None],
        on_progress: Callable[[], None] = never_cancelled,
    ) -> str:
        """See `Engine.push`."""
        self._meet_fault("push")
        check_cancelled()
        self.tag(repository, tag, image_id)
        self._reach(repository)
        on_progress()
        digest = _sha256(f"manifest of {image_id}")
        self._registries |= {f"{repository}:{tag}": digest, f"{repository}@{digest}": image_id}
        return digest

    def remove_image(self, reference: str) -> None:
        """See `Engine.remove_image`."""
        self._meet_fault("remove_image")
        image_id = self._names.pop(reference, reference)
        names = [name for name, named in self._names.items() if named == image_id]
        if reference == image_id:
            for name in names:
                del self._names[name]
        if reference == image_id or not names:
            self.images.pop(image_id, None)

    def containers(self, prefix: str) -> tuple[Container, ...]:
        """See `Engine.containers`."""
        self._meet_fault("containers")
        return tuple(
            Container(id=name, name=name) for name in sorted(self.container_names) if name.startswith(prefix)
        )

    def remove_container(self, container_id: str) -> None:
        """See `Engine.remove_container`."""
        self._meet_fault("remove_container")
        self.container_names.discard(container_id)

    def volumes(self, prefix: str) -> tuple[str, ...]:
        """See `Engine.volumes`."""
        self._meet_fault("volumes")
        return tuple(name for name in sorted(self.volume_names) if name.startswith(prefix))

    def remove_volume(self, name: str) -> None:
        """See `Engine.remove_volume`."""
        self._meet_fault("remove_volume")
        self.volume_names.discard(name)

    def tagged_images(self, prefix: str) -> tuple[TaggedImage, ...]:
        """See `Engine.tagged_images`."""
        self._meet_fault("tagged_images")
        return tuple(
            TaggedImage(
                id=image_id,
                tags=self._tags_of(image_id),
                digests=self._digests_of(image_id),
                labels=_labels_of(self.images[image_id]),
            )
            for image_id in self.images
            if any(tag.startswith(prefix) for tag in self._tags_of(image_id))
        )

    def ping(self) -> str:
        """See `Engine.ping`."""
        self._meet_fault("ping")
        return "fake"

    def machine(self) -> Machine:
        """See `Engine.machine`."""
        self._meet_fault("machine")
        return Machine(api_url="memory://", addresses=("172.17.0.1",))

    # -- inside

    def save(self, content: _Content, repository: str, tag: str, config: ImageConfig) -> Image:
        """Commits a container; for `FakeBuildContainer`."""
        self._meet_fault("commit")
        image = Image(id=next(self._ids), config=self.alter_config(dict(config)))
        self.images[image.id] = image
        self._contents[image.id] = content._replace(image=image)
        self.tag(repository, tag, image.id)
        return image

    def start(self, content: _Content) -> Program:
        """What a started container runs; for `FakeBuildContainer`."""
        self._meet_fault("run")
        if not content.has_bash:
            raise BaseImageUnusable("bash could not be started in the base image: no such file.")
        return content.program

    def _digests_of(self, image_id: str) -> tuple[str, ...]:
        return tuple(name for name, known in self._registries.items() if known == image_id and "@" in name)

    def _tags_of(self, image_id: str) -> tuple[str, ...]:
        return tuple(name for name, named in self._names.items() if named == image_id and "@" not in name)

    def _content(self, image_id: str) -> _Content:
        if image_id not in self.images:
            raise EngineError(f"The engine has no image {image_id}.")
        return self._contents[image_id]

    def _reach(self, repository: str) -> None:
        host = repository.partition("/")[0]
        if host in self.unreachable:
            raise EngineError(f"The engine said: connection to {host} refused.")

    def _meet_fault(self, method: str) -> None:
        if self._faults[method]:
            raise self._faults[method].popleft()


class FakeBuildContainer:
    """See `BuildContainer`. Attributes: `command`, what it was created with."""

    def __init__(self, engine: FakeEngine, content: _Content, command: tuple[str, ...]) -> None:
        self._engine = engine
        self._content = content
        self.command = command

    def run(
        self, line: str, on_output: Callable[[Stream, bytes], None], check_cancelled: Callable[[], None]
    ) -> int:
        """See `BuildContainer.run`."""
        return self._engine.start(self._content)(Running(line, on_output, check_cancelled))

    def commit(
        self, repository: str, tag: str, config: ImageConfig, check_cancelled: Callable[[], None]
    ) -> Image:
        """See `BuildContainer.commit`."""
        check_cancelled()
        return self._engine.save(self._content, repository, tag, config)


def _labels_of(image: Image) -> dict[str, str]:
    labels = image.config.get("Labels")
    return dict(labels) if isinstance(labels, dict) else {}


def _sha256(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
