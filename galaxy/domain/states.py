"""The life of a version and the steps of its build, as data."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Final


class VersionState(StrEnum):
    """Where a version stands. The moves between states are in `TRANSITIONS`, and nowhere else."""

    QUEUED = "queued"
    """Recorded; no attempt has begun."""
    BUILDING = "building"
    """An attempt holds the lease."""
    RETRYING = "retrying"
    """The last attempt failed; the next one is due at `retry_at`."""
    BUILT = "built"
    """The image is in the registry; the rollout has not begun."""
    ROLLING_OUT = "rolling_out"
    """Containers of this version are replacing the previous ones."""
    ACTIVE = "active"
    """This version's containers serve the app."""
    RETIRED = "retired"
    """It was active once; a later version is now, or an earlier one again."""
    BUILD_FAILED = "build_failed"
    """All attempts failed."""
    ROLLOUT_FAILED = "rollout_failed"
    """Its containers never became healthy; the previous version stayed active."""
    CANCELLED = "cancelled"
    """A person ended it before it was active."""
    SUPERSEDED = "superseded"
    """A newer version of the app was already further."""


_S = VersionState

#: Which moves exist: from each state to the states it may become.
TRANSITIONS: Final = MappingProxyType(
    {
        _S.QUEUED: frozenset({_S.BUILDING, _S.CANCELLED, _S.SUPERSEDED}),
        _S.BUILDING: frozenset(
            {_S.BUILT, _S.RETRYING, _S.BUILD_FAILED, _S.QUEUED, _S.CANCELLED, _S.SUPERSEDED}
        ),
        _S.RETRYING: frozenset({_S.BUILDING, _S.CANCELLED, _S.SUPERSEDED}),
        _S.BUILT: frozenset({_S.ROLLING_OUT, _S.CANCELLED, _S.SUPERSEDED}),
        _S.ROLLING_OUT: frozenset({_S.ACTIVE, _S.ROLLOUT_FAILED, _S.CANCELLED, _S.SUPERSEDED}),
        _S.ACTIVE: frozenset({_S.RETIRED}),
        _S.RETIRED: frozenset({_S.ACTIVE}),
        _S.BUILD_FAILED: frozenset[_S](),
        _S.ROLLOUT_FAILED: frozenset[_S](),
        _S.CANCELLED: frozenset[_S](),
        _S.SUPERSEDED: frozenset[_S](),
    }
)

#: States in which a version still needs work. Everything else is final as far as a deploy is concerned.
UNFINISHED: Final = frozenset({_S.QUEUED, _S.BUILDING, _S.RETRYING, _S.BUILT, _S.ROLLING_OUT})

#: States of a version whose image does not exist yet: a newer version takes its place.
UNBUILT: Final = frozenset({_S.QUEUED, _S.BUILDING, _S.RETRYING})

#: Final states that mean that the version did not come to serve the app.
FAILED: Final = frozenset({_S.BUILD_FAILED, _S.ROLLOUT_FAILED, _S.CANCELLED, _S.SUPERSEDED})


class Step(StrEnum):
    """The steps of the build stage, in this order."""

    PULL = "pull"
    """Resolve the base image's tag to a digest and pull that digest."""
    VERIFY = "verify"
    """Check that the base image keeps the contract."""
    SETUP = "setup"
    """Run `/app/setup.sh BUNDLE_URL` in the build container."""
    COMMIT = "commit"
    """Save the build container as the app's image."""
    PUSH = "push"
    """Push the image to the registry for app images."""
