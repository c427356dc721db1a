"""Celery task: accept a deploy from a backend."""

from __future__ import annotations

from typing import Final

from galaxy.bootstrap import pipeline
from galaxy.domain.errors import InfrastructureError, UserError
from tasks.arguments import TaskCall
from workers import app
from workers.task import RetriedTask, sanitized_errors

#: The contract with backends, which may send them by position too.
ARGUMENTS: Final = ("app", "settings", "bundle_url", "deployed_by", "idempotency_key")


@app.task(
    bind=True,
    name="tasks.deploy",
    base=RetriedTask,
    autoretry_for=(InfrastructureError,),
    throws=(UserError,),  # the caller's mistakes are no errors of ours: one line in the worker's log
)
def deploy(self: RetriedTask, /, *positional: object, **named: object) -> dict[str, str | int]:
    """Makes a version of an app and has it built.

    Args:
        self: The task, with the message that it was called by.
        positional: The `ARGUMENTS`, by position.
        named: The same by name; see `Releases.deploy`. Any other name is one of the caller's mistakes.

    Returns:
        `{"app": ..., "version": ...}`. A message that is delivered twice makes one version.

    Raises:
        InvalidInput: The message lists every mistake.
        IdempotencyConflict: The key was used with other content.
    """
    call = TaskCall.parse("tasks.deploy", ARGUMENTS, positional, named)
    given = {name: call.arguments.get(name) for name in ARGUMENTS}
    if given["idempotency_key"] is None:
        given["idempotency_key"] = f"task {self.request.id}"
    with sanitized_errors():
        deployed = pipeline().releases.deploy(**given, mistakes=call.mistakes)
    return {"app": deployed.app, "version": deployed.version}
