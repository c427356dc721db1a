"""What the services need of an engine that runs app containers. `DockerRuntime` is the real one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from galaxy.domain.cancellation import never_cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from galaxy.domain.containers import AppContainer, ContainerSpec, OutputChunk


class Runtime(Protocol):
    """Runs app containers. It only places them: which ones there have to be is decided above.

    All methods raise `EngineError` when the engine can't be reached or refuses.
    """

    def ensure(
        self, spec: ContainerSpec, check_cancelled: Callable[[], None] = never_cancelled
    ) -> AppContainer:
        """Makes the container unless there is one of this name, and starts it unless it ran before.

        One that has ended is not started again: whoever wants it to run again removes it first.

        Args:
            spec: What the container has to be.
            check_cancelled: Called several times a second; what it raises ends the call.

        Raises:
            ImageMissing: The registry answers that it does not have the image.
            ContainerNotStarted: The image has nothing to run, or it can't be run.
        """
        ...

    def list(self, pipeline: str) -> tuple[AppContainer, ...]:
        """All app containers of a pipeline, running or not, by name."""
        ...

    def logs(self, container_id: str, *, since: str = "", follow: bool = True) -> Iterator[OutputChunk]:
        """What the container printed, oldest first; what was printed at `since` itself may come once more.

        Args:
            container_id: The engine's.
            since: `OutputChunk.at`; empty for the beginning.
            follow: Go on until the container has ended.
        """
        ...

    def stop(self, container_id: str, *, kill: bool = False) -> None:
        """Sends SIGTERM (or what the image names instead), or SIGKILL, and returns at once.

        A container that has ended, or is gone, is fine.
        """
        ...

    def remove(self, container_id: str) -> None:
        """Kills and removes the container with its volumes; one that is gone is fine."""
        ...

    def listening(self, container_id: str) -> tuple[int, ...]:
        """Ports on which something in the container listens; none if that can't be found out."""
        ...
