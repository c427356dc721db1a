"""When a worker heeds a signal that tells it to end."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING, Final

from celery.concurrency import asynpool

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from celery.worker.consumer import Consumer
    from kombu.asynchronous import Hub

    Handler = Callable[[int, FrameType | None], object]

#: What Celery's pool runs while it hands a task to one of its processes.
HANDING_OVER: Final = "_write_job"


def connect(sender: Consumer, **_: object) -> None:
    """Handler of `worker_ready`: keeps signals from interrupting a task on its way to a process.

    Celery 5.7 ends its pool from within the signal's handler. Where that interrupts the handing over of a task, the
    pool waits for this task, which is half written and can never arrive: the worker hangs until it is killed, and its
    builds are not given back. Then, and only then, the signal waits until the task has arrived.
    """
    hub: Hub | None = getattr(sender, "hub", None)
    if hub is None:  # a pool of threads hands nothing over
        return
    for number in (signal.SIGTERM, signal.SIGQUIT):
        handler = signal.getsignal(number)
        if callable(handler):
            signal.signal(number, partial(_heed, handler, hub))


def _heed(handler: Handler, hub: Hub, number: int, frame: FrameType | None) -> None:
    if _is_handing_over(frame):
        hub.call_soon(handler, number, None)
    else:
        handler(number, frame)


def _is_handing_over(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name == HANDING_OVER and frame.f_code.co_filename == asynpool.__file__:
            return True
        frame = frame.f_back
    return False
