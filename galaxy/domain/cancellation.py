"""How a call is asked to end early: it calls `check_cancelled` now and then, which raises when it has to end."""

from __future__ import annotations


def never_cancelled() -> None:
    """A `check_cancelled` that never objects, and an `on_progress` that does not care."""
