"""Base images in the store: what their registries said, when they are asked again, and who depends on them."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple, cast

import structlog
from redis.exceptions import LockError, RedisError

from galaxy.adapters.store.scripts import RedisScripts, translated
from galaxy.adapters.store.snapshots import read_snapshots
from galaxy.domain.base_images.base_image import BaseImage, UpdateProgress
from galaxy.domain.base_images.checks import CheckLease, CheckPostponed, CheckResult
from galaxy.domain.base_images.fan_out import LatePage
from galaxy.domain.base_images.image_reference import ImageReference, familiar_name
from galaxy.domain.errors import AppNotFound, BaseImageNotWatched, InvalidInput, NothingToPin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from redis import Redis

    from galaxy.adapters.store.keys import Keys
    from galaxy.domain.base_images.updates import AppSnapshot, Updates

logger = structlog.get_logger(__name__)

_PROGRESS = ("number", "state", "wave", "dependents", "created", "built", "failed", "reason")
_ALL = "*"


class _Page(NamedTuple):
    last: str
    snapshots: tuple[AppSnapshot, ...]
    scores: dict[str, str]


class BaseImageStore:
    """Base images in Redis. The clock is Redis's.

    All methods raise `StoreError` when Redis can't be reached.

    Args:
        redis: Client with `decode_responses=True`; the store's.
        lease_s: How long a check is one poller's alone; longer than a check can take.
        requests_per_s: Budget of requests of each registry, shared by all workers; a burst is five seconds' worth.
    """

    def __init__(self, redis: Redis, keys: Keys, *, lease_s: float, requests_per_s: float) -> None:
        self._redis = redis
        self._keys = keys
        self._lease_ms = int(lease_s * 1000)
        self._requests_per_s = requests_per_s
        self._scripts = RedisScripts(redis)

    # -- checks

    @contextmanager
    def only_poller(self, lease_s: float) -> Iterator[Callable[[], bool]]:
        """Keeps other pollers away: those that hang would take all the slots of control workers.

        Yields a function that renews this, and returns False when somebody else polls.
        """
        lock = self._redis.lock(self._keys.polling(), timeout=lease_s, blocking=False, thread_local=False)

        def renew() -> bool:
            with translated():
                try:
                    return bool(lock.reacquire() if lock.local.token else lock.acquire())
                except LockError:
                    return False

        try:
            yield renew
        finally:
            if lock.local.token:
                with suppress(RedisError):  # it ends by itself
                    lock.release()

    def take_checks(self, limit: int) -> tuple[CheckLease, ...]:
        """Takes up to `limit` base images whose check is due; each is nobody else's until the lease runs out."""
        return tuple(_check(row) for row in self._take(limit, ""))

    def take_check(self, image: str) -> CheckLease | CheckPostponed:
        """Takes one base image, due or not.

        Raises:
            BaseImageNotWatched: No app depends on it.
        """
        rows = self._take(1, image)
        if not rows:
            raise _no_dependents(image)
        return (
            _check(rows[0])
            if rows[0][1]
            else CheckPostponed(int(rows[0][2]) / 1000, rows[0][3] == "being checked")
        )

    def record(self, answers: Sequence[CheckResult]) -> list[bool]:
        """Records what came of checks; with a changed content, also the update. Returns for each whether that began."""
        replies = self._scripts.run_each("record_check", map(self._call, answers))
        return [reply == "changed" for reply in replies]

    # -- pauses

    def pause_s(self, registry: str) -> float:
        """For how many seconds a registry wants no requests.

        Args:
            registry: Host, as in canonical references.
        """
        with translated():
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.hget(self._keys.budget(registry), "paused_until")
            pipeline.time()
            paused_until, (seconds, micros) = pipeline.execute()
        now_s: float = seconds + micros / 1e6
        return max(0.0, int(paused_until or 0) / 1000 - now_s)

    def pause(self, registry: str, seconds: float) -> None:
        """Keeps all workers from asking a registry for so long."""
        self._scripts.run("pause", [self._keys.budget(registry)], [int(seconds * 1000)])

    # -- platforms

    def platform_digest(self, digest: str) -> str | None:
        """Digest of the manifest for the platform that is built on, in what has this digest; None if unknown."""
        with translated():
            return cast("str | None", self._redis.hget(self._keys.platforms(), digest))

    def record_platform_digest(self, digest: str, platform_digest: str) -> None:
        """Remembers what never changes."""
        with translated():
            self._redis.hset(self._keys.platforms(), digest, platform_digest)

    # -- reading

    def base_images(self) -> list[BaseImage]:
        """All base images that apps depend on, by name."""
        with translated():
            due = cast(
                "list[tuple[str, float]]",
                self._redis.zrange(self._keys.base_images(), 0, -1, withscores=True),
            )
        return sorted(self._read_records(due), key=lambda image: image.reference)

    def base_image(self, image: str) -> BaseImage:
        """One base image.

        Raises:
            BaseImageNotWatched: No app depends on it.
        """
        with translated():
            due_ms = self._redis.zscore(self._keys.base_images(), image)
        found = self._read_records([(image, due_ms)] if due_ms is not None else [])
        if not found:
            raise _no_dependents(image)
        return found[0]

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
        reply, digest = self._scripts.run(
            "set_updates",
            [*self._keys.of_version(app, 0), self._keys.updates()],
            [app, updates, self._keys.all_versions(), self._keys.late("")],
        )
        if reply == "missing":
            raise AppNotFound(f"There is no app {app}.", app=app)
        if reply == "nothing active":
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

    def _read_records(self, due: Sequence[tuple[str, float]]) -> list[BaseImage]:
        """Those among these base images that apps depend on."""
        with translated():
            pipeline = self._redis.pipeline(transaction=False)
            for image, _ in due:
                pipeline.hgetall(self._keys.base_image(image))
                pipeline.zcard(self._keys.dependents(image))
                pipeline.hmget(self._keys.update(image), _PROGRESS)
            replies = iter(pipeline.execute())
        found = [
            _base_image(image, due_ms, *group)
            for (image, due_ms), group in zip(due, zip(*(replies,) * 3, strict=True), strict=True)
        ]
        return [image for image in found if image.dependents]

    def _index(self, app: str) -> None:
        keys = self._keys
        numbers = cast("list[str | None]", self._redis.hmget(keys.app(app), ["last", "active"]))
        arguments = [app, keys.versions(app), keys.dependents("")]
        for number in dict.fromkeys(filter(None, numbers)):
            name = cast("str | None", self._redis.hget(keys.version(app, int(number)), "base_image"))
            if name:
                arguments += [number, _indexed_under(name, app=app, version=int(number))]
        self._scripts.run("index_app", [keys.app(app), keys.base_images()], arguments)

    def _take(self, limit: int, only: str) -> list[list[str]]:
        keys = self._keys
        prefixes = (
            keys.dependents, keys.base_image, keys.budget, keys.update, keys.handed_out, keys.late, keys.ahead,
        )  # fmt: skip
        rate = self._requests_per_s
        rows: list[list[str]] = self._scripts.run(
            "take_checks",
            [keys.base_images(), keys.updates()],
            [limit, self._lease_ms, rate, max(1, rate * 5), only, *(prefix("") for prefix in prefixes)],
        )
        return rows

    def _call(self, answer: CheckResult) -> tuple[list[str], list[str | int]]:
        """Keys and arguments of the script."""
        keys, image, found = self._keys, answer.check.image, answer.found
        names = [
            keys.base_images(), keys.base_image(image), keys.update(image), keys.updates(),
            keys.handed_out(image), keys.late(image), keys.dependents(image), keys.platforms(),
            keys.budget(image.partition("/")[0]), keys.ahead(image),
        ]  # fmt: skip
        details: list[str | int] = ["", "", "", 0]
        if found:
            details = [found.digest, found.platform_digest or "", found.content, found.requests - 1]
        times = (int(answer.next_check_in_s * 1000), int(answer.pause_s * 1000))
        return names, [image, answer.check.token, times[0], answer.error, times[1], *details]

    def _read(self, way: str, limit: int, apps: str, content: str, after: str) -> _Page:
        keys = self._keys
        last, scores, snapshots = self._scripts.run(
            "read_snapshots",
            [keys.platforms(), apps],
            [
                content, way, limit, after,
                keys.app(""), keys.all_versions(), keys.made(""), keys.unfinished(""),
            ],
        )  # fmt: skip
        return _Page(last, read_snapshots(snapshots), dict(zip(scores[::2], scores[1::2], strict=True)))


