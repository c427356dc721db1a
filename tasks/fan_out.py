"""Celery task: resume an update of a base image."""

from __future__ import annotations

from galaxy.bootstrap import pipeline
from galaxy.domain.errors import InvalidInput
from tasks.arguments import named_arguments
from workers import app
from workers.task import RetriedTask, sanitized_errors


@app.task(name="tasks.fan_out", base=RetriedTask, ignore_result=True, throws=(InvalidInput,))
@named_arguments("tasks.fan_out")
def fan_out(image: str, update: int) -> str:
    """Hands out a few more of the apps that depend on a base image. Returns how many, in a sentence.

    Args:
        image: Canonical reference.
        update: Number of the update; nothing is done for one that has ended.
    """
    with sanitized_errors():
        return pipeline().fan_out.run(image, update)
