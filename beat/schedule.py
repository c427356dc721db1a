"""What beat sends, and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING

from galaxy.adapters.queue import BASE_IMAGES, CONTROL

if TYPE_CHECKING:
    from galaxy.settings import Settings


def schedule(settings: Settings) -> dict[str, dict[str, object]]:
    """Celery's `beat_schedule`. A tick that nobody took before the next one is dropped."""
    period_s = settings.reconcile_period_s
    return {
        "reconcile": {
            "task": "tasks.reconcile",
            "schedule": period_s,
            "options": {"queue": CONTROL, "expires": period_s},
        },
        "poll_base_images": {
            "task": "tasks.poll_base_images",
            "schedule": settings.base_image_tick_s,
            "options": {"queue": BASE_IMAGES, "expires": settings.base_image_tick_s},
        },
    }
