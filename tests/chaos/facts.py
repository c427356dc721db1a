"""What a run left behind, as values. The checks look at nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from galaxy.domain.activity import ActivityEntry
    from galaxy.domain.log import LogLine
    from galaxy.domain.models import Version, VersionRef
    from tests.chaos.plans import Plan


class Deployed(NamedTuple):
    """A deploy that was answered. `cancelled`: somebody asked for its end, successfully or not."""

    ref: VersionRef
    plan: Plan
    cancelled: bool = False


class Run(NamedTuple):
    """One run of a setup script, as it told the bundle server. Times in seconds since the epoch.

    Attributes:
        number: Unique; every line that it printed and the image that it made name it.
        token: Of the claim, from the container's name; None when the engine did not answer.
        ended_at: It reached its end; None when it was ended before.
        seen_at: When its container was last seen running.
    """

    number: int
    ref: VersionRef
    token: int | None
    started_at: float
    ended_at: float | None
    seen_at: float


class Pushed(NamedTuple):
    """What the registry has for a built version.

    Attributes:
        tag_digest: What the version's tag points to.
        recorded: The recorded digest can be pulled.
        run: Number of the run that made the image.
        labels: Of the image.
    """

    tag_digest: str
    recorded: bool
    run: int | None
    labels: Mapping[str, str]


class Began(NamedTuple):
    """A worker began an attempt, as its own output says. `pid` is the process that builds."""

    ref: VersionRef
    attempt: int
    at: float
    member: str
    pid: int


@dataclass(frozen=True)
class FaultRecord:
    """A fault that was injected. Times in seconds since the epoch.

    Attributes:
        member: Name of the process that was hit, if it was one.
        pid: The one child that was hit, if it was one.
        aim: Deadly faults end the attempts of what they hit; outages end what all need; the others nothing.
    """

    name: str
    at: float
    until: float
    member: str = ""
    pid: int | None = None
    aim: Literal["deadly", "outage", "nuisance"] = "nuisance"


@dataclass(frozen=True)
class Timing:
    """The settings that recovery depends on, in seconds. `allowance_s` is for starting, polling and a busy machine."""

    lease_s: float
    reconcile_s: float
    reap_s: float
    allowance_s: float

    @property
    def recovery_s(self) -> float:
        """From the end of a worker to the next attempt."""
        return self.lease_s + self.reconcile_s + self.allowance_s


@dataclass(frozen=True)
class Facts:
    """A whole run.

    Attributes:
        versions: Everything that the store has.
        active: The active version of each app.
        leases: Versions that the store has a lease for.
        waiting: What is still queued or due, by where.
        left: What is on the engine and belongs to nobody: its kind and name.
        texts: Everything where no secret may be, by where.
        accidents: Processes that ended by themselves, or did not end when they were told to.
    """

    timing: Timing
    deployed: tuple[Deployed, ...] = ()
    versions: Mapping[VersionRef, Version] = field(default_factory=dict)
    active: Mapping[str, int | None] = field(default_factory=dict)
    activity: Mapping[str, tuple[ActivityEntry, ...]] = field(default_factory=dict)
    logs: Mapping[str, tuple[LogLine, ...]] = field(default_factory=dict)
    runs: tuple[Run, ...] = ()
    pushed: Mapping[VersionRef, Pushed] = field(default_factory=dict)
    began: tuple[Began, ...] = ()
    faults: tuple[FaultRecord, ...] = ()
    leases: tuple[VersionRef, ...] = ()
    waiting: Mapping[str, int] = field(default_factory=dict)
    left: tuple[str, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    accidents: tuple[str, ...] = ()

    def lines_of(self, ref: VersionRef) -> list[LogLine]:
        """The version's lines in its app's log, in order."""
        return [line for line in self.logs.get(ref.app, ()) if line.version == ref.number]
