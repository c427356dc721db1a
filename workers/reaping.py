"""A thread of the build worker that keeps its engine clean: only a worker on an engine can."""

from __future__ import annotations

from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

import structlog

from galaxy.bootstrap import Pipeline
from galaxy.domain.errors import GalaxyError
from galaxy.domain.heartbeats import reaper_of
from galaxy.settings import Settings
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
    # in a thread, because this is called by a signal; the process ends when it has, after some seconds at the most
    Thread(target=_forget, name="reaper's end").start()


def _forget() -> None:
    """Nobody is to miss a worker that ends as it should."""
    for heartbeat in _heartbeats:
        with suppress(GalaxyError):  # then it is forgotten in a day
            Pipeline(Settings()).hasty_heartbeats.forget_heartbeat(heartbeat)


def _run(heartbeat: str) -> None:
    # a pipeline of its own: the cached one belongs to the processes that are forked from this one
    here = Pipeline(Settings())
    while not _stopping.wait(here.settings.reap_period_s):
        try:
            here.reaper.run()
            if not _stopping.is_set():
                here.heartbeats.record_heartbeat(heartbeat)
            if _stopping.is_set():  # told so in between
                _forget()
        except GalaxyError as error:
            logger.warning("reaper.failed", error=str(error))
        except Exception:
            logger.exception("reaper.failed")
