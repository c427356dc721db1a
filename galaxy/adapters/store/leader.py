"""Which of several beats leads: a lock in the store that runs out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from uuid import uuid4

from galaxy.adapters.store.scripts import RedisScripts
from galaxy.domain.heartbeats import BEAT

if TYPE_CHECKING:
    from redis import Redis

    from galaxy.adapters.store.keys import Keys


class LeaderLock:
    """One process's claim to lead. Who leads is decided by Redis and its clock.

    Args:
        redis: Client with `decode_responses=True`; it should give up soon.
        lock_s: How long the lead lasts without `take`.
    """

    def __init__(self, redis: Redis, keys: Keys, *, lock_s: float) -> None:
        self._scripts = RedisScripts(redis)
        self._keys = keys
        self._lock_s = lock_s
        self._me = uuid4().hex
        self._leads_until = 0.0

    def take(self) -> bool:
        """Takes or keeps the lead, and returns whether this process has it.

        Raises:
            StoreError: Redis can't be reached. What is left of the lead goes on.
        """
        asked_at = time.monotonic()  # the lock lasts longer than what we think, never shorter
        keys = [self._keys.leader(), self._keys.heartbeats()]
        leads = bool(self._scripts.run("take_lead", keys, (self._me, int(self._lock_s * 1000), BEAT)))
        self._leads_until = asked_at + self._lock_s if leads else 0.0
        return leads

    @property
    def held(self) -> bool:
        """Nobody else can lead at this moment. Asks nobody: it is the clock that tells."""
        return time.monotonic() < self._leads_until

    def give_up(self) -> None:
        """Lets another process lead at once.

        Raises:
            StoreError: Redis can't be reached; the lock runs out by itself.
        """
        self._leads_until = 0.0
        self._scripts.run("step_down", [self._keys.leader()], (self._me,))
