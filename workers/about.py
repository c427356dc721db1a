"""What a worker answers when `galaxy doctor` asks what it is."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

from celery.worker.control import inspect_command

from galaxy.adapters.fingerprint import code_fingerprint
from galaxy.adapters.queue import ABOUT
from galaxy.settings import current

_code = cache(code_fingerprint)
#: When it was called for the first time, by the monotonic clock.
_ready_at = cache(time.monotonic)


def take_fingerprint(**_: object) -> None:
    """Handler of `worker_ready`: computes the code's fingerprint now, before an upgrade can change the files."""
    _code()
    _ready_at()


@inspect_command(name=ABOUT)
def about(state: Any) -> dict[str, object]:  # noqa: ANN401 - Celery's panel state has no type of its own
    """Queues, slots, code, settings and age, as `WorkerFacts` has them. No secret is among them."""
    consumer = state.consumer
    return {
        "queues": sorted(consumer.app.amqp.queues.consume_from),
        "slots": consumer.pool.limit,
        "code": _code(),
        "settings": current().agreed(),
        "ready_for_s": time.monotonic() - _ready_at(),
    }
