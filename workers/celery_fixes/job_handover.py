"""A worker hangs when a signal that ends it comes while it hands a task to one of its processes.

Upstream: https://github.com/celery/celery/pull/7339 mended this for a warm shutdown. For a cold shutdown (SIGQUIT, or
SIGTERM with `REMAP_SIGTERM=SIGQUIT`) no issue is known to us. As a report:

Celery 5.7.0, billiard 4.3.2, prefork pool. `on_cold_shutdown` stops the pool from within the signal's handler. Send
the signal while `asynpool` has written the length of a task into a process's pipe, and not yet the task itself
(`tests/integration/test_stopping.py` does so by patching `billiard.connection.Connection.send_offset`).

Expected: the task is written or discarded, and the worker ends.

Actual: `pool.stop()` waits for the half-written task. The generator that writes it can't go on before the handler
returns, and the handler waits for it. The worker hangs until it is killed, and gives no task back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from celery.concurrency import asynpool

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from kombu.asynchronous import Hub

    Handler = Callable[[int, FrameType | None], object]

SEEN_IN: Final = ("celery 5.7",)

#: The generator in which Celery's pool hands a task to one of its processes.
HANDING_OVER: Final = "_write_job"


def call_between_handovers(handler: Handler, hub: Hub, number: int, frame: FrameType | None) -> None:
    """Calls a signal's handler; if the signal has interrupted a hand-over, then as soon as that is finished.

    Args:
        handler: What Celery does at the signal.
        hub: The worker's event loop.
        number: The signal's.
        frame: What the signal has interrupted.
    """
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
