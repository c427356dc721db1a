"""Celery task: keep every version moving."""

from __future__ import annotations

from celery import Task

from galaxy.bootstrap import pipeline
from tasks.rebuild_admission import catch_up_rebuilds_afterwards
from workers import app
from workers.task import sanitized_errors


# no events: thousands of messages a day would push the builds out of Flower's memory
@app.task(name="tasks.reconcile", base=Task, ignore_result=True, send_events=False)
def reconcile() -> str:
    """Ends lost attempts, enqueues again what waits unclaimed, admits rebuilds; beat sends it every few seconds."""
    with sanitized_errors(), catch_up_rebuilds_afterwards():
        return f"Looked at {pipeline().reconciler.run()} due versions."
