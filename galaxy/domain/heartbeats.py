"""What runs periodically: how long beat's messages for it are good, and when each last did its work."""

from __future__ import annotations

from typing import Final, NamedTuple

BEAT: Final = "beat"
"""The beat that leads."""
RECONCILE: Final = "reconcile"
"""The reconciler."""
POLL: Final = "poll"
"""The poller of base images."""
_REAPER: Final = "reaper "


class Heartbeat(NamedTuple):
    """When something last did its work; both by the store's clock."""

    at_ms: int
    age_s: float


def expires_s(period_s: float) -> float:
    """How long beat's message for periodic work is good, in seconds of the worker's clock.

    Longer than its period: one more costs little where nothing is left to do, while a busy moment, or clocks that are
    some seconds apart, must not have all of them dropped.
    """
    return max(60.0, 4 * period_s)


def reaper_of(worker: str) -> str:
    """The name of the heartbeat of a build worker, such as `build@host`, that has swept its engine."""
    return _REAPER + worker


def swept_by(name: str) -> str | None:
    """The build worker whose reaper records this heartbeat; None for all other heartbeats."""
    return name.removeprefix(_REAPER) if name.startswith(_REAPER) else None
