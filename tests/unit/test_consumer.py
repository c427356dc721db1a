"""What the worker's consumer makes up for in kombu; what it does is in tests/integration/test_recovery_redis.py."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from kombu import Connection, Consumer, Queue

from tests.conftest import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server(redis_server: RedisServer) -> Iterator[RedisServer]:  # noqa: ARG001 - skips where there is none
    """A Redis of this test alone, because it dies."""
    with tempfile.TemporaryDirectory(prefix="galaxy-redis-") as folder:
        server = RedisServer(Path(folder))
        server.start()
        yield server
        server.stop()


def test_kombu_still_stumbles_over_what_a_lost_connection_delivered(server: RedisServer) -> None:
    """If this fails, kombu was mended: see whether `workers.consumer.SteadyConsumer` is still needed."""
    connection = Connection(f"redis+socket://{server.socket}")
    connection.SimpleQueue("tasks").put("one that is not acknowledged")
    Consumer(connection, [Queue("tasks")], on_message=lambda _: None).consume()
    Consumer(connection.channel(), [Queue("control")], on_message=lambda _: None).consume()
    connection.drain_events(timeout=5)
    with suppress(TimeoutError):  # it waits for more, with a command that is not answered yet
        connection.drain_events(timeout=0.1)
    server.stop()
    with suppress(*connection.connection_errors):
        connection.collect()  # as Celery does when a connection is lost, and then:
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'hostname'"):
        connection.close()
