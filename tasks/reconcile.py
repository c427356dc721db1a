"""Celery task: keep every version moving."""

from __future__ import annotations

from celery import Task

from galaxy.bootstrap import pipeline
from workers import app


@app.task(name="tasks.reconcile", base=Task, ignore_result=True)
def reconcile() -> str:
    """Ends lost attempts and enqueues again what waits unclaimed; beat sends it every few seconds."""
    return f"Looked at {pipeline().reconciler.run()} due versions."
