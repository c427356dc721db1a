"""What a worker tells of itself when `galaxy doctor` asks."""

from __future__ import annotations

from functools import cache
from typing import Any

from celery.worker.control import inspect_command

from galaxy.adapters.fingerprint import code_fingerprint
from galaxy.adapters.queue import ABOUT
from galaxy.settings import Settings

_code = cache(code_fingerprint)


def remember(**_: object) -> None:
    """Handler of `worker_ready`: an update may change the files while this process runs the old ones."""
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
