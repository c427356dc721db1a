"""An app in a line: what serves it, and what it wants of base image updates."""

from __future__ import annotations

from galaxy.domain.base_images.updates import Updates
from galaxy.domain.models import Frozen


class AppSummary(Frozen):
    """What a list of apps shows of one.

    Attributes:
        active_version: None before one was active.
        automatic: The active version was made because its base image changed.
        rebuild_of: Number of the version that it builds again.
        pinned_digest: What the app's base image is pinned to, with `Updates.PINNED`.
    """

    app: str
    active_version: int | None = None
    automatic: bool = False
    rebuild_of: int | None = None
    updates: Updates = Updates.ON
    pinned_digest: str | None = None
