"""Celery task: ask registries whether base images changed."""

from __future__ import annotations

from celery import Task

from galaxy.bootstrap import pipeline
from workers import app
from workers.task import sanitized_errors


# no events, as tasks.reconcile
@app.task(name="tasks.poll_base_images", base=Task, ignore_result=True, send_events=False)
def poll_base_images() -> str:
    """Checks the base images whose check is due; beat sends it every few seconds."""
    with sanitized_errors():
        return f"Checked {pipeline().base_images.poll()} base images."
