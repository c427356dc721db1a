"""How long to wait before the next attempt, and which error stands for a failed one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from galaxy.domain.announcement import attempt_failed, next_attempt
from galaxy.domain.backoff import backoff_s
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
    return max(backoff_s(attempt, first_s=first_s, longest_s=longest_s), min(asked_s, longest_s))


def failure_of(
    ref: VersionRef, outcome: Failure, reason: Reason, *, automatic: bool = False
) -> AttemptFailed | BuildFailed:
    """A failed attempt as the error that its task raises."""
    failed = attempt_failed(outcome.attempt, reason.sentence)
    app, version, attempt = ref.app, ref.number, outcome.attempt
    if outcome.retry_in_s is None:
        told = f"The build of {ref} has failed for good. {failed}"
        return BuildFailed(told, app=app, version=version, attempt=attempt)
    told = f"Building {ref}: {failed} {next_attempt(outcome.retry_in_s)}"
    error = AttemptFailed(told, app=app, version=version, attempt=attempt)
    error.retry_in_s, error.attempt, error.automatic = outcome.retry_in_s, outcome.attempt, automatic
    return error