def _indexed_under(base_image: str, *, app: str, version: int) -> str:
    """The canonical reference under which a version is indexed; empty when no update can concern it."""
    try:
        reference = ImageReference.parse(base_image)
    except InvalidInput as error:
        logger.warning("version.not_indexed", app=app, version=version, error=str(error))
        return ""
    return "" if reference.pinned else reference.canonical


def _no_dependents(image: str) -> BaseImageNotWatched:
    name = familiar_name(image)
    return BaseImageNotWatched(f"No app depends on {name}.", image=name)


def _check(row: Sequence[str]) -> CheckLease:
    image, token, digest, platform, content, unchanged, errors = row
    return CheckLease(
        image, token, digest or None, platform or None, content or None, int(unchanged), int(errors)
    )


def _base_image(
    image: str, due_ms: float, record: dict[str, str], dependents: int, update: list[str | None]
) -> BaseImage:
    known = {name: record.get(name) for name in ("digest", "platform_digest", "error")}
    progress = {name: it for name, it in zip(_PROGRESS, update, strict=True) if it is not None}
    return BaseImage(
        reference=image,
        dependents=dependents,
        next_check_ms=int(due_ms),
        checked_at_ms=int(record["checked_at"]) if "checked_at" in record else None,
        seen_at_ms=int(record.get("seen_at", 0)),
        changed_at_ms=int(record["changed_at"]) if "changed_at" in record else None,
        unchanged=int(record.get("unchanged", 0)),
        errors=int(record.get("errors", 0)),
        update=UpdateProgress.model_validate(progress) if "number" in progress else None,
        **known,
    )
