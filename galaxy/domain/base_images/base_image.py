"""A base image as the pipeline knows it, and how often its registry is asked about it."""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha256
from typing import Final

from galaxy.domain.backoff import backoff_s
from galaxy.domain.base_images.updates import Updates, UpdateState, Verdict
from galaxy.domain.models import Frozen

#: An image that never changes, or whose registry fails, is checked this many times less often at most.
SLOWEST: Final = 12
#: So many checks without a change make the interval longer by its own length once.
PATIENCE: Final = 24
#: Up to so much of the interval is added or taken away, always the same for an image: they don't all come at once.
_JITTER: Final = 0.1


class UpdateProgress(Frozen):
    """How far the newest update of a base image is; see `Update`."""

    number: int
    state: UpdateState
    wave: int = 1
    dependents: int = 0
    created: int = 0
    built: int = 0
    failed: int = 0
    reason: str | None = None


class BaseImage(Frozen):
    """A base image that apps depend on.

    Attributes:
        reference: Canonical: `docker.io/meteor/galaxy-app:latest`.
        digest: What the tag pointed to when it was last looked up with success.
        platform_digest: Digest of the manifest in it for the platform that is built on.
        seen_at_ms: The tag was looked up after this moment, by the last check that succeeded.
        unchanged: Checks since it changed last.
        error: Why the last check failed; None when it succeeded.
        errors: Failed checks in a row.
    """

    reference: str
    dependents: int
    digest: str | None = None
    platform_digest: str | None = None
    checked_at_ms: int | None = None
    seen_at_ms: int = 0
    changed_at_ms: int | None = None
    next_check_ms: int
    unchanged: int = 0
    error: str | None = None
    errors: int = 0
    update: UpdateProgress | None = None


class CheckOutcome(StrEnum):
    """What came of a check."""

    FIRST = "first"
    """It was never checked with success before."""
    UNCHANGED = "unchanged"
    """Its tag points to what it pointed to before."""
    OTHER_PLATFORM = "other_platform"
    """Its tag has moved, and holds the same for the platform that is built on."""
    CHANGED = "changed"
    """It is another one: this is an update."""
    NOT_FOUND = "not_found"
    """Its registry does not have it, or does not show it without a login."""
    FAILED = "failed"
    """Its registry gave no answer that could be used."""
    POSTPONED = "postponed"
    """It was not checked: it is being checked, or its registry wants a pause."""


class Checked(Frozen):
    """A base image after a check."""

    base_image: BaseImage
    outcome: CheckOutcome


class Dependent(Frozen):
    """An app that depends on a base image, and what the image means for it.

    Attributes:
        verdict: What follows from the image as it was found by the last check.
        source: Number of the version that is rebuilt, with `Verdict.REBUILD`.
        next_verdict: What would follow from its next change, whatever that brings.
        next_source: As `source`, for the next change.
    """

    app: str
    updates: Updates
    newest: int
    active: int | None
    verdict: Verdict
    source: int | None
    next_verdict: Verdict
    next_source: int | None


def outcome_of(digest: str | None, platform_digest: str | None, after: BaseImage) -> CheckOutcome:
    """What a check found that succeeded; the digests are those that were known before it."""
    if digest is None:
        return CheckOutcome.FIRST
    if after.digest == digest:
        return CheckOutcome.UNCHANGED
    if platform_digest and after.platform_digest == platform_digest:
        return CheckOutcome.OTHER_PLATFORM
    return CheckOutcome.CHANGED


def next_check_in_s(
    reference: str, interval_s: float, *, unchanged: int, errors: int, pause_s: float = 0.0
) -> float:
    """When an image has to be checked again.

    Args:
        reference: Canonical.
        interval_s: The operator's choice.
        unchanged: Checks in a row that found no change.
        errors: Failed checks in a row, this one included.
        pause_s: What the registry asked for.
    """
    longest_s = interval_s * SLOWEST
    if errors:
        # without chance: an image keeps its place among the others, see `_offset`
        wait_s = backoff_s(errors, first_s=interval_s, longest_s=longest_s, chance=lambda: 1.0)
    else:
        wait_s = min(interval_s * (1 + unchanged // PATIENCE), longest_s)
    offset = _JITTER * _offset(reference)
    return max(wait_s * (1 + offset), pause_s * (1 + abs(offset)))


def _offset(reference: str) -> float:
    """From -1 to 1, always the same for a reference."""
    return int.from_bytes(sha256(reference.encode()).digest()[:4]) / 2**31 - 1
