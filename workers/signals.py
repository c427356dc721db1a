"""Which function runs at which moment of a worker's life."""

from __future__ import annotations

import os

import structlog
from celery.signals import (
    celeryd_after_setup,
    setup_logging,
    task_postrun,
    task_prerun,
    worker_ready,
    worker_shutting_down,
)

from workers import about, log_output, reaping, serving, shutdown
from workers.hidden_arguments import ids_in


def connect() -> None:
    """Connects the handlers, in the order of a worker's life. Celery holds them weakly, so all are module functions."""
    setup_logging.connect(log_output.configure)

    celeryd_after_setup.connect(serving.add_companion_queues)
    celeryd_after_setup.connect(serving.shorten_visibility_timeout)

    worker_ready.connect(about.take_fingerprint)
    worker_ready.connect(reaping.start)
    worker_ready.connect(shutdown.install_handlers)

    task_prerun.connect(_bind_ids)
    task_prerun.connect(shutdown.protect_cleanup)
    task_postrun.connect(_unbind_ids)

    worker_shutting_down.connect(reaping.stop)


def _bind_ids(task_id: str = "", kwargs: object = None, **_: object) -> None:
    structlog.contextvars.bind_contextvars(task_id=task_id, pid=os.getpid(), **ids_in(kwargs))


def _unbind_ids(**_: object) -> None:
    structlog.contextvars.clear_contextvars()
