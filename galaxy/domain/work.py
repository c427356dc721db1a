"""Work on a version, which needs a lease; and answers of the store about versions: made, due, made active."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from galaxy.domain.states import VersionState

if TYPE_CHECKING:
    from galaxy.domain.models import VersionRef


class WorkKind(StrEnum):
    """What a lease is the right to do."""

    BUILD = "build"
    """Build the version's image."""


class WorkRules(NamedTuple):
    """What work of a kind makes of a version.

    Attributes:
        state: Where a version is while somebody has the lease.
        claimable: Where a version is whose work can begin.
        handed_back: Where it goes when the holder gives its attempt back unused.
        retrying: Where it goes when an attempt failed and there is another one.
        failed: Where it goes when the last attempt failed.
        done: Where it goes when the work is done.
        attempts: Field of the version's record that counts the attempts of this kind.
    """

    state: VersionState
    claimable: tuple[VersionState, ...]
    handed_back: VersionState
    retrying: VersionState
    failed: VersionState
    done: VersionState
    attempts: str


#: The rules of each kind of work.
WORK: Final = MappingProxyType(
    {
        WorkKind.BUILD: WorkRules(
            state=VersionState.BUILDING,
            claimable=(VersionState.QUEUED, VersionState.RETRYING),
            handed_back=VersionState.QUEUED,
            retrying=VersionState.RETRYING,
            failed=VersionState.BUILD_FAILED,
            done=VersionState.BUILT,
            attempts="attempt",
        ),
    }
)


def work_in_progress(state: VersionState) -> WorkKind | None:
    """The kind of work that somebody does on a version in this state; None if it is none that needs a lease."""
    return next((kind for kind, rules in WORK.items() if rules.state is state), None)


class Created(NamedTuple):
    """Answer to a deploy: `repeated` when its idempotency key had made this version before."""

    number: int
    repeated: bool
    superseded: tuple[int, ...]


class Due(NamedTuple):
    """A version that the reconciler has to look at.

    Attributes:
        waited_s: How long ago it was enqueued last.
        leased: Somebody has, or had, the lease of the work that its state stands for.
    """

    ref: VersionRef
    state: VersionState
    attempt: int
    waited_s: float
    automatic: bool
    leased: bool = False

    @property
    def work(self) -> WorkKind | None:
        """The work that somebody does on it, or did until the lease ran out."""
        return work_in_progress(self.state) if self.leased else None


class Activation(NamedTuple):
    """`previous` is the version that was active until now. Superseded: `newer` is active, and stays."""

    previous: int | None = None
    newer: int | None = None
