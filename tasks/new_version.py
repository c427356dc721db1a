"""Celery task: make the automatic versions of apps."""

from __future__ import annotations

from galaxy.bootstrap import pipeline
from galaxy.domain.base_images.fan_out import NewVersionCall
from galaxy.domain.errors import InvalidInput
from tasks.arguments import named_arguments
from workers import app
from workers.task import RetriedTask, sanitized_errors


@app.task(name="tasks.new_version", base=RetriedTask, ignore_result=True, throws=(InvalidInput,))
@named_arguments("tasks.new_version")
def new_version(image: str, update: int, apps: list[tuple[str, int, str]]) -> str:
    """Makes a new version of each of a few apps on a changed base image, once. Returns what came of it.

    Args:
        image: Canonical reference of the base image.
        update: Number of its update; nothing is done for one that has ended.
        apps: Apps that the fan-out handed out; see `NewVersionCall`.
    """
    with sanitized_errors():
        return pipeline().rebuilds.make(image, update, [NewVersionCall(*each) for each in apps])
