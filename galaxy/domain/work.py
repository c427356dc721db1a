"""Answers of the store about versions: made, due for work, made active."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from galaxy.domain.models import VersionRef
    from galaxy.domain.states import VersionState


class Created(NamedTuple):
    """Answer to a deploy: `repeated` when its idempotency key had made this version before."""

    number: int
    repeated: bool
    superseded: tuple[int, ...]


class Due(NamedTuple):
    """A version that the reconciler has to look at; `waited_s` is how long ago it was enqueued last."""

    ref: VersionRef
    state: VersionState
    attempt: int
    waited_s: float
    automatic: bool


class Activation(NamedTuple):
    """`previous` is the version that was active until now. Superseded: `newer` is active, and stays."""

    previous: int | None = None
    newer: int | None = None
