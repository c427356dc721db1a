"""What happens at the edges of a worker's life."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import structlog
from celery.signals import setup_logging, task_postrun, task_prerun

if TYPE_CHECKING:
    from structlog.typing import Processor


def connect() -> None:
    """Connects the handlers; Celery holds them weakly, so they are functions of this module."""
    setup_logging.connect(_configure_logging)
    task_prerun.connect(_bind_ids)
    task_postrun.connect(_unbind_ids)


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
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # plain, also where rich is installed: rich can show local variables, and they hold secrets
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


def _bind_ids(task_id: str = "", kwargs: dict[str, object] | None = None, **_: object) -> None:
    ids = {name: (kwargs or {}).get(name) for name in ("app", "version")}
    structlog.contextvars.bind_contextvars(task_id=task_id, **{name: it for name, it in ids.items() if it})


def _unbind_ids(**_: object) -> None:
    structlog.contextvars.clear_contextvars()
