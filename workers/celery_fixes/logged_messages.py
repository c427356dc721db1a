"""Celery logs the whole body of a message that it drops.

Upstream: https://github.com/celery/celery/pull/7404 added headers to what is logged, after the body. No option of
Celery hides either.

Celery 5.7.0. Send a task under a misspelled name, or a message that is not JSON, with a password among its arguments.

Expected: the worker logs the task's name and that the message was dropped.

Actual: the worker logs body and headers, password included. A deploy's message holds the app's settings.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import logging

SEEN_IN: Final = ("celery 5.7",)

_consumer: Any = import_module("celery.worker.consumer.consumer")  # its stubs lack its messages

#: Celery's log entries that hold a whole message, and what is logged instead.
_INSTEAD: Final = {
    _consumer.UNKNOWN_TASK_ERROR: "A message for a task that does not exist was dropped: %s",
    _consumer.INVALID_TASK_ERROR: "A message that is no task was dropped.",
    _consumer.MESSAGE_DECODE_ERROR: "A message that can't be decoded was dropped.",
    _consumer.UNKNOWN_FORMAT: "A message of an unknown format was dropped.",
}


def hide_dropped_messages(record: logging.LogRecord) -> bool:
    """A logging filter that lets every entry pass, but rewrites those that hold a whole message."""
    instead = _INSTEAD.get(record.msg) if isinstance(record.msg, str) else None
    if instead:
        first = record.args[0] if isinstance(record.args, tuple) and record.args else ""
        record.msg, record.args = instead, (first,) if "%s" in instead else ()
        record.exc_info = record.exc_text = None
    return True
