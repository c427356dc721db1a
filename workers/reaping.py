"""A thread of each build worker that removes what ended builds have left on its engine."""

from __future__ import annotations

from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

import structlog

from galaxy.bootstrap import Pipeline
from galaxy.domain.errors import GalaxyError
from galaxy.domain.heartbeats import reaper_of
from galaxy.settings import current
from workers import serving

if TYPE_CHECKING:
    from celery.worker.consumer import Consumer

logger = structlog.get_logger(__name__)

_stopping = Event()
_heartbeats: Final[list[str]] = []


def start(sender: Consumer, **_: object) -> None:
    """Handler of `worker_ready`: begins reaping if this worker builds."""
    if serving.builds(sender.app):
        heartbeat = reaper_of(str(sender.hostname))
        _heartbeats.append(heartbeat)
        Thread(target=_run, args=(heartbeat,), name="reaper", daemon=True).start()


def stop(**_: object) -> None:
    """Handler of `worker_shutting_down`."""
    _stopping.set()
    # in a thread, because a signal's handler calls this; the process waits for the thread, some seconds at the most
    Thread(target=_forget_heartbeat, name="reaper's end").start()


def _forget_heartbeat() -> None:
    """Has the doctor not report a worker that was stopped on purpose."""
    for heartbeat in _heartbeats:
        with suppress(GalaxyError):  # then the heartbeat expires in a day
            Pipeline(current()).hasty_heartbeats.forget_heartbeat(heartbeat)


def _run(heartbeat: str) -> None:
    # a pipeline of its own: the cached one belongs to the processes of the pool
    here = Pipeline(current())
    while not _stopping.wait(here.settings.reap_period_s):
        try:
            here.reaper.run()
            if not _stopping.is_set():
                here.heartbeats.record_heartbeat(heartbeat)
            if _stopping.is_set():  # since the line before
                _forget_heartbeat()
        except GalaxyError as error:
            logger.warning("reaper.failed", error=str(error))
        except Exception:
            logger.exception("reaper.failed")
