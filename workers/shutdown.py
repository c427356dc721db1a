"""What a worker does when a signal tells it to end: build workers hand their builds back, all others finish."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING, Final

from celery.concurrency import prefork

from workers import serving
from workers.celery_fixes.job_handover import call_between_handovers
from workers.celery_fixes.nohup import keep_ignoring_hangup
from workers.celery_fixes.second_signal import ignore_further_signals

if TYPE_CHECKING:
    from types import FrameType

    from celery.worker.consumer import Consumer
    from kombu.asynchronous import Hub

    from workers.celery_fixes.job_handover import Handler

#: A supervisor may send SIGHUP along with SIGTERM, and a terminal that is closed sends it alone.
_STOPPING: Final = (signal.SIGTERM, signal.SIGHUP)


def install_handlers(sender: Consumer, **_: object) -> None:
    """Handler of `worker_ready`, before which no task runs: decides what each signal means to this worker.

    | signal | who builds | all others |
    |---|---|---|
    | SIGTERM, SIGHUP | as SIGQUIT, once: others are ignored | end when the running tasks have ended |
    | SIGQUIT | Celery's cold shutdown: tasks end at once, and other workers begin them again | the same |
    | SIGINT | Celery's own: end when the running tasks have ended; at the second one, as SIGQUIT | the same |

    Builds take too long to be waited for; all other tasks are short. Celery can do this itself, by
    `REMAP_SIGTERM=SIGQUIT` in the environment, and a worker that has it behaves the same. But it has to be there
    before Celery is imported, whatever the worker serves, so the plain command would wait for its builds
    (`tests/integration/test_recovery_stop.py`). Celery's soft shutdown is not used: it always takes the whole
    `worker_soft_shutdown_timeout` while anything runs, and a build is longer than any supervisor waits.

    SIGHUP counts as SIGTERM. To Celery it means to start anew, which would take back a SIGTERM that came before.
    """
    hub: Hub | None = getattr(sender, "hub", None)
    if hub is None:  # a pool of threads hands nothing over
        return
    hands_back = isinstance(sender.pool, prefork.TaskPool) and serving.builds(sender.app)
    cold = signal.getsignal(signal.SIGQUIT)
    stop = cold if hands_back else signal.getsignal(signal.SIGTERM)
    for number, handler in ((signal.SIGQUIT, cold), *((number, stop) for number in _STOPPING)):
        if callable(handler):
            once = hands_back and number in _STOPPING
            signal.signal(number, partial(_handle, handler, hub, once=once))
    keep_ignoring_hangup()


def protect_cleanup(**_: object) -> None:
    """Handler of `task_prerun`, in a process of the pool: a task that was told to end can tidy up."""
    ignore_further_signals()
    keep_ignoring_hangup()


def _handle(handler: Handler, hub: Hub, number: int, frame: FrameType | None, *, once: bool) -> None:
    if once:  # at a second one, Celery would end the pool by force from within its end
        for each in _STOPPING:
            signal.signal(each, signal.SIG_IGN)
    call_between_handovers(handler, hub, number, frame)
