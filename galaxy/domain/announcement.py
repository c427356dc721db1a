"""What an app's log says about the moves of its versions, in sentences.

The store records an announcement in the same step as the move, so none is lost however a process ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from galaxy.domain.log import LogBlock
from galaxy.domain.models import MAX_ATTEMPTS, Frozen
from galaxy.domain.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Announcements of one app have ids that rise: milliseconds, and a counter within one.
_PER_MS: Final = 1000

#: Events that the log shows among the lines of an attempt.
_OF_ATTEMPTS: Final = frozenset({"built", "retrying", "build_failed", "handed_back"})


class Announcement(Frozen):
    """One move of a version, with what was known of it then. Holds no secret: reasons are redacted before.

    Attributes:
        id: `MILLISECONDS-COUNTER`; rises with each announcement of the app.
        event: The state it moved to; or `deployed`, `rebuild` or `handed_back`.
        reason: Why it happened, if it was recorded.
        attempt: The version's newest attempt then.
        by: Who deployed the version.
        image: What it was built as, with `image_digest`.
        replaced: The version that was active before this one.
        retry_at: When the next attempt is due (ms).
        warnings: About the settings, one a line.
    """

    id: str
    event: str
    app: str
    version: int
    attempt: int
    by: str
    base_image: str
    reason: Reason | None = None
    image: str = ""
    image_digest: str = ""
    replaced: int | None = None
    retry_at: int | None = None
    warnings: str = ""

    @property
    def detail(self) -> str:
        """Why it happened, as a sentence; or empty."""
        return self.reason.sentence if self.reason else ""

    @property
    def at_ms(self) -> int:
        """When it happened, in milliseconds since the epoch."""
        return int(self.id.partition("-")[0])

    @property
    def number(self) -> int:
        """Rises with each announcement of the app."""
        return self.at_ms * _PER_MS + int(self.id.partition("-")[2])

    def blocks(self) -> tuple[LogBlock, ...]:
        """What the log says about it."""
        attempt = self.attempt if self.event in _OF_ATTEMPTS else None
        head = LogBlock(text="", at_ms=self.at_ms, version=self.version, attempt=attempt)
        return tuple(head._replace(text=text, error=error) for text, error in self._sentences())

    def _sentences(self) -> Iterator[tuple[str, bool]]:
        """Sentences, each with whether it is about an error."""
        n = self.version
        match self.event:
            case "deployed":
                yield f"{self.by} deployed version {n} on base image {self.base_image}.", False
                if self.warnings:
                    yield self.warnings, False
            case "rebuild":
                yield self.detail, False
            case "built":
                yield f"Version {n} is built: {self.image}, digest {self.image_digest}.", False
            case "retrying":
                yield attempt_failed(self.attempt, self.detail), True
                yield next_attempt(self._retry_in_s), False
            case "build_failed":
                yield attempt_failed(self.attempt, self.detail), True
                yield _failed_for_good(n), True
            case "handed_back":
                again = f"Another one begins attempt {self.attempt} again."
                yield f"The worker is being stopped. {again}", False
            case "active":
                retired = f"; version {self.replaced} is retired" if self.replaced else ""
                yield f"Version {n} is active now{retired}.", False
            case _:
                yield f"Version {n} is {self.event.replace('_', ' ')}. {self.detail}".rstrip(), False

    @property
    def _retry_in_s(self) -> float:
        return max(0, (self.retry_at or 0) - self.at_ms) / 1000


def attempt_failed(attempt: int, reason: str) -> str:
    """Says that an attempt failed, and why."""
    return f"Attempt {attempt} of {MAX_ATTEMPTS} failed: {reason}"


def next_attempt(in_s: float) -> str:
    """Says when the next attempt starts."""
    if in_s <= 0:
        return "The next attempt starts at once."
    return (
        f"The next attempt starts in {in_s:.0f} s."
        if in_s >= 1
        else f"The next attempt starts in {in_s:.1g} s."
    )


def _failed_for_good(version: int) -> str:
    return (
        f"The build of version {version} has failed for good: all {MAX_ATTEMPTS} attempts failed. The app stays as"
        " it is. Mend the cause and deploy again."
    )
