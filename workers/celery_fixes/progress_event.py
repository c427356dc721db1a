"""An event that shows a task's progress takes the task out of the state `STARTED`.

Upstream: https://github.com/mher/flower/issues/143 (Flower shows no `update_state`; its answer is a custom event).
For what custom events do to the state no issue is known to us. As a report:

Celery 5.7.0. In a task: `self.send_event("task-progress", result="half-way")`, and look at it with Flower.

Expected: the task is `STARTED`, and its result so far is shown.

Actual: `celery.events.state.Task.event` takes the name of any event that it does not know for a state, in capitals.
The task is `PROGRESS`, and Flower finds it no more where it looks for running tasks: its filters and its Terminate
button know `STARTED` only. A second `task-started` keeps the state, but starts the task's clock again.
"""

from __future__ import annotations

from typing import Final

SEEN_IN: Final = ("celery 5.7",)

#: Not one of Celery's own events, which are in lower case; in capitals it is the state that the task has anyway.
STILL_STARTED: Final = "task-Started"
