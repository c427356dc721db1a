"""Flower's settings: what operators see. The login comes from FLOWER_BASIC_AUTH (`user:password`)."""

from typing import Any

max_tasks = 10_000
tasks_columns = "name,uuid,state,kwargs,result,received,started,runtime,worker,retries"
natural_time = False


def format_task(task: Any) -> Any:  # noqa: ANN401 - a Celery event task, or a dictionary in the API
    """Hides the arguments of deploys: a client that sends events of its own could show settings there."""
    if task.name == "tasks.deploy":
        task.args = task.kwargs = "(hidden)"
    return task
