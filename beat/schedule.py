"""What beat sends, and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING

from galaxy.domain.fleet import ROUTES, TaskName
from galaxy.domain.heartbeats import expires_s

if TYPE_CHECKING:
    from galaxy.settings import Settings


def schedule(settings: Settings) -> dict[str, dict[str, object]]:
    """Celery's `beat_schedule`."""
    return {
        "reconcile": _periodic(TaskName.RECONCILE, settings.reconcile_period_s),
        "poll_base_images": _periodic(TaskName.POLL_BASE_IMAGES, settings.base_image_tick_s),
    }


def _periodic(task: TaskName, period_s: float) -> dict[str, object]:
    return {
        "task": str(task),
        "schedule": period_s,
        "options": {"queue": str(ROUTES[task]), "expires": expires_s(period_s)},
    }
