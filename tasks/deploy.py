"""Celery task: accept a deploy from a backend."""

from __future__ import annotations

from galaxy.bootstrap import pipeline
from galaxy.domain.errors import InfrastructureError, UserError
from workers import app
from workers.task import RetriedTask, only_our_words


@app.task(
    bind=True,
    name="tasks.deploy",
    base=RetriedTask,
    autoretry_for=(InfrastructureError,),
    throws=(UserError,),  # the caller's mistakes are no errors of ours: one line in the worker's log
)
def deploy(  # noqa: PLR0913, PLR0917 - the arguments are the contract with backends
    self: RetriedTask,
    app: object = None,
    settings: object = None,
    bundle_url: object = None,
    deployed_by: object = None,
    idempotency_key: object = None,
) -> dict[str, str | int]:
    """Makes a version of an app and has it built; see `Releases.deploy` for the arguments.

    Returns:
        `{"app": ..., "version": ...}`. A message that is delivered twice makes one version.

    Raises:
        InvalidInput: The message lists every mistake.
        IdempotencyConflict: The key was used with other content.
    """
    with only_our_words():
        deployed = pipeline().releases.deploy(
            app=app,
            settings=settings,
            bundle_url=bundle_url,
            deployed_by=deployed_by,
            idempotency_key=f"task {self.request.id}" if idempotency_key is None else idempotency_key,
        )
    return {"app": deployed.app, "version": deployed.version}
