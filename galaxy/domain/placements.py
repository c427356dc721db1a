"""Placements: which app containers there have to be, and how far each of them is."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from galaxy.domain.containers import ContainerLimits
from galaxy.domain.deploys.run_settings import DEFAULT, RunSettings
from galaxy.domain.models import Frozen


class PlacementState(StrEnum):
    """How far one app container is."""

    WANTED = "wanted"
    """It has to be started, at `start_at_ms` or later."""
    STARTING = "starting"
    """It was started, and was not healthy yet."""
    HEALTHY = "healthy"
    """It serves: it gets requests."""
    UNHEALTHY = "unhealthy"
    """It was healthy and does not answer any more: it gets requests only while no other container does."""
    FAILED = "failed"
    """It ended, or can't be started, and is not started again."""
    LEAVING = "leaving"
    """It gets no new requests; those that it has are waited for."""
    STOPPING = "stopping"
    """It was sent SIGTERM, and SIGKILL after the grace period."""


S = PlacementState

#: States in which a container may be in the router.
ROUTABLE = frozenset({S.HEALTHY, S.UNHEALTHY})
#: States in which a container is on its way out.
ENDING = frozenset({S.LEAVING, S.STOPPING})


class Placement(Frozen):
    """One app container: a place among the containers of a version, and how far it is.

    Attributes:
        index: Its place, from 0.
        generation: The app's restart that it belongs to. A container of another one than is wished for is replaced.
        starts: How many containers there were at this place, this one included. Each has a name of its own.
        state: Since `since_ms`, in milliseconds since the epoch.
        start_at_ms: In `PlacementState.WANTED`, when it may be started.
        healthy_at_ms: When this container was healthy first; 0 before.
        misses: Probes in a row that failed.
        address: IP address of the container; empty until it runs.
        cause: What was found last that is wrong with it, as a sentence.
        slot: Its place in the router's backend, from 1; 0 before it was healthy.
        grace_s: From SIGTERM to SIGKILL; what it still has to answer is waited for as long, before.
    """

    app: str
    version: int
    index: int
    generation: int = 0
    starts: int = 0
    state: PlacementState = S.WANTED
    since_ms: int = 0
    start_at_ms: int = 0
    healthy_at_ms: int = 0
    misses: int = 0
    address: str = ""
    cause: str = ""
    slot: int = 0
    grace_s: float = DEFAULT.grace_period_s

    @property
    def key(self) -> str:
        """Names the place within its app: `VERSION-INDEX-GENERATION`."""
        return f"{self.version}-{self.index}-{self.generation}"

    @property
    def container_id(self) -> str:
        """What the app and its users see of the container's name: `v3-0-0-1`."""
        return f"v{self.key}-{self.starts}"

    def container_name(self, pipeline: str) -> str:
        """Of the container on the engine. Never used twice."""
        return f"{pipeline}-app-{self.app}-{self.container_id}"

    def become(self, state: PlacementState, now_ms: int, **changes: object) -> Placement:
        """The placement in another state, since now."""
        return self.model_copy(update={"state": state, "since_ms": now_ms, **changes})


class VersionWish(Frozen):
    """How many containers of a version there have to be, and how they are run.

    Attributes:
        serves: It is the app's active version; else it is being rolled out.
        count: Containers.
        generation: See `Placement.generation`.
    """

    version: int
    serves: bool
    count: int = 1
    generation: int = 0
    run: RunSettings = DEFAULT
    limits: ContainerLimits = ContainerLimits()


class Event(NamedTuple):
    """Something that the app's log has to tell about a container. `code` names it, `text` is its cause."""

    code: str
    version: int
    container: str
    text: str = ""


class Act(StrEnum):
    """What has to be done on the engine."""

    START = "start"
    """Make the container and start it."""
    STOP = "stop"
    """Send SIGTERM."""
    KILL = "kill"
    """Send SIGKILL."""
    REMOVE = "remove"
    """Remove what is left of it."""


class Action(NamedTuple):
    """Something to do, with the placement as it is then."""

    act: Act
    placement: Placement
