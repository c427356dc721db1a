"""Celery task: build a version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from galaxy.bootstrap import pipeline
from galaxy.domain.errors import AttemptFailed, BuildFailed, InvalidInput
from galaxy.domain.models import MAX_ATTEMPTS, VersionRef
from tasks.arguments import named_arguments
from tasks.rebuild_admission import admit_rebuilds_afterwards
from workers import app
from workers.task import RetriedTask, sanitized_errors

if TYPE_CHECKING:
    from galaxy.domain.models import Attempt
    from galaxy.domain.states import Step


@app.task(
    bind=True,
    name="tasks.build",
    base=RetriedTask,
    ignore_result=True,
    throws=(AttemptFailed, BuildFailed, InvalidInput),
)
@named_arguments("tasks.build")
def build(self: RetriedTask, app: str, version: int) -> str:
    """Runs the version's next attempt, if it is due and nobody else runs it.

    Returns:
        What came of it, in a sentence; operators read it in Flower.

    Raises:
        AttemptFailed: Retried when the next attempt is due: by Celery, or if nobody waits for it, by the reconciler.
        BuildFailed: All attempts failed.
    """

    def show(attempt: Attempt, step: Step) -> None:
        self.show(f"{app} version {version}, attempt {attempt.number} of {MAX_ATTEMPTS}: {step}")

    where = f"galaxy logs {app} --version {version}"
    try:
        with sanitized_errors(), admit_rebuilds_afterwards():
            outcome = pipeline().build_stage.run(VersionRef(app, version), on_step=show)
    except (AttemptFailed, BuildFailed) as error:
        error.args = (f"{error} Its log: {where}",)  # the same error: the retry policy reads its attributes
        raise
    return f"{outcome.sentence} (its log: {where})"
