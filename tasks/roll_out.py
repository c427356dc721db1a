"""Celery task: roll a built version out."""

from __future__ import annotations

from galaxy.bootstrap import pipeline
from galaxy.domain.models import VersionRef
from tasks.rebuild_admission import admits_rebuilds
from workers import app
from workers.task import RetriedTask, only_our_words


@app.task(name="tasks.roll_out", base=RetriedTask, ignore_result=True)
def roll_out(app: str, version: int) -> str:
    """Makes a built version active. Returns what came of it, in a sentence."""
    with only_our_words(), admits_rebuilds():
        return f"{app}: {pipeline().rollout.run(VersionRef(app, version))}"
