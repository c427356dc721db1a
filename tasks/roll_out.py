"""Celery task: roll a built version out."""

from __future__ import annotations

from galaxy.bootstrap import pipeline
from galaxy.domain.errors import InvalidInput
from galaxy.domain.models import VersionRef
from tasks.arguments import named_arguments
from tasks.rebuild_admission import admit_rebuilds_afterwards
from workers import app
from workers.task import RetriedTask, sanitized_errors


@app.task(name="tasks.roll_out", base=RetriedTask, ignore_result=True, throws=(InvalidInput,))
@named_arguments("tasks.roll_out")
def roll_out(app: str, version: int) -> str:
    """Makes a built version active. Returns what came of it, in a sentence."""
    with sanitized_errors(), admit_rebuilds_afterwards():
        return f"{app}: {pipeline().rollout.run(VersionRef(app, version))}"
