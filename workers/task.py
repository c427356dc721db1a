"""How the fleet's tasks behave: the retry policy, and what others may see of a task."""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import structlog
from celery import Task
from celery.worker.request import Request

from galaxy.domain.errors import AttemptFailed, BuildFailed, GalaxyError, UnexpectedError
from galaxy.domain.models import MAX_ATTEMPTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from celery.exceptions import Retry

logger = structlog.get_logger(__name__)

_HIDDEN: Final = "(hidden)"

#: Celery makes an event that it does not know a state of that name, in capitals. This one leaves a running task
#: in the state STARTED, where Flower's filters and its Terminate button look for it; a second `task-started` would
#: do so too, but would also start the task's clock again.
_STILL_STARTED: Final = "task-Started"


class RetriedTask(Task):  # type: ignore[type-arg] # Celery's Task is generic in its stubs only
    """Any error is retried (the specification says so), up to three times, with growing pauses.

    A failed attempt already knows when the next one is due: the store recorded it. Celery's countdown is then
    that same moment. For all other errors, the store being away among them, Celery's own backoff applies; if it
    is used up, the reconciler enqueues the version again.
    """

    Request = "workers.task:PrivateRequest"
    autoretry_for = (Exception,)
    dont_autoretry_for = (BuildFailed,)
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
            self.send_event(_STILL_STARTED, retry=False, result=text)
        except Exception as error:  # noqa: BLE001 - whatever keeps us from showing a step must not end it
            logger.warning("task.not_shown", error=type(error).__name__)


class PrivateRequest(Request):
    """A request that shows nothing but names and numbers: in events, so in Flower, and by remote control.

    A caller that knows nothing of us (a bare `send_task`) sends a representation of settings and bundle URL
    along; it is dropped here.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Celery's own signature
        super().__init__(*args, **kwargs)
        self._argsrepr = _HIDDEN if self.args else "()"
        ids = ids_in(self.kwargs)
        self._kwargsrepr = repr(ids) if ids else _HIDDEN

    def info(self, safe: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 - Celery's own signature
        """What remote control shows of this task."""
        return {**super().info(safe=safe), "args": self._argsrepr, "kwargs": self._kwargsrepr}


def ids_in(kwargs: object) -> dict[str, str | int]:
    """What names the work of a task, if its arguments are those of one that has no others, else nothing.

    In a deploy nothing has been checked yet: what it calls an app may be a bundle URL.
    """
    match kwargs:
        case {"app": str(app), "version": int(version), **others} if not others:
            return {"app": app, "version": version}
        case {"image": str(image), "update": int(update), **others} if not others:
            return {"image": image, "update": update}
        case {"image": str(image), "update": int(update), "apps": [[str(app), *_]], **others} if not others:
            return {"app": app, "image": image, "update": update}
        case {"image": str(image), "update": int(update), "apps": [*apps], **others} if not others:
            return {"apps": len(apps), "image": image, "update": update}
    return {}


@contextmanager
def only_our_words() -> Iterator[None]:
    """Lets errors leave a task without the errors behind them, and never with a text that we did not write.

    Celery puts tracebacks, with the texts of all causes, into events, results and logs; the text of a foreign error
    may repeat what the task was given.

    Raises:
        GalaxyError: As it was raised.
        UnexpectedError: For any other error; the worker's log tells where it came from.
    """
    try:
        yield
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
