"""One check of a base image: the right to make it, and what came of it."""

from __future__ import annotations

from typing import NamedTuple


class CheckLease(NamedTuple):
    """The right to ask a registry about a base image now, and what is known of it."""

    image: str
    token: str
    digest: str | None
    platform_digest: str | None
    content: str | None
    unchanged: int
    errors: int


class Found(NamedTuple):
    """What a check found; see `Wanted`. `requests`: how many it took."""

    digest: str
    platform_digest: str | None
    content: str
    requests: int


class CheckResult(NamedTuple):
    """What came of a check.

    Attributes:
        found: None if it failed: what was known stays.
        error: Why it failed.
        pause_s: What the registry asked for, for all its images.
    """

    check: CheckLease
    next_check_in_s: float
    found: Found | None = None
    error: str = ""
    pause_s: float = 0.0


class CheckPostponed(NamedTuple):
    """A base image can't be checked now: it is being checked, or else its registry's budget is used up."""

    wait_s: float
    being_checked: bool
