"""When the next attempt starts, and the error that a failed one raises in its task."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from galaxy.domain.announcement import attempt_failed, next_attempt
from galaxy.domain.errors import (
    AttemptFailed,
    BuildFailed,
    RegistryBlocked,
    RegistryDenied,
    RegistryThrottled,
    UserError,
)

if TYPE_CHECKING:
    from galaxy.domain.models import Failure, VersionRef
    from galaxy.domain.reasons import Reason
    from galaxy.settings import Settings

#: What a developer can mend, and wants to know soon: errors of the app's, and registries that answer and refuse.
_NO_OUTAGE: Final = (UserError, RegistryDenied, RegistryBlocked)


def pause_s(attempt: int, error: Exception, settings: Settings) -> float:
    """How long to wait after this attempt failed with this error.

    Something of ours that is away comes back by itself, and all attempts together have to wait for that. A registry
    that throttles says for how long; trying again before that would only use up attempts.
    """
    ordinary = isinstance(error, _NO_OUTAGE)
    first_s = settings.retry_backoff_s if ordinary else settings.outage_backoff_s
    asked_s = error.retry_after_s if isinstance(error, RegistryThrottled) else 0.0
    longest_s = settings.retry_backoff_max_s
    return max(_backoff_s(attempt, first_s, longest_s), min(asked_s, longest_s))


def failure_of(
    ref: VersionRef, outcome: Failure, reason: Reason, *, automatic: bool = False
) -> AttemptFailed | BuildFailed:
    """A failed attempt as the error that its task raises."""
    failed = attempt_failed(outcome.attempt, reason.sentence)
    where = f"Its log: galaxy logs {ref.app} --version {ref.number}"
    if outcome.retry_in_s is None:
        return BuildFailed(f"The build of {ref} has failed for good. {failed}", where)
    error = AttemptFailed(f"Building {ref}: {failed} {next_attempt(outcome.retry_in_s)}", where)
    error.retry_in_s, error.attempt, error.automatic = outcome.retry_in_s, outcome.attempt, automatic
    return error


def _backoff_s(attempt: int, first_s: float, longest_s: float) -> float:
    """Exponential, with jitter over its upper half so that a fleet does not come back all at once."""
    most_s = min(longest_s, first_s * 2.0 ** (attempt - 1))
    return most_s * random.uniform(0.5, 1)  # noqa: S311 - no secret depends on it
