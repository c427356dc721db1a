"""Updates of base images in the store: which apps are left, what was made, and what may be built now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from galaxy.adapters.store.scripts import RedisScripts, translated
from galaxy.adapters.store.snapshots import read_snapshots
from galaxy.domain.base_images.fan_out import HandOut, Made, NotMade
from galaxy.domain.base_images.updates import AUTOMATIC_BY, Update, UpdateState
from galaxy.domain.models import VersionRef

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis import Redis

    from galaxy.adapters.store.keys import Keys
    from galaxy.domain.base_images.fan_out import NewVersionCall
    from galaxy.domain.base_images.updates import AppSnapshot

#: How many ends of builds and versions one script settles: well below a millisecond.
_SETTLED_AT_ONCE: Final = 15


class UpdateStore:
    """Updates in Redis. All methods raise `StoreError` when Redis can't be reached.

    Args:
        redis: Client with `decode_responses=True`; the store's.
        in_flight: How many automatic versions may be in the queue or built at a time.
        requeue_after_s: How long an admitted version may wait before the reconciler looks at it.
    """

    def __init__(self, redis: Redis, keys: Keys, *, in_flight: int, requeue_after_s: float) -> None:
        self._redis = redis
        self._keys = keys
        self._in_flight = in_flight
        self._requeue_ms = int(requeue_after_s * 1000)
        self._scripts = RedisScripts(redis)

    # -- the walk

    def update(self, image: str) -> Update | None:
        """The newest update of a base image; None if it was never checked."""
        keys = self._keys
        with translated():
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.hgetall(keys.update(image))
            pipeline.zcard(keys.handed_out(image))
            pipeline.zcard(keys.late(image))
            pipeline.hget(keys.base_image(image), "seen_at")
            record, handed_out, late, seen_at = pipeline.execute()
        if not record:
            return None
        known = {("started_at_ms" if name == "started_at" else name): it for name, it in record.items()}
        more = {"image": image, "handed_out": handed_out, "late": late, "seen_at_ms": seen_at or 0}
        return Update.model_validate({**known, **more})

    def hand_out(self, update: Update, page: HandOut) -> list[str]:
        """Records which apps get a new version; returns those that nobody else had handed out.

        Args:
            update: As it was when the page was read.
            page: What was decided about it.
        """
        keys, image = self._keys, update.image
        head: list[str | int] = [
            update.number,
            update.cursor,
            page.cursor,
            int(page.walked),
            page.skipped,
            image,
        ]
        scores = [part for pair in page.late.items() for part in pair]
        handed_out: list[str] = self._scripts.run(
            "hand_out",
            [keys.update(image), keys.handed_out(image), keys.late(image), keys.ahead(image), keys.updates()],
            [*head, len(page.apps), len(page.ahead), *page.apps, *page.ahead, *scores],
        )
        return handed_out

    def take_forgotten(self, image: str, *, after_s: float, limit: int) -> list[str]:
        """Apps whose new version was asked for long ago and not made; they count as asked for now."""
        apps: list[str] = self._scripts.run(
            "take_handed_out", [self._keys.handed_out(image)], [int(after_s * 1000), limit]
        )
        return apps

    def take_updates(self, limit: int, *, again_in_s: float) -> list[tuple[str, int]]:
        """Base images whose update has work left, each with the update's number; due again a little later."""
        keys = self._keys
        prefixes = (keys.update(""), keys.late(""), keys.handed_out(""))
        flat = self._scripts.run("take_updates", [keys.updates()], [limit, int(again_in_s * 1000), *prefixes])
        return [(image, int(number)) for image, number in zip(*(iter(flat),) * 2, strict=True)]

    def advance(self, update: Update, to: UpdateState, *, reason: str = "", next_wave: bool = False) -> bool:
        """Ends the wave that an update is in. Returns False if somebody else did, or it is not over after all."""
        keys, image = self._keys, update.image
        names = [keys.update(image), keys.updates(), keys.handed_out(image), keys.late(image)]
        where = (update.number, update.wave, update.state)
        arguments = (*where, to, reason, image, int(next_wave))
        return bool(self._scripts.run("advance_update", names, arguments))

    # -- new versions

    def new_versions(
        self, image: str, number: int, calls: Sequence[NewVersionCall]
    ) -> list[Made | NotMade | AppSnapshot]:
        """Makes the versions that apps were handed out for, each once, unless its app has changed since.

        Args:
            image: The base image.
            number: The update's.
            calls: For each app, what was decided, and by which `AppSnapshot.seen`.

        Returns:
            For each call what came of it: where the app stands, if it has to be decided about again.
        """
        replies = self._scripts.run_each("new_version", (self._call(image, number, call) for call in calls))
        return [_outcome(call.app, reply) for call, reply in zip(calls, replies, strict=True)]

    def _call(self, image: str, number: int, call: NewVersionCall) -> tuple[list[str], list[str | int]]:
        """Keys and arguments of the script."""
        keys, app = self._keys, call.app
        more = [
            keys.update(image), keys.handed_out(image), keys.made(app), keys.waiting(), keys.admitted(),
            keys.platforms(), keys.base_images(),
        ]  # fmt: skip
        prefixes = (
            keys.app(""), keys.all_versions(), keys.made(""), keys.unfinished(""), keys.dependents(""),
        )  # fmt: skip
        arguments = [app, number, call.source or "", call.seen, AUTOMATIC_BY, self._in_flight, *prefixes]
        return [*keys.of_version(app, 0), *more], arguments

    # -- admission

    def settle(self, *, at_least: int = 0) -> list[VersionRef]:
        """Settles builds and versions that have ended; returns the next automatic versions, if a slot is free now.

        Args:
            at_least: So many of them, even if there are fewer slots: some may be outdated.
        """
        keys = self._keys
        prefixes = (
            keys.app(""), keys.all_versions(), keys.dependents(""), keys.base_image(""), keys.update(""),
            keys.late(""),
        )  # fmt: skip
        while True:
            settled, *members = self._scripts.run(
                "settle_ends",
                [keys.ended(), keys.waiting(), keys.admitted(), keys.updates(), keys.base_images()],
                [_SETTLED_AT_ONCE, self._in_flight, *prefixes, at_least],
            )
            if settled < _SETTLED_AT_ONCE:
                pairs = (str(member).split(" ") for member in members)
                return [VersionRef(app, int(number)) for app, number in pairs]

    def admit(self, refs: Sequence[VersionRef]) -> list[str]:
        """Lets waiting versions into the queue: for each `admitted`, or why not: `full`, `superseded` or `gone`."""
        keys = self._keys
        rest: list[str | int] = [self._in_flight, self._requeue_ms, keys.update("")]
        calls = (
            ([*keys.of_version(*ref), keys.waiting(), keys.admitted()], [f"{ref.app} {ref.number}", *rest])
            for ref in refs
        )
        return self._scripts.run_each("admit", calls)


def _outcome(app: str, reply: Sequence[Any]) -> Made | NotMade | AppSnapshot:
    """What `new_version.lua` answered."""
    outcome, *rest = reply
    if outcome == "changed":
        return read_snapshots(rest)[0]
    if outcome == "made":
        version, digest, left, free, *superseded = rest
        return Made(VersionRef(app, version), digest, left, free, tuple(superseded))
    return NotMade(rest[0])
