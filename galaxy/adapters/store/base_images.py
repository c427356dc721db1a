"""Base images in the store: what their registries said, when they are asked again, and who depends on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import structlog

from galaxy.adapters.store.leader import only_poller
from galaxy.adapters.store.scripts import RedisScripts, Script, translated
from galaxy.domain.base_images.base_image import BaseImage, UpdateProgress
from galaxy.domain.base_images.checks import CheckLease, CheckPostponed, CheckResult
from galaxy.domain.base_images.image_reference import familiar_name
from galaxy.domain.errors import BaseImageNotWatched
from galaxy.domain.reasons import cut

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from redis import Redis

    from galaxy.adapters.store.keys import Keys
    from galaxy.adapters.store.scripts import Argument, ScriptCall

logger = structlog.get_logger(__name__)

_TAKE_CHECKS: Final = Script(
    "take_checks",
    ("base_images", "updates"),
    (
        "limit", "lease_ms", "rate", "burst", "only", "dependents_prefix", "base_image_prefix",
        "budget_prefix", "update_prefix", "handed_out_prefix", "late_prefix", "ahead_prefix",
    ),
)  # fmt: skip
_RECORD_CHECK: Final = Script(
    "record_check",
    (
        "base_images", "base_image", "update", "updates", "handed_out", "late", "dependents", "platforms",
        "budget", "ahead",
    ),
    (
        "image", "token", "next_check_in_ms", "pause_ms", "error_text", "digest", "platform_digest", "content",
        "more_requests",
    ),
)  # fmt: skip
_PAUSE: Final = Script("pause", ("budget",), ("pause_ms",))
_PROGRESS = ("number", "state", "wave", "dependents", "created", "built", "failed", "reason")


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

    def only_poller(self, lock_s: float) -> AbstractContextManager[Callable[[], bool]]:
        """Keeps other pollers away; see `galaxy.adapters.store.leader.only_poller`."""
        return only_poller(self._redis, self._keys, lock_s=lock_s)

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
            else CheckPostponed(int(rows[0][2]) / 1000, rows[0][3] == "being_checked")
        )

    def record(self, answers: Sequence[CheckResult]) -> list[bool]:
        """Records what came of checks; with a changed content, also the update. Returns for each whether that began."""
        replies = self._scripts.run_each(_RECORD_CHECK, map(self._record_check, answers))
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
        names = {"budget": self._keys.budget(registry)}
        self._scripts.run(_PAUSE, _PAUSE.call(names, {"pause_ms": int(seconds * 1000)}))

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

    def _take(self, limit: int, only: str) -> list[list[str]]:
        keys, rate = self._keys, self._requests_per_s
        arguments: dict[str, Argument] = {
            "limit": limit,
            "lease_ms": self._lease_ms,
            "rate": rate,
            "burst": max(1, rate * 5),
            "only": only,
            "dependents_prefix": keys.dependents(""),
            "base_image_prefix": keys.base_image(""),
            "budget_prefix": keys.budget(""),
            "update_prefix": keys.update(""),
            "handed_out_prefix": keys.handed_out(""),
            "late_prefix": keys.late(""),
            "ahead_prefix": keys.ahead(""),
        }
        names = {"base_images": keys.base_images(), "updates": keys.updates()}
        rows: list[list[str]] = self._scripts.run(_TAKE_CHECKS, _TAKE_CHECKS.call(names, arguments))
        return rows

    def _record_check(self, answer: CheckResult) -> ScriptCall:
        keys, image, found = self._keys, answer.check.image, answer.found
        names = {
            "base_images": keys.base_images(),
            "base_image": keys.base_image(image),
            "update": keys.update(image),
            "updates": keys.updates(),
            "handed_out": keys.handed_out(image),
            "late": keys.late(image),
            "dependents": keys.dependents(image),
            "platforms": keys.platforms(),
            "budget": keys.budget(image.partition("/")[0]),
            "ahead": keys.ahead(image),
        }
        arguments: dict[str, Argument] = {
            "image": image,
            "token": answer.check.token,
            "next_check_in_ms": int(answer.next_check_in_s * 1000),
            "pause_ms": int(answer.pause_s * 1000),
            "error_text": cut(answer.error),
            "digest": found.digest if found else "",
            "platform_digest": (found.platform_digest if found else None) or "",
            "content": found.content if found else "",
            "more_requests": found.requests - 1 if found else 0,
        }
        return _RECORD_CHECK.call(names, arguments)


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
