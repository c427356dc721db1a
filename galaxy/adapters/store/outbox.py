"""What happened to versions and is not in the apps' logs yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from galaxy.adapters.store.scripts import RedisScripts, Script, translated
from galaxy.domain.announcement import Announcement
from galaxy.domain.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from redis import Redis

    from galaxy.adapters.store.keys import Keys

_MARK_ANNOUNCED: Final = Script("mark_announced", ("outbox", "outbox_apps"), ("app", "ids"))


class Outbox:
    """Announcements in Redis. All methods raise `StoreError` when Redis can't be reached.

    Args:
        redis: Client with `decode_responses=True`; the store's.
    """

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._scripts = RedisScripts(redis)

    def outbox_apps(self, limit: int) -> list[str]:
        """Some apps whose log lacks announcements: others each time, so that none stands in the way of all."""
        with translated():
            return cast("list[str]", self._redis.srandmember(self._keys.outbox_apps(), limit))

    def outbox(self, apps: Sequence[str], limit: int) -> dict[str, list[Announcement]]:
        """By app, its oldest announcements that are not in its log yet, oldest first; at most `limit` of each."""
        with translated(), self._redis.pipeline(transaction=False) as batch:
            for app in apps:
                batch.xrange(self._keys.outbox(app), count=limit)
            replies = cast("list[list[tuple[str, dict[str, str]]]]", batch.execute())
        return {
            app: [_announcement(entry_id, fields) for entry_id, fields in entries]
            for app, entries in zip(apps, replies, strict=True)
        }

    def mark_announced(self, announced: Iterable[Announcement]) -> None:
        """Forgets announcements that the apps' logs have now."""
        ids: dict[str, list[str]] = {}
        for each in announced:
            ids.setdefault(each.app, []).append(each.id)
        calls = (
            _MARK_ANNOUNCED.call(
                {"outbox": self._keys.outbox(app), "outbox_apps": self._keys.outbox_apps()},
                {"app": app, "ids": of_app},
            )
            for app, of_app in ids.items()
        )
        self._scripts.run_each(_MARK_ANNOUNCED, calls)


def _announcement(entry_id: str, fields: Mapping[str, str]) -> Announcement:
    """An entry of the stream. `outbox.lua` explains why a reason stands where a deploy has its warnings."""
    known: dict[str, Any] = {"id": entry_id, **fields}
    detail = known.pop("detail", "")
    if known["event"] != "deployed":
        reason = Reason.parse(known.pop("warnings", ""))
        # releases that knew no reasons kept a sentence in `detail`, and repeated a version's warnings in all its events
        known["reason"] = reason if reason and not reason.is_plain else Reason.parse(detail)
    return Announcement.model_validate(known)
