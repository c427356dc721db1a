"""Celery task: make an app's automatic version."""

from __future__ import annotations

from galaxy.bootstrap import pipeline
from workers import app
from workers.task import RetriedTask, only_our_words


@app.task(name="tasks.new_version", base=RetriedTask, ignore_result=True)
def new_version(app: str, image: str, update: int, source: int = 0, seen: str = "") -> str:
    """Makes an app's new version on a changed base image, once. Returns what came of it, in a sentence.

    Args:
        app: An app that the fan-out handed out.
        image: Canonical reference of the base image.
        update: Number of its update; one that is over needs nothing.
        source: The version whose bundle and settings are built again; 0 when that has to be decided.
        seen: Where the app stood when that was decided; if it has moved since, it is decided again.
    """
    with only_our_words():
        return pipeline().rebuilds.make(app, image, update, source=source, seen=seen)
