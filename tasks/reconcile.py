"""Celery task: keep every version moving."""

from __future__ import annotations

from celery import Task

from galaxy.bootstrap import pipeline
from tasks.rebuild_admission import resumes_rebuilds
from workers import app
from workers.task import only_our_words


# no events: thousands of heartbeats a day would push the builds out of Flower's memory
@app.task(name="tasks.reconcile", base=Task, ignore_result=True, send_events=False)
def reconcile() -> str:
    """Ends lost attempts, enqueues again what waits unclaimed, admits rebuilds; beat sends it every few seconds."""
    with only_our_words(), resumes_rebuilds():
        return f"Looked at {pipeline().reconciler.run()} due versions."
