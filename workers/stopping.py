"""What a worker does when a signal tells it to end, and when."""

from __future__ import annotations

import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import billiard.common
from celery.concurrency import asynpool, prefork

from workers import serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from celery.worker.consumer import Consumer
    from kombu.asynchronous import Hub

    Handler = Callable[[int, FrameType | None], object]

#: What Celery's pool runs while it hands a task to one of its processes.
HANDING_OVER: Final = "_write_job"

_billiard: Final[Any] = billiard.common
#: A supervisor may send SIGHUP along with SIGTERM, and a terminal that is closed sends it alone.
_STOPPING: Final = (signal.SIGTERM, signal.SIGHUP)
_ENDING: Final = (*_STOPPING, signal.SIGQUIT)
#: By `nohup`; Celery forgets it.
_IGNORES_HANGUP: Final = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def connect(sender: Consumer, **_: object) -> None:
    """Handler of `worker_ready`, before which no task runs: has builds handed back, and no task lost on its way.

    Who builds does at SIGTERM what Celery does at SIGQUIT: builds end at once, and other workers begin them again. They
    take too long to be waited for. All other tasks are short, and SIGTERM waits for them; so does SIGINT for all.

    SIGHUP counts as SIGTERM. To Celery it means to start anew, which would take back a SIGTERM that came before.

    Celery 5.7 ends its pool from within the signal's handler. Where that interrupts the handing over of a task, the
    pool waits for this task, which is half written and can never arrive: the worker hangs until it is killed, and its
    builds are not given back. Then, and only then, the signal waits until the task has arrived.
    """
    hub: Hub | None = getattr(sender, "hub", None)
    if hub is None:  # a pool of threads hands nothing over
        return
    hands_back = isinstance(sender.pool, prefork.TaskPool) and serving.builds(sender.app)
    at_once = signal.getsignal(signal.SIGQUIT)
    stop = at_once if hands_back else signal.getsignal(signal.SIGTERM)
    for number in _ENDING:
        stopping = number in _STOPPING
        handler = stop if stopping else at_once
        if callable(handler):
            signal.signal(number, partial(_heed, handler, hub, once=hands_back and stopping))
    if _IGNORES_HANGUP:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def end_once(**_: object) -> None:
    """Handler of `task_prerun`: in a pool's process, the first signal ends the task, and no other one ends its end.

    A supervisor signals a whole group, and then the worker signals its processes as well. With billiard's own handler
    the second signal kills a process that is still giving its build back.
    """
    for number in _ENDING:
        if signal.getsignal(number) is _billiard._shutdown_cleanup:  # noqa: SLF001 - only a pool's processes have it
            signal.signal(number, _end)
    if _IGNORES_HANGUP:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _end(number: int, _: FrameType | None) -> None:
    """What billiard's handler does, but for the signals that follow."""
    for each in _ENDING:
        signal.signal(each, signal.SIG_IGN)
    _billiard._should_have_exited[0] = True  # noqa: SLF001 - or the pool takes the task for one that ended by itself
    sys.exit(-(256 - number))


def _heed(handler: Handler, hub: Hub, number: int, frame: FrameType | None, *, once: bool) -> None:
    if once:  # another one would have the pool ended from within its end
        for each in _STOPPING:
            signal.signal(each, signal.SIG_IGN)
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
