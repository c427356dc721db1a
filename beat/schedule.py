"""What beat sends, and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING

from galaxy.adapters.queue import BASE_IMAGES, RECONCILE
from galaxy.domain.heartbeats import expires_s

if TYPE_CHECKING:
    from galaxy.settings import Settings


def schedule(settings: Settings) -> dict[str, dict[str, object]]:
    """Celery's `beat_schedule`."""
    return {
        "reconcile": _periodic("tasks.reconcile", RECONCILE, settings.reconcile_period_s),
        "poll_base_images": _periodic("tasks.poll_base_images", BASE_IMAGES, settings.base_image_tick_s),
    }


def _periodic(task: str, queue: str, period_s: float) -> dict[str, object]:
    return {
        "task": task,
        "schedule": period_s,
        "options": {"queue": queue, "expires": expires_s(period_s)},
    }
