"""One worker polls base images at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from redis.exceptions import LockNotOwnedError

from galaxy.adapters.store.keys import Keys
from galaxy.adapters.store.leader import only_poller

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

    from tests.conftest import RedisServer


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[Redis]:
    with redis_server.client(decode_responses=True) as client:
        yield client


def test_the_lock_is_kept_as_long_as_it_is_renewed_and_free_at_the_end(redis: Redis, key_prefix: str) -> None:
    keys = Keys(key_prefix)
    with only_poller(redis, keys, lock_s=60) as renew, only_poller(redis, keys, lock_s=60) as other:
        assert (renew(), other(), renew(), other()) == (True, False, True, False)
        assert 59_000 < redis.pttl(keys.polling()) <= 60_000
    assert not redis.exists(keys.polling())
    assert not redis.exists(keys.heartbeats()), "the poller has a heartbeat of its own, when it is done"
    with only_poller(redis, keys, lock_s=60) as other:
        assert other()


def test_whoever_does_not_have_the_lock_does_not_give_it_up(redis: Redis, key_prefix: str) -> None:
    keys = Keys(key_prefix)
    with only_poller(redis, keys, lock_s=60) as renew:
        assert renew()
        with only_poller(redis, keys, lock_s=60) as other:
            assert not other()
        with only_poller(redis, keys, lock_s=60):
            pass  # it never asked
        assert renew()


def test_a_lock_that_another_took_meanwhile_is_left_to_it(redis: Redis, key_prefix: str) -> None:
    keys = Keys(key_prefix)
    with only_poller(redis, keys, lock_s=60) as renew:
        assert renew()
        redis.set(keys.polling(), "another", px=60_000)  # as after a hang that was longer than the lock
        assert not renew()
    assert redis.get(keys.polling()) == "another"


def test_pollers_of_the_release_before_keep_to_the_same_lock(redis: Redis, key_prefix: str) -> None:
    keys = Keys(key_prefix)
    previous = redis.lock(keys.polling(), timeout=60, blocking=False, thread_local=False)
    assert previous.acquire()
    with only_poller(redis, keys, lock_s=60) as renew:
        assert not renew()
        previous.release()
        assert renew()
        assert not previous.acquire()
        previous.local.token = b"its own"
        with pytest.raises(LockNotOwnedError):
            previous.release()
        assert renew()
