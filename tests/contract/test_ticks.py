"""Signs of life in the store, by its clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from galaxy.adapters.keys import Keys
from galaxy.domain.ticks import BEAT, RECONCILE, reaper_of, swept_by
from tests.support.stores import make_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

    from galaxy.adapters.store import RedisStore
    from tests.conftest import RedisServer


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[Redis]:
    with redis_server.client(decode_responses=True) as client:
        yield client


@pytest.fixture
def store(redis: Redis, key_prefix: str) -> RedisStore:
    return make_store(redis, key_prefix)


def test_before_anything_has_ticked_there_are_no_ticks(store: RedisStore) -> None:
    assert store.ticks() == {}


def test_a_tick_tells_when_it_was_and_how_old_it_is(store: RedisStore) -> None:
    before_ms = time.time() * 1000
    store.record_tick(BEAT)
    store.record_tick(RECONCILE)
    time.sleep(0.1)  # twice what is asked for: the clocks tick in milliseconds
    store.record_tick(RECONCILE)
    ticks = store.ticks()
    assert ticks.keys() == {BEAT, RECONCILE}
    assert before_ms - 1 <= ticks[BEAT].at_ms <= ticks[RECONCILE].at_ms - 50
    assert 0.05 <= ticks[BEAT].age_s < 10
    assert ticks[RECONCILE].age_s <= ticks[BEAT].age_s - 0.05


def test_what_ended_as_it_should_is_not_missed(store: RedisStore) -> None:
    store.record_tick(reaper_of("build@one"))
    store.record_tick(reaper_of("build@two"))
    store.forget_tick(reaper_of("build@one"))
    assert [swept_by(tick) for tick in store.ticks()] == ["build@two"]


def test_what_has_not_ticked_for_a_day_is_forgotten_and_nothing_else(
    store: RedisStore, redis: Redis, key_prefix: str
) -> None:
    hours_ago = {"two days": 48, "almost a day": 23}
    for name, hours in hours_ago.items():
        redis.hset(Keys(key_prefix).ticks(), reaper_of(name), int(time.time() - hours * 3600) * 1000)
    store.record_tick(BEAT)
    assert {swept_by(tick) for tick in store.ticks()} == {None, "almost a day"}
