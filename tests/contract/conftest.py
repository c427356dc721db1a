"""The stores' Redis: a real one and fakeredis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.fake_redis import fake_redis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

    from tests.conftest import RedisServer


@pytest.fixture(params=[pytest.param("real", marks=pytest.mark.service), "fake"])
def redis(request: pytest.FixtureRequest) -> Iterator[Redis]:
    """Decodes what it answers."""
    if request.param == "fake":
        with fake_redis(decode_responses=True) as client:
            yield client
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    with server.client(decode_responses=True) as client:
        yield client
