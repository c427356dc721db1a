"""What happens at the edges of a worker's life."""

from __future__ import annotations

import logging
import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import structlog
from celery.signals import (
    celeryd_after_setup,
    setup_logging,
    task_postrun,
    task_prerun,
    worker_ready,
    worker_shutting_down,
)

from workers import about, reaping, serving, stopping
from workers.task import ids_in

if TYPE_CHECKING:
    from structlog.typing import Processor

_consumer: Any = import_module("celery.worker.consumer.consumer")  # its stubs lack its messages

#: Celery's log entries that hold a whole message, which may be a deploy with its settings, and what we say instead.
_TELLING: Final = {
    _consumer.UNKNOWN_TASK_ERROR: "A message for a task that does not exist was dropped: %s",
    _consumer.INVALID_TASK_ERROR: "A message that is no task was dropped.",
    _consumer.MESSAGE_DECODE_ERROR: "A message that can't be decoded was dropped.",
    _consumer.UNKNOWN_FORMAT: "A message of an unknown format was dropped.",
}


def connect() -> None:
    """Connects the handlers; Celery holds them weakly, so they are functions of this module."""
    setup_logging.connect(_configure_logging)
    celeryd_after_setup.connect(serving.serve_unasked)
    celeryd_after_setup.connect(serving.give_back_soon)
    task_prerun.connect(_bind_ids)
    task_prerun.connect(stopping.end_once)
    task_postrun.connect(_unbind_ids)
    worker_ready.connect(about.remember)
    worker_ready.connect(reaping.start)
    worker_ready.connect(stopping.connect)
    worker_shutting_down.connect(reaping.stop)


def _configure_logging(loglevel: int | str | None = None, **_: object) -> None:
    """One event a line, for Celery's own messages and ours; ids come from the context."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.addFilter(_without_messages)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # plain, because the pretty one may print local variables
                structlog.dev.ConsoleRenderer(
                    colors=False, exception_formatter=structlog.dev.plain_traceback
                ),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # never below INFO: at DEBUG, Celery and urllib3 print messages and URLs, secrets included
    root.setLevel(
        max(logging.INFO, logging.getLevelName(loglevel) if isinstance(loglevel, str) else loglevel or 0)
    )


def _without_messages(record: logging.LogRecord) -> bool:
    """A logging filter that lets everything pass, but rewrites entries that hold a whole message."""
    instead = _TELLING.get(record.msg) if isinstance(record.msg, str) else None
    if instead:
        first = record.args[0] if isinstance(record.args, tuple) and record.args else ""
        record.msg, record.args = instead, (first,) if "%s" in instead else ()
        record.exc_info = record.exc_text = None
    return True


def _bind_ids(task_id: str = "", kwargs: object = None, **_: object) -> None:
    structlog.contextvars.bind_contextvars(task_id=task_id, pid=os.getpid(), **ids_in(kwargs))


def _unbind_ids(**_: object) -> None:
    structlog.contextvars.clear_contextvars()
