"""Signs of life in the store, by its clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from galaxy.adapters.store.keys import Keys
from galaxy.domain.heartbeats import BEAT, RECONCILE, reaper_of, swept_by
from tests.support.stores import make_store

if TYPE_CHECKING:
    from redis import Redis

    from tests.support.stores import AllStores


@pytest.fixture
def store(redis: Redis, key_prefix: str) -> AllStores:
    return make_store(redis, key_prefix)


def test_before_the_first_heartbeat_there_are_none(store: AllStores) -> None:
    assert store.heartbeats() == {}


def test_a_heartbeat_tells_when_it_was_and_how_old_it_is(store: AllStores) -> None:
    before_ms = time.time() * 1000
    store.record_heartbeat(BEAT)
    store.record_heartbeat(RECONCILE)
    time.sleep(0.1)  # twice what is asked for: the clocks tick in milliseconds
    store.record_heartbeat(RECONCILE)
    heartbeats = store.heartbeats()
    assert heartbeats.keys() == {BEAT, RECONCILE}
    assert before_ms - 1 <= heartbeats[BEAT].at_ms <= heartbeats[RECONCILE].at_ms - 50
    assert 0.05 <= heartbeats[BEAT].age_s < 10
    assert heartbeats[RECONCILE].age_s <= heartbeats[BEAT].age_s - 0.05


def test_what_ended_as_it_should_is_not_missed(store: AllStores) -> None:
    store.record_heartbeat(reaper_of("build@one"))
    store.record_heartbeat(reaper_of("build@two"))
    store.forget_heartbeat(reaper_of("build@one"))
    assert [swept_by(name) for name in store.heartbeats()] == ["build@two"]


def test_what_had_no_heartbeat_for_a_day_is_forgotten_and_nothing_else(
    store: AllStores, redis: Redis, key_prefix: str
) -> None:
    hours_ago = {"two days": 48, "almost a day": 23}
    for name, hours in hours_ago.items():
        redis.hset(Keys(key_prefix).heartbeats(), reaper_of(name), int(time.time() - hours * 3600) * 1000)
    store.record_heartbeat(BEAT)
    assert {swept_by(name) for name in store.heartbeats()} == {None, "almost a day"}
