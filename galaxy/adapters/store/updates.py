"""Updates of base images in the store: which apps are left, what was made, and what may be built now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from galaxy.adapters.store.scripts import RedisScripts, Script, translated
from galaxy.adapters.store.snapshots import read_snapshots
from galaxy.domain.base_images.fan_out import HandOut, Made, NotMade
from galaxy.domain.base_images.updates import AUTOMATIC_BY, Update, UpdateState
from galaxy.domain.models import VersionRef

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis import Redis

    from galaxy.adapters.store.keys import Keys
    from galaxy.adapters.store.scripts import Argument, ScriptCall
    from galaxy.domain.base_images.fan_out import NewVersionCall
    from galaxy.domain.base_images.updates import AppSnapshot

_OF_APP: Final = ("unfinished", "due", "activity", "ended", "outbox", "outbox_apps")
_HAND_OUT: Final = Script(
    "hand_out",
    ("update", "handed_out", "late", "ahead", "updates"),
    ("image", "update", "cursor", "page"),
)
_TAKE_HANDED_OUT: Final = Script("take_handed_out", ("handed_out",), ("after_ms", "limit"))
_TAKE_UPDATES: Final = Script(
    "take_updates",
    ("updates",),
    ("limit", "again_in_ms", "update_prefix", "late_prefix", "handed_out_prefix"),
)
_ADVANCE_UPDATE: Final = Script(
    "advance_update",
    ("update", "updates", "handed_out", "late"),
    ("image", "update", "wave", "state", "next_state", "reason", "next_wave"),
)
_NEW_VERSION: Final = Script(
    "new_version",
    (
        "app", *_OF_APP, "update", "handed_out", "made", "waiting", "admitted", "platforms", "base_images",
    ),
    (
        "app", "update", "source", "seen", "by", "in_flight", "app_prefix", "version_prefix", "made_prefix",
        "unfinished_prefix", "dependents_prefix",
    ),
)  # fmt: skip
_SETTLE_ENDS: Final = Script(
    "settle_ends",
    ("ended", "waiting", "admitted", "updates", "base_images"),
    (
        "limit", "in_flight", "at_least", "app_prefix", "version_prefix", "dependents_prefix",
        "base_image_prefix", "update_prefix", "late_prefix",
    ),
)  # fmt: skip
_ADMIT: Final = Script(
    "admit",
    ("version", *_OF_APP, "waiting", "admitted"),
    ("member", "in_flight", "due_in_ms", "update_prefix"),
)

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
        arguments: dict[str, Argument] = {
            "image": update.image,
            "update": update.number,
            "cursor": update.cursor,
            "page": {
                "apps": [*page.apps],
                "ahead": [*page.ahead],
                "cursor": page.cursor,
                "walked": page.walked,
                "skipped": page.skipped,
                "late": {**page.late},
            },
        }
        handed_out: list[str] = self._scripts.run(
            _HAND_OUT, _HAND_OUT.call(self._names(update.image), arguments)
        )
        return handed_out

    def take_forgotten(self, image: str, *, after_s: float, limit: int) -> list[str]:
        """Apps whose new version was asked for long ago and not made; they count as asked for now."""
        arguments: dict[str, Argument] = {"after_ms": int(after_s * 1000), "limit": limit}
        apps: list[str] = self._scripts.run(
            _TAKE_HANDED_OUT, _TAKE_HANDED_OUT.call(self._names(image), arguments)
        )
        return apps

    def take_updates(self, limit: int, *, again_in_s: float) -> list[tuple[str, int]]:
        """Base images whose update has work left, each with the update's number; due again a little later."""
        keys = self._keys
        arguments: dict[str, Argument] = {
            "limit": limit,
            "again_in_ms": int(again_in_s * 1000),
            "update_prefix": keys.update(""),
            "late_prefix": keys.late(""),
            "handed_out_prefix": keys.handed_out(""),
        }
        flat = self._scripts.run(_TAKE_UPDATES, _TAKE_UPDATES.call({"updates": keys.updates()}, arguments))
        return [(image, int(number)) for image, number in zip(*(iter(flat),) * 2, strict=True)]

    def advance(self, update: Update, to: UpdateState, *, reason: str = "", next_wave: bool = False) -> bool:
        """Ends the wave that an update is in. Returns False if somebody else did, or it is not over after all."""
        arguments: dict[str, Argument] = {
            "image": update.image,
            "update": update.number,
            "wave": update.wave,
            "state": update.state,
            "next_state": to,
            "reason": reason,
            "next_wave": int(next_wave),
        }
        call = _ADVANCE_UPDATE.call(self._names(update.image), arguments)
        return bool(self._scripts.run(_ADVANCE_UPDATE, call))

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
        replies = self._scripts.run_each(
            _NEW_VERSION, (self._new_version(image, number, call) for call in calls)
        )
        return [_outcome(call.app, reply) for call, reply in zip(calls, replies, strict=True)]

    def _new_version(self, image: str, number: int, call: NewVersionCall) -> ScriptCall:
        keys, app = self._keys, call.app
        names = {
            **keys.of_app(app),
            **self._names(image),
            "made": keys.made(app),
            "waiting": keys.waiting(),
            "admitted": keys.admitted(),
            "platforms": keys.platforms(),
            "base_images": keys.base_images(),
        }
        arguments: dict[str, Argument] = {
            "app": app,
            "update": number,
            "source": call.source or "",
            "seen": call.seen,
            "by": AUTOMATIC_BY,
            "in_flight": self._in_flight,
            "app_prefix": keys.app(""),
            "version_prefix": keys.all_versions(),
            "made_prefix": keys.made(""),
            "unfinished_prefix": keys.unfinished(""),
            "dependents_prefix": keys.dependents(""),
        }
        return _NEW_VERSION.call(names, arguments)

    # -- admission

    def settle(self, *, at_least: int = 0) -> list[VersionRef]:
        """Settles builds and versions that have ended; returns the next automatic versions, if a slot is free now.

        Args:
            at_least: So many of them, even if there are fewer slots: some may be outdated.
        """
        keys = self._keys
        names = {
            "ended": keys.ended(),
            "waiting": keys.waiting(),
            "admitted": keys.admitted(),
            "updates": keys.updates(),
            "base_images": keys.base_images(),
        }
        arguments: dict[str, Argument] = {
            "limit": _SETTLED_AT_ONCE,
            "in_flight": self._in_flight,
            "at_least": at_least,
            "app_prefix": keys.app(""),
            "version_prefix": keys.all_versions(),
            "dependents_prefix": keys.dependents(""),
            "base_image_prefix": keys.base_image(""),
            "update_prefix": keys.update(""),
            "late_prefix": keys.late(""),
        }
        call = _SETTLE_ENDS.call(names, arguments)
        while True:
            settled, *members = self._scripts.run(_SETTLE_ENDS, call)
            if settled < _SETTLED_AT_ONCE:
                pairs = (str(member).split(" ") for member in members)
                return [VersionRef(app, int(number)) for app, number in pairs]

    def admit(self, refs: Sequence[VersionRef]) -> list[str]:
        """Lets waiting versions into the queue: for each `admitted`, or why not: `full`, `superseded` or `gone`."""
        return self._scripts.run_each(_ADMIT, (self._admission(ref) for ref in refs))

    # -- inside

    def _admission(self, ref: VersionRef) -> ScriptCall:
        keys = self._keys
        names = {**keys.of_version(*ref), "waiting": keys.waiting(), "admitted": keys.admitted()}
        arguments: dict[str, Argument] = {
            "member": f"{ref.app} {ref.number}",
            "in_flight": self._in_flight,
            "due_in_ms": self._requeue_ms,
            "update_prefix": keys.update(""),
        }
        return _ADMIT.call(names, arguments)

    def _names(self, image: str) -> dict[str, str]:
        """The keys of a base image's update."""
        keys = self._keys
        return {
            "update": keys.update(image),
            "handed_out": keys.handed_out(image),
            "late": keys.late(image),
            "ahead": keys.ahead(image),
            "updates": keys.updates(),
        }


def _outcome(app: str, reply: Sequence[Any]) -> Made | NotMade | AppSnapshot:
    """What `new_version.lua` answered."""
    outcome, *rest = reply
    if outcome == "changed":
        return read_snapshots(rest)[0]
    if outcome == "made":
        version, digest, left, free, *superseded = rest
        return Made(VersionRef(app, version), digest, left, free, tuple(superseded))
    return NotMade(rest[0])
