"""The apps that depend on base images: where they stand, and what they want of updates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, cast

import structlog

from galaxy.adapters.store.scripts import RedisScripts, Script, translated
from galaxy.adapters.store.snapshots import read_snapshots
from galaxy.domain.base_images.fan_out import LatePage
from galaxy.domain.base_images.image_reference import ImageReference
from galaxy.domain.errors import AppNotFound, InvalidInput, NothingToPin

if TYPE_CHECKING:
    from redis import Redis

    from galaxy.adapters.store.keys import Keys
    from galaxy.adapters.store.scripts import Argument
    from galaxy.domain.base_images.updates import AppSnapshot, Updates

logger = structlog.get_logger(__name__)

_READ_SNAPSHOTS: Final = Script(
    "read_snapshots",
    ("platforms", "apps"),
    (
        "content", "way", "limit", "after", "app_prefix", "version_prefix", "made_prefix",
        "unfinished_prefix",
    ),
)  # fmt: skip
_SET_UPDATES: Final = Script(
    "set_updates",
    ("app", "unfinished", "due", "activity", "ended", "outbox", "outbox_apps", "updates"),
    ("app", "choice", "version_prefix", "late_prefix"),
)
_INDEX_APP: Final = Script(
    "index_app", ("app", "base_images"), ("app", "version_prefix", "dependents_prefix", "references")
)

#: All apps are indexed.
_ALL: Final = "*"


class _Page(NamedTuple):
    last: str
    snapshots: tuple[AppSnapshot, ...]
    scores: dict[str, str]


class DependentStore:
    """Dependents in Redis. All methods raise `StoreError` when Redis can't be reached.

    Args:
        redis: Client with `decode_responses=True`; the store's.
    """

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._scripts = RedisScripts(redis)

    # -- where they stand

    def dependents(
        self, image: str, content: str, *, after: str, limit: int
    ) -> tuple[str, tuple[AppSnapshot, ...]]:
        """A page of the apps that depend on a base image, and where they stand.

        Args:
            image: Canonical reference.
            content: See `Wanted`.
            after: The last app of the page before; empty for the first page.
            limit: At most so many.

        Returns:
            The last app of this page, empty when there was none left; and the snapshots.
        """
        page = self._read("after", limit, self._keys.dependents(image), content, after)
        return page.last, page.snapshots

    def late(self, image: str, content: str, *, limit: int) -> LatePage:
        """Some apps that have to be decided about again."""
        page = self._read("first", limit, self._keys.late(image), content, "")
        return LatePage(page.snapshots, page.scores)

    # -- what apps want

    def set_updates(self, app: str, updates: Updates) -> str | None:
        """Turns an app's updates on or off, or pins it; returns the digest that it is pinned to.

        Raises:
            AppNotFound: The app was never deployed.
            NothingToPin: It is to be pinned, and no version is active that was built on a tag.
        """
        names = {**self._keys.of_app(app), "updates": self._keys.updates()}
        arguments: dict[str, Argument] = {
            "app": app,
            "choice": updates,
            "version_prefix": self._keys.all_versions(),
            "late_prefix": self._keys.late(""),
        }
        reply, digest = self._scripts.run(_SET_UPDATES, _SET_UPDATES.call(names, arguments))
        if reply == "missing":
            raise AppNotFound(f"There is no app {app}.", app=app)
        if reply == "nothing_active":
            raise NothingToPin(
                f"{app} can't be pinned: it has no active version that was built on a base image's tag.",
                "Deploy it first.",
                app=app,
            )
        return digest or None

    # -- apps that were deployed before their base images were indexed

    def index_some(self, limit: int) -> bool:
        """Indexes the base images of the next apps that were deployed before this was done; False: no app is left.

        A version whose base image today's rules refuse depends on nothing: nobody could build on that.
        """
        keys = self._keys
        with translated():
            after = cast("str | None", self._redis.get(keys.indexed())) or ""
            if after == _ALL:
                return False
            apps = cast(
                "list[str]",
                self._redis.zrangebylex(keys.apps(), f"({after}" if after else "-", "+", start=0, num=limit),
            )
            for app in apps:
                self._index(app)
            self._redis.set(keys.indexed(), apps[-1] if apps else _ALL)
        return bool(apps)

    # -- inside

    def _index(self, app: str) -> None:
        keys = self._keys
        numbers = cast("list[str | None]", self._redis.hmget(keys.app(app), ["last", "active"]))
        references: dict[str, str] = {}
        for number in dict.fromkeys(filter(None, numbers)):
            name = cast("str | None", self._redis.hget(keys.version(app, int(number)), "base_image"))
            if name:
                references[number] = _indexed_under(name, app=app, version=int(number))
        names = {"app": keys.app(app), "base_images": keys.base_images()}
        arguments: dict[str, Argument] = {
            "app": app,
            "version_prefix": keys.all_versions(),
            "dependents_prefix": keys.dependents(""),
            "references": references,
        }
        self._scripts.run(_INDEX_APP, _INDEX_APP.call(names, arguments))

    def _read(self, way: str, limit: int, apps: str, content: str, after: str) -> _Page:
        keys = self._keys
        arguments: dict[str, Argument] = {
            "content": content,
            "way": way,
            "limit": limit,
            "after": after,
            "app_prefix": keys.app(""),
            "version_prefix": keys.all_versions(),
            "made_prefix": keys.made(""),
            "unfinished_prefix": keys.unfinished(""),
        }
        names = {"platforms": keys.platforms(), "apps": apps}
        last, scores, snapshots = self._scripts.run(_READ_SNAPSHOTS, _READ_SNAPSHOTS.call(names, arguments))
        return _Page(last, read_snapshots(snapshots), dict(zip(scores[::2], scores[1::2], strict=True)))


def _indexed_under(base_image: str, *, app: str, version: int) -> str:
    """The canonical reference under which a version is indexed; empty when no update can concern it."""
    try:
        reference = ImageReference.parse(base_image)
    except InvalidInput as error:
        logger.warning("version.not_indexed", app=app, version=version, error=str(error))
        return ""
    return "" if reference.pinned else reference.canonical
