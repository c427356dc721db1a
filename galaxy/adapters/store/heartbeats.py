"""Signs of life of everything periodic, by the store's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from galaxy.adapters.store.scripts import RedisScripts, Script, translated
from galaxy.domain.heartbeats import Heartbeat

if TYPE_CHECKING:
    from redis import Redis

    from galaxy.adapters.store.keys import Keys
    from galaxy.adapters.store.scripts import Argument

_RECORD_HEARTBEAT: Final = Script("record_heartbeat", ("heartbeats",), ("name", "forgotten_after_ms"))
_READ_HEARTBEATS: Final = Script("read_heartbeats", ("heartbeats",))

#: A worker that has not been seen for so long is gone for good; containers get new names with each update.
_REMEMBERED_MS: Final = 24 * 3600 * 1000


class HeartbeatStore:
    """Heartbeats in Redis. All methods raise `StoreError` when Redis can't be reached.

    Args:
        redis: Client with `decode_responses=True`; the store's.
    """

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._scripts = RedisScripts(redis)
        self._keys = keys

    def record_heartbeat(self, name: str) -> None:
        """Remembers that something periodic did its work just now; `galaxy/domain/heartbeats.py` has the names."""
        arguments: dict[str, Argument] = {"name": name, "forgotten_after_ms": _REMEMBERED_MS}
        self._scripts.run(
            _RECORD_HEARTBEAT, _RECORD_HEARTBEAT.call({"heartbeats": self._keys.heartbeats()}, arguments)
        )

    def forget_heartbeat(self, name: str) -> None:
        """Something periodic has ended as it should: nobody has to miss it."""
        with translated():
            self._redis.hdel(self._keys.heartbeats(), name)

    def heartbeats(self) -> dict[str, Heartbeat]:
        """When everything periodic last did its work; what has not done so for a day is not among it."""
        flat = self._scripts.run(
            _READ_HEARTBEATS, _READ_HEARTBEATS.call({"heartbeats": self._keys.heartbeats()})
        )
        rows = zip(*(iter(flat),) * 3, strict=True)
        return {name: Heartbeat(int(at_ms), int(age_ms) / 1000) for name, at_ms, age_ms in rows}
