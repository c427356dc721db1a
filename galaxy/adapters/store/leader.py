"""Locks in the store that run out by themselves: which beat leads, and which worker polls."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from galaxy.adapters.store.scripts import RedisScripts, Script
from galaxy.domain.errors import StoreError
from galaxy.domain.heartbeats import BEAT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from redis import Redis

    from galaxy.adapters.store.keys import Keys
    from galaxy.adapters.store.scripts import Argument

_TAKE_LOCK: Final = Script("take_lock", ("lock", "heartbeats"), ("holder", "lock_ms", "heartbeat"))
_RELEASE_LOCK: Final = Script("release_lock", ("lock",), ("holder",))


class LeaderLock:
    """One process's claim to lead. Who leads is decided by Redis and its clock.

    Args:
        redis: Client with `decode_responses=True`; it should give up soon.
        key: The lock's; by default that of the beat that leads.
        lock_s: How long the lead lasts without `take`.
        heartbeat: What the leader is remembered as; empty if nobody asks whether it lives.
    """

    def __init__(
        self, redis: Redis, keys: Keys, *, lock_s: float, key: str = "", heartbeat: str = BEAT
    ) -> None:
        self._scripts = RedisScripts(redis)
        self._keys = {"lock": key or keys.leader(), "heartbeats": keys.heartbeats()}
        self._heartbeat = heartbeat
        self._lock_s = lock_s
        self._me = uuid4().hex
        self._leads_until = 0.0

    def take(self) -> bool:
        """Takes or keeps the lead, and returns whether this process has it.

        Raises:
            StoreError: Redis can't be reached. What is left of the lead goes on.
        """
        asked_at = time.monotonic()  # the lock lasts longer than what we think, never shorter
        leads = self._take_lock()
        self._leads_until = asked_at + self._lock_s if leads else 0.0
        return leads

    @property
    def held(self) -> bool:
        """Whether nobody else can lead at this moment, by this process's clock alone: Redis is not asked."""
        return time.monotonic() < self._leads_until

    def give_up(self) -> None:
        """Lets another process lead at once.

        Raises:
            StoreError: Redis can't be reached; the lock runs out by itself.
        """
        self._leads_until = 0.0
        self._release_lock()

    def _take_lock(self) -> bool:
        lock_ms = int(self._lock_s * 1000)
        arguments: dict[str, Argument] = {
            "holder": self._me,
            "lock_ms": lock_ms,
            "heartbeat": self._heartbeat,
        }
        return bool(self._scripts.run(_TAKE_LOCK, _TAKE_LOCK.call(self._keys, arguments)))

    def _release_lock(self) -> None:
        self._scripts.run(_RELEASE_LOCK, _RELEASE_LOCK.call(self._keys, {"holder": self._me}))


@contextmanager
def only_poller(redis: Redis, keys: Keys, *, lock_s: float) -> Iterator[Callable[[], bool]]:
    """Keeps other pollers of base images away: those that hang would take all the slots of control workers.

    Yields a function that takes or renews the lock, and returns False when somebody else polls.
    """
    lock = LeaderLock(redis, keys, lock_s=lock_s, key=keys.polling(), heartbeat="")
    try:
        yield lock.take
    finally:
        if lock.held:
            with suppress(StoreError):  # it ends by itself
                lock.give_up()
