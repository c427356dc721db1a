"""Signs of life of what runs periodically: when each last did its work."""

from __future__ import annotations

from typing import Final, NamedTuple

BEAT: Final = "beat"
"""The beat that leads."""
RECONCILE: Final = "reconcile"
"""The reconciler."""
POLL: Final = "poll"
"""The poller of base images."""
_REAPER: Final = "reaper "


class Tick(NamedTuple):
    """When something last did its work; both by the store's clock."""

    at_ms: int
    age_s: float


def reaper_of(worker: str) -> str:
    """The name of the tick of a build worker, such as `build@host`, that has swept its engine."""
    return _REAPER + worker


def swept_by(tick: str) -> str | None:
    """The build worker whose reaper records this tick; None for all other ticks."""
    return tick.removeprefix(_REAPER) if tick.startswith(_REAPER) else None
