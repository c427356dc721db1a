"""Celery task: go on with an update of a base image."""

from __future__ import annotations

from galaxy.bootstrap import pipeline
from workers import app
from workers.task import RetriedTask, only_our_words


@app.task(name="tasks.fan_out", base=RetriedTask, ignore_result=True)
def fan_out(image: str, update: int) -> str:
    """Hands out a few more of the apps that depend on a base image. Returns how many, in a sentence.

    Args:
        image: Canonical reference.
        update: Number of the update; one that is over needs nothing.
    """
    with only_our_words():
        return pipeline().fan_out.run(image, update)
