"""What a worker answers when `galaxy doctor` asks what it is."""

from __future__ import annotations

from functools import cache
from typing import Any

from celery.worker.control import inspect_command

from galaxy.adapters.fingerprint import code_fingerprint
from galaxy.adapters.queue import ABOUT
from galaxy.settings import Settings

_code = cache(code_fingerprint)


def take_fingerprint(**_: object) -> None:
    """Handler of `worker_ready`: computes the code's fingerprint now, before an upgrade can change the files."""
    _code()


@inspect_command(name=ABOUT)
def about(state: Any) -> dict[str, object]:  # noqa: ANN401 - Celery's panel state has no type of its own
    """Queues, slots, code and settings; no secret is among them."""
    consumer = state.consumer
    return {
        "queues": sorted(consumer.app.amqp.queues.consume_from),
        "slots": consumer.pool.limit,
        "code": _code(),
        "settings": Settings().agreed(),
    }
