"""A second signal kills a process of the pool that is still tidying up after the first.

Upstream: https://github.com/celery/celery/issues/4795 (closed) asks for the same from the other side: that processes
of the pool ignore a SIGTERM to the whole group. As a report:

Celery 5.7.0, billiard 4.3.2, prefork pool. A supervisor sends SIGTERM to the whole process group, as systemd does.
The worker then sends its own signal to each process of its pool.

Expected: the first signal raises `SystemExit` in the task, whose `finally` blocks run to their end.

Actual: at the second signal `billiard.common._shutdown_cleanup` calls `os._exit(70)`, or the default action of the
same signal ends the process. What the task was tidying up is left as it is; here, a build is not handed back.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Any, Final

import billiard.common

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

SEEN_IN: Final = ("billiard 4.3",)

_billiard: Final[Any] = billiard.common
_ENDING: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def ignore_further_signals(signals: Iterable[signal.Signals] = _ENDING) -> None:
    """In a process of the pool: the first of these signals ends the task, and none interrupts its tidying up."""
    for number in signals:
        if signal.getsignal(number) is _billiard._shutdown_cleanup:  # noqa: SLF001 - only a pool's processes have it
            signal.signal(number, _end_task)


def _end_task(number: int, _: FrameType | None) -> None:
    """What billiard's handler does, except that it ignores the signals that follow."""
    for each in _ENDING:
        signal.signal(each, signal.SIG_IGN)
    _billiard._should_have_exited[0] = True  # noqa: SLF001 - or the pool takes the task for one that ended by itself
    sys.exit(-(256 - number))
