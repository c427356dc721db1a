"""How the fleet's processes log: one event a line, without messages and secrets."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import structlog

from workers.celery_fixes.logged_messages import hide_dropped_messages

if TYPE_CHECKING:
    from structlog.typing import Processor


def configure(loglevel: int | str | None = None, **_: object) -> None:
    """Handler of `setup_logging`: one format for Celery's own messages and ours; ids come from the context."""
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
    handler.addFilter(hide_dropped_messages)
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
