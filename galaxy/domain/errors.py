"""Every error of the project, in branches that say who has to act.

All of them survive a trip through Celery's JSON: the arguments are strings only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from galaxy.domain.deploys.problem import Problem

_CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")


class GalaxyError(Exception):
    """Root of all errors of the project.

    Args:
        message: What happened, as a sentence. Never holds a bundle URL, settings or credentials.
        suggestion: What to do about it, as a sentence that is true wherever the error is shown. Advice that names a
            command or a page belongs to the face that shows the error.
        quotes: The parts of the message that others wrote, word for word: what an engine, a registry or Redis said.
            Secrets may stand in them, and are hidden there alone before an attempt's error is recorded.
        facts: What the message tells, by name, for faces that word it themselves: `app`, `version`, `exit_code` …

    Attributes:
        code: Names the kind of error for programs: the class's name in snake case, such as `setup_failed`.
        quotes: As above. None: not known, so all of the message may be a quotation. That is the default where
            messages often hold one.
    """

    code: ClassVar[str] = "galaxy_error"
    quotes: Collection[str] | None = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.code = _CAPITAL.sub("_", cls.__name__).lower()

    def __init__(
        self,
        message: str,
        suggestion: str = "",
        *,
        quotes: Collection[str] | None = None,
        **facts: str | float,
    ) -> None:
        # one argument: a client without this package shows the arguments as they are
        super().__init__(f"{message} {suggestion}".rstrip())
        self.message = message
        self.suggestion = suggestion
        self.facts: Mapping[str, str | float] = facts
        if quotes is not None:
            self.quotes = tuple(quotes)


class UserError(GalaxyError):
    """The app's developer can mend it: settings, base image, bundle or setup.sh."""


class InvalidInput(UserError):
    """Input was refused before anything was recorded. The message lists every mistake, one a line."""

    problems: tuple[Problem, ...] = ()
    """The same mistakes as values; lost on the way through Celery's JSON, where only the message travels."""


class IdempotencyConflict(UserError):
    """The idempotency key was used before, with other content."""


class NotFound(UserError):
    """What was asked for does not exist; the subclasses say what that is."""


class AppNotFound(NotFound):
    """The app was never deployed. Fact: `app`."""


class VersionNotFound(NotFound):
    """There is no such version. Facts: `app`, `version`."""


class BaseImageNotWatched(NotFound):
    """No app depends on the base image, so nobody checks it. Fact: `image`."""


class BaseImageNotChecked(NotFound):
    """No check of the base image has succeeded yet, so nothing is known of it. Fact: `image`."""


class NoPausedUpdate(NotFound):
    """No update of the base image waits for a person's decision. Fact: `image`."""


class NothingToPin(NotFound):
    """The app has no active version that was built on a base image's tag. Fact: `app`."""


class BaseImageNotFound(UserError):
    """The registry does not have the base image, or does not show it without a login."""


class BaseImageUnusable(UserError):
    """The base image breaks the contract. The message lists every breach and what to change."""

    quotes = None


class SetupFailed(UserError):
    """`/app/setup.sh` ended with another exit code than 0."""


class BuildTimedOut(UserError):
    """The build ran past its deadline, or showed no sign of life for too long."""


class DiskLimitReached(UserError):
    """The build wrote more files than a build may."""


class ContainerNotStarted(UserError):
    """The app's image can't be run: it has nothing to run, or the engine refuses what it says."""


class ImageMissing(UserError):
    """The registry does not have a version's image any more."""


class InfrastructureError(GalaxyError):
    """Operators have to mend it: engine, registry, store or network."""


class EngineError(InfrastructureError):
    """The container engine can't be reached or refused what we asked for."""

    quotes = None


class DiskFull(EngineError):
    """The engine's filesystem has less room left than operators keep in reserve."""


class RegistryError(InfrastructureError):
    """A registry can't be reached, throttles us, or answered something that makes no sense."""


class RegistryUnavailable(RegistryError):
    """The registry can't be reached, took too long, answered with an error of its own, or its TLS is broken."""


class RegistryThrottled(RegistryError):
    """The registry told us to wait; nothing is asked of that host before."""

    retry_after_s: float = 0.0
    """Seconds to wait; lost on the way through Celery's JSON, where only the message travels."""


class RegistryDenied(RegistryError):
    """The registry knows who asks and refuses, or refuses the operator's login."""


class RegistryBlocked(RegistryError):
    """Reaching the registry would have meant an address inside our network, or a connection without TLS."""


class StoreError(InfrastructureError):
    """Redis can't be reached or refused a command. Fact: `setting`, which names where that Redis is."""

    quotes = None

    away: ClassVar[bool] = False
    """It can't be reached."""


class StoreUnavailable(StoreError):
    """Redis can't be reached, or gave no answer in time."""

    away = True


class StoreLoginRefused(StoreError):
    """Redis does not know the user, or the password is wrong."""


class QueueError(InfrastructureError):
    """The broker can't be reached. Fact: `setting`, which names where it is."""

    quotes = None


class UnexpectedError(InfrastructureError):
    """A bug: an error of no kind that we know. Its own text may hold secrets and is told to nobody."""

    quotes = None


class ImageConfigChanged(InfrastructureError):
    """The committed image's config is not the base image's plus our labels."""


class Abandoned(GalaxyError):
    """Nobody's fault: the attempt has no reason to go on, and must not be recorded as a failure."""


class LeaseLost(Abandoned):
    """Another process ended or took over this attempt; nothing may be written for it any more."""


class Superseded(Abandoned):
    """A newer version of the app is already further."""


class Cancelled(Abandoned):
    """Somebody cancelled the version."""


class IllegalTransition(GalaxyError):
    """The state machine has no such move; the store refused it.

    Facts, when a person asked for it: `app`, `version`, `state`.
    """


class AttemptFailed(GalaxyError):
    """An attempt failed and the next one is due in `retry_in_s` seconds."""

    retry_in_s: float = 0.0
    attempt: int = 0
    """Number of the attempt that failed. All of these are lost on the way through Celery's JSON."""
    automatic: bool = False
    """Nobody waits for the version."""


class BuildFailed(GalaxyError):
    """The last attempt failed: the version has failed for good."""
