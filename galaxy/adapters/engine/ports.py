"""What the build stage needs of a container engine. `DockerEngine` is the real one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from galaxy.domain.cancellation import never_cancelled
from galaxy.domain.models import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from galaxy.domain.base_images.contract import SetupScript
    from galaxy.domain.base_images.image_config import ImageConfig
    from galaxy.domain.log import Stream


class Image(Frozen):
    """An image on the engine.

    Attributes:
        id: Hash of the image's config: the engine's name for it, not a manifest digest.
        config: The `Config` object of the engine's API.
        pulled: It had to be pulled just now.
    """

    id: str
    config: dict[str, object]
    pulled: bool = False


class Container(Frozen):
    """A container on the engine, running or not."""

    id: str
    name: str


class TaggedImage(Frozen):
    """An image on the engine that has tags.

    Attributes:
        tags: All of them, as `REPOSITORY:TAG`.
        digests: `REPOSITORY@DIGEST` for each place that it was pushed to or pulled from.
    """

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    labels: dict[str, str]


class Machine(Frozen):
    """Where an engine is.

    Attributes:
        api_url: How it is talked to, as in DOCKER_HOST.
        addresses: Addresses of its machine on the engine's networks.
    """

    api_url: str
    addresses: tuple[str, ...]


class BuildContainer(Protocol):
    """The temporary container of one attempt: created, and not started yet."""

    def run(
        self, line: str, on_output: Callable[[Stream, bytes], None], check_cancelled: Callable[[], None]
    ) -> int:
        """Starts the container, hands it one line on stdin, and returns its exit code.

        Args:
            line: Without its line end. It is in no config and no history.
            on_output: Called with each piece of output, in order per stream.
            check_cancelled: Called several times a second; what it raises ends the run.

        Raises:
            BaseImageUnusable: The container could not be started.
            DiskLimitReached: It wrote more than it may.
            EngineError: The engine went away or refused.
        """
        ...

    def commit(
        self, repository: str, tag: str, config: ImageConfig, check_cancelled: Callable[[], None]
    ) -> Image:
        """Saves the container's files as an image with this config."""
        ...


class Engine(Protocol):
    """A container engine. All methods raise `EngineError` when it can't be reached or refuses.

    What takes a `check_cancelled` calls it several times a second, also while the engine hangs. When it raises, so
    does the call, and the engine is told that nobody waits any more.
    """

    def pull(
        self,
        repository: str,
        digest: str,
        check_cancelled: Callable[[], None],
        on_progress: Callable[[], None] = never_cancelled,
    ) -> Image:
        """The image with this manifest digest, pulled unless the engine has it.

        Args:
            repository: With its registry's host.
            digest: Of the manifest.
            check_cancelled: Ends the pull when it raises.
            on_progress: Called whenever the engine tells of progress.

        Raises:
            BaseImageNotFound: The registry answers that it does not have it.
        """
        ...

    def setup_script(
        self, image: Image, *, name: str, check_cancelled: Callable[[], None] = never_cancelled
    ) -> SetupScript:
        """Looks at `/app/setup.sh` in the image, without running anything.

        Args:
            image: On this engine.
            name: Of a container that is needed for it for a moment.
            check_cancelled: Ends the look when it raises.
        """
        ...

    def build_container(
        self,
        image: Image,
        *,
        name: str,
        command: tuple[str, ...],
        check_cancelled: Callable[[], None] = never_cancelled,
    ) -> AbstractContextManager[BuildContainer]:
        """Creates a container that will run `command` in place of what the image runs.

        The container, its processes and its volumes are gone after the block, however it ends.
        """
        ...

    def push(
        self,
        repository: str,
        tag: str,
        image_id: str,
        check_cancelled: Callable[[], None],
        on_progress: Callable[[], None] = never_cancelled,
    ) -> str:
        """Tags an image, pushes that tag, and returns the manifest digest that its registry has now.

        A push that is given up does not move the tag in the registry afterwards, unless the registry has been sent
        the manifest already.

        Raises:
            EngineError: Also when the tag named another image than `image_id` by the time it was pushed.
        """
        ...

    def remove_image(self, reference: str) -> None:
        """Removes a tag, and the image if it was its last; or an image by its id, with all of its tags.

        One that is gone already is fine.
        """
        ...

    def containers(self, prefix: str) -> tuple[Container, ...]:
        """All containers whose name begins so."""
        ...

    def remove_container(self, container_id: str) -> None:
        """Ends and removes a container; one that is gone already is fine.

        Of its volumes, those go with it that the engine named. The others are left for `remove_volume`.
        """
        ...

    def volumes(self, prefix: str) -> tuple[str, ...]:
        """Names of all volumes that begin so. Those of a build container are named by `names.volume_name`."""
        ...

    def remove_volume(self, name: str) -> None:
        """Removes a volume that no container has any more; one that is gone already is fine."""
        ...

    def tagged_images(self, prefix: str) -> tuple[TaggedImage, ...]:
        """All images with a tag that begins so."""
        ...

    def ping(self) -> str:
        """The engine's version."""
        ...

    def machine(self) -> Machine:
        """Where the engine is."""
        ...
