"""How the fleet's tasks behave: when they are retried, and which errors leave them."""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import structlog
from celery import Task

from galaxy.domain.errors import (
    AttemptFailed,
    BuildFailed,
    GalaxyError,
    InvalidInput,
    StoreError,
    UnexpectedError,
)
from galaxy.domain.models import MAX_ATTEMPTS
from workers.celery_fixes.progress_event import STILL_STARTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from celery.exceptions import Retry

logger = structlog.get_logger(__name__)


class RetriedTask(Task):  # type: ignore[type-arg] # Celery's Task is generic in its stubs only
    """Any error is retried (the specification says so), up to three times, with growing pauses.

    Two are not: a build that has failed for good, and a call that nobody can understand (see `tasks/arguments.py`).

    A failed attempt already knows when the next one is due: the store recorded it. Celery's countdown is then
    that same moment. For all other errors, the store being away among them, Celery's own backoff applies; if it
    is used up, the reconciler enqueues the version again.
    """

    Request = "workers.hidden_arguments:PrivateRequest"
    autoretry_for = (Exception,)
    dont_autoretry_for = (BuildFailed, InvalidInput)
    max_retries = MAX_ATTEMPTS - 1
    retry_backoff = True
    retry_backoff_max = 60
    retry_jitter = True

    def retry(self, **options: Any) -> Retry:  # type: ignore[override] # noqa: ANN401 - as autoretry calls it
        """Celery's retry, at the moment that the store recorded, counted as the store counts attempts.

        Raises:
            AttemptFailed: Nobody waits for the version. Celery would keep its message in the worker that had it, and
                run it before whatever a person waits for; so this one ends, and the reconciler enqueues the next.
        """
        failed = options.get("exc")
        if isinstance(failed, AttemptFailed):
            if failed.automatic:
                raise failed
            options["countdown"] = failed.retry_in_s
            # other errors than a failed attempt, such as the store being away, were counted here too
            self.request.retries = failed.attempt - 1
        return super().retry(**options)

    def show(self, text: str) -> None:
        """Shows operators what the task does now: it is the task's result in Flower until there is a real one."""
        try:
            self.send_event(STILL_STARTED, retry=False, result=text)
        except Exception as error:  # noqa: BLE001 - whatever keeps us from showing a step must not end it
            logger.warning("task.not_shown", error=type(error).__name__)


@contextmanager
def sanitized_errors() -> Iterator[None]:
    """Errors leave the block without the errors that caused them, and never with a text that we did not write.

    Celery puts tracebacks, with the texts of all causes, into events, results and logs; the text of a foreign error
    may repeat what the task was given.

    Raises:
        GalaxyError: As it was raised. Backends know an error by its class's name, so each kind of `StoreError` leaves
            as that.
        UnexpectedError: For any other error; the worker's log tells where it came from.
    """
    try:
        yield
    except StoreError as error:
        raise StoreError(error.message, error.suggestion) from None
    except GalaxyError as error:
        raise error from None
    except Exception as error:  # noqa: BLE001 - any, so that none gets out
        frames = traceback.extract_tb(error.__traceback__)
        name, last = type(error).__name__, frames[-1]
        told = "".join(traceback.format_list(frames))
        logger.error("task.unexpected_error", error=name, frames=told)  # noqa: TRY400 - without the error's text
        raise UnexpectedError(
            f"Unexpected {name} in {last.name}, line {last.lineno}.", "The worker's log tells more."
        ) from None
