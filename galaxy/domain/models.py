"""What the store keeps of a version, as values. None of them can leak: secrets are `SecretStr`."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, SecretStr, computed_field

from galaxy.domain.reasons import Reason
from galaxy.domain.states import FAILED, Step, VersionState
from galaxy.domain.work import WorkKind

MAX_ATTEMPTS = 4
"""The first attempt and up to three retries (the specification's number)."""


class Frozen(BaseModel):
    """Base of the values: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class VersionRef(NamedTuple):
    """Names a version; all that a task carries."""

    app: str
    number: int

    def __str__(self) -> str:
        return f"version {self.number} of {self.app}"


class StepTiming(Frozen):
    """One step of the attempt that ran last. Times in milliseconds; `started_at_ms` since the epoch."""

    step: Step
    started_at_ms: int
    duration_ms: int


class Version(Frozen):
    """A version as everybody may see it: without its bundle URL and settings.

    Attributes:
        base_image: `repository:tag` that it is built on.
        base_digest: Manifest digest that the tag was resolved to by the attempt that built it.
        image: `HOST:PORT/apps/APP:VERSION`, once built.
        image_digest: Manifest digest of `image` in its registry, once pushed.
        attempt: Number of the newest attempt; 0 before the first.
        step: The step that runs now.
        reason: Why the last attempt failed, or the version ended; programs read `failure`.
        retry_at_ms: When the next attempt is due, in state `retrying`.
        deployed_by: Who asked for it.
        automatic: Made because the base image changed, not by a person.
        rebuild_of: Number of the version whose code an automatic version has.
    """

    app: str
    number: int
    state: VersionState
    base_image: str
    base_digest: str | None = None
    image: str | None = None
    image_digest: str | None = None
    attempt: int = 0
    step: Step | None = None
    steps: tuple[StepTiming, ...] = ()
    reason: Reason | None = Field(default=None, exclude=True)
    retry_at_ms: int | None = None
    deployed_by: str
    automatic: bool = False
    rebuild_of: int | None = None
    created_at_ms: int
    finished_at_ms: int | None = None

    @computed_field  # type: ignore[prop-decorator] # mypy knows no decorated properties
    @property
    def failure(self) -> str | None:
        """Why the last attempt failed, or the version ended, as a sentence."""
        return self.reason.sentence if self.reason else None

    @property
    def ref(self) -> VersionRef:
        """What names this version."""
        return VersionRef(self.app, self.number)

    @property
    def failed(self) -> bool:
        """It is final and never came to serve the app."""
        return self.state in FAILED


class NewVersion(Frozen):
    """What is recorded when a version is made; it never changes afterwards.

    Attributes:
        settings: The settings document as given (JSON text).
        env: Values of the settings' `env`, by name; the log hides those that are not public.
        base_reference: `base_image` in full, as the name of what the version depends on; empty if that is a digest,
            which never changes.
        warnings: What the log says about the settings, one sentence each.
    """

    app: str
    bundle_url: SecretStr
    settings: SecretStr
    env: dict[str, SecretStr]
    base_image: str
    base_reference: str = ""
    deployed_by: str
    automatic: bool = False
    warnings: tuple[str, ...] = ()


class Attempt(Frozen):
    """One run of the build stage, as its holder knows it.

    Attributes:
        kind: The work that its lease is the right to.
        number: From 1 to `MAX_ATTEMPTS`.
        token: The fencing token of the lease: rises with each claim of the version.
        env: Values of the settings' `env`, by name; the log hides those that are not public.
        wanted_digest: The base image's digest to build on; None: whatever its tag points to.
        automatic: As `Version.automatic`.
    """

    kind: WorkKind = WorkKind.BUILD
    app: str
    version: int
    number: int
    token: int
    base_image: str
    bundle_url: SecretStr
    env: dict[str, SecretStr]
    wanted_digest: str | None = None
    automatic: bool = False

    @property
    def ref(self) -> VersionRef:
        """The version that this attempt builds."""
        return VersionRef(self.app, self.version)


class NotClaimed(StrEnum):
    """Why a delivery of a task has no work to do. None of these is an error."""

    HELD = "held"
    """Another worker holds the lease."""
    NOT_DUE = "not_due"
    """The next attempt is due later."""
    NOT_CLAIMABLE = "not_claimable"
    """This work is done, the version is final, or all attempts are used up."""
    EXPIRED = "expired"
    """The lease ran out and nobody has ended the attempt yet."""


class LeaseState(StrEnum):
    """What became of one lease of a version."""

    HELD = "held"
    """It holds the lease."""
    ENDED = "ended"
    """It does not, and never will again."""
    UNKNOWN = "unknown"
    """The store does not know the version, or has not given that token yet."""


class BuiltImage(Frozen):
    """What a successful attempt leaves behind.

    Attributes:
        image: `HOST:PORT/apps/APP:VERSION`.
        image_digest: Its manifest digest in that registry.
        base_digest: Manifest digest of the base image that was used.
    """

    image: str
    image_digest: str
    base_digest: str


class Failure(Frozen):
    """How the store recorded a failed attempt: `retry_in_s` is None when the version has failed for good."""

    state: VersionState
    attempt: int
    retry_in_s: float | None = None
