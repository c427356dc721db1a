"""All apps, read in pages: few calls of the store however many apps there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from galaxy.adapters.store.scripts import translated
from galaxy.domain.app_summary import AppSummary
from galaxy.domain.errors import AppNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from redis import Redis

    from galaxy.adapters.store.keys import Keys

_PAGE: Final = 500
_OF_APP: Final = ("last", "active", "updates", "pinned_digest")
_OF_VERSION: Final = ("automatic", "rebuild_of")


class AppList:
    """Apps in Redis. All methods raise `StoreError` when Redis can't be reached.

    Args:
        redis: Client with `decode_responses=True`; the store's.
    """

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def all(self) -> Iterator[AppSummary]:
        """All apps by name, also those that are deployed meanwhile, if their names come later."""
        after = "-"
        while True:
            with translated():
                page = cast(
                    "list[str]",
                    self._redis.zrangebylex(self._keys.apps(), after, "+", start=0, num=_PAGE),
                )
            yield from self._read(page)
            if len(page) < _PAGE:
                return
            after = f"({page[-1]}"

    def one(self, app: str) -> AppSummary:
        """One app.

        Raises:
            AppNotFound: It was never deployed.
        """
        for found in self._read([app]):
            return found
        raise AppNotFound(f"There is no app {app}.", app=app)

    def _read(self, apps: Sequence[str]) -> Iterator[AppSummary]:
        keys = self._keys
        facts = self._rows([keys.app(app) for app in apps], _OF_APP)
        # an app without an active version has no such key, and so nothing in its row
        active = [keys.version(app, int(its["active"] or 0)) for app, its in zip(apps, facts, strict=True)]
        for app, its, version in zip(apps, facts, self._rows(active, _OF_VERSION), strict=True):
            if its["last"]:
                known = {"updates": its["updates"], "pinned_digest": its["pinned_digest"], **version}
                yield AppSummary.model_validate(
                    {name: it for name, it in known.items() if it is not None}
                    | {"app": app, "active_version": its["active"]}
                )

    def _rows(self, keys: Sequence[str], names: Sequence[str]) -> list[dict[str, str | None]]:
        pipeline = self._redis.pipeline(transaction=False)
        for key in keys:
            pipeline.hmget(key, names)
        with translated():
            rows = cast("list[list[str | None]]", pipeline.execute())
        return [dict(zip(names, row, strict=True)) for row in rows]
