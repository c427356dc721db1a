"""How the fleet's tasks behave: the retry policy, and what others may see of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery import Task
from celery.worker.request import Request

from galaxy.domain.errors import AttemptFailed, BuildFailed
from galaxy.domain.models import MAX_ATTEMPTS

if TYPE_CHECKING:
    from celery.exceptions import Retry


class RetriedTask(Task):  # type: ignore[type-arg] # Celery's Task is generic in its stubs only
    """Any error is retried (the specification says so), up to three times, with growing pauses.

    A failed attempt already knows when the next one is due: the store recorded it. Celery's countdown is then
    that same moment. For all other errors, the store being away among them, Celery's own backoff applies; if it
    is used up, the reconciler enqueues the version again.
    """

    autoretry_for = (Exception,)
    dont_autoretry_for = (BuildFailed,)
    max_retries = MAX_ATTEMPTS - 1
    retry_backoff = True
    retry_backoff_max = 60
    retry_jitter = True

    def retry(self, **options: Any) -> Retry:  # type: ignore[override] # noqa: ANN401 - as autoretry calls it
        """Celery's retry, at the moment that the store recorded."""
        failed = options.get("exc")
        if isinstance(failed, AttemptFailed):
            options["countdown"] = failed.retry_in_s
        return super().retry(**options)


class PrivateRequest(Request):
    """A request whose arguments nobody sees: not in events, so not in Flower, and not by remote control.

    A caller that knows nothing of us (a bare `send_task`) sends their representation along; it is dropped here.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Celery's own signature
        super().__init__(*args, **kwargs)
        self._argsrepr = self._kwargsrepr = _HIDDEN

    def info(self, safe: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 - Celery's own signature
        """What remote control shows of this task."""
        return {**super().info(safe=safe), "args": _HIDDEN, "kwargs": _HIDDEN}


_HIDDEN = "(hidden)"
