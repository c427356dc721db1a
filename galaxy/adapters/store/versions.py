"""The authority on apps and versions: one Redis, one atomic script for each thing that can happen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import uuid4

from galaxy.adapters.store.scripts import RedisScripts, Script, translated
from galaxy.domain.activity import ActivityEntry
from galaxy.domain.diagnosis.fleet import Unfinished
from galaxy.domain.errors import AppNotFound, IdempotencyConflict, StoreError, VersionNotFound
from galaxy.domain.models import Version, VersionRef
from galaxy.domain.reasons import Reason
from galaxy.domain.states import VersionState
from galaxy.domain.work import Activation, Created, Due

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from redis import Redis

    from galaxy.adapters.store.keys import Keys
    from galaxy.adapters.store.scripts import Argument
    from galaxy.domain.models import NewVersion

_OF_APP: Final = ("unfinished", "due", "activity", "ended", "outbox", "outbox_apps")
_CREATE_VERSION: Final = Script(
    "create_version",
    ("app", *_OF_APP, "idempotency", "apps", "base_images"),
    ("app", "version_prefix", "dependents_prefix", "fingerprint", "retention_ms", "due_in_ms", "record"),
)
_CANCEL: Final = Script("cancel", ("version", *_OF_APP), ("call_id", "reason"))
_BEGIN_ROLLOUT: Final = Script("begin_rollout", ("version", *_OF_APP), ("due_in_ms",))
_ACTIVATE: Final = Script("activate", ("version", "app", *_OF_APP), ("app", "version_prefix"))
_TAKE_DUE: Final = Script("take_due", ("due",), ("limit", "again_in_ms", "version_prefix"))
_UNFINISHED: Final = Script("unfinished", ("due",), ("limit", "version_prefix"))
_MARK_ENQUEUED: Final = Script("mark_enqueued", ("version",))

#: Fields of a version's hash that everybody may see. `bundle_url`, `settings` and `env` are not among them.
_PUBLIC: Final = (
    "app", "number", "state", "base_image", "base_digest", "image", "image_digest", "attempt", "step", "steps",
    "failure", "retry_at", "deployed_by", "automatic", "rebuild_of", "created_at", "finished_at",
)  # fmt: skip


class VersionStore:
    """Apps, versions and activity in Redis. The clock is Redis's.

    All methods raise `StoreError` when Redis can't be reached, and `IllegalTransition` when a version is in
    a state that has no such move.

    Args:
        redis: Client with `decode_responses=True`.
        requeue_after_s: How long a version may wait before the reconciler looks at it.
    """

    def __init__(self, redis: Redis, keys: Keys, *, requeue_after_s: float) -> None:
        self._redis = redis
        self._keys = keys
        self._requeue_ms = int(requeue_after_s * 1000)
        self._scripts = RedisScripts(redis)

    # -- making versions, and ending them

    def create_version(
        self, new: NewVersion, *, idempotency_key: str, fingerprint: str, retention_s: int
    ) -> Created:
        """Makes the app's next version, and supersedes older ones that are not built yet.

        Raises:
            IdempotencyConflict: The key was used for other content.
        """
        keys = self._keys
        names = {
            **keys.of_app(new.app),
            "idempotency": keys.idempotency(new.app, idempotency_key),
            "apps": keys.apps(),
            "base_images": keys.base_images(),
        }
        arguments: dict[str, Argument] = {
            "app": new.app,
            "version_prefix": keys.all_versions(),
            "dependents_prefix": keys.dependents(""),
            "fingerprint": fingerprint,
            "retention_ms": retention_s * 1000,
            "due_in_ms": self._requeue_ms,
            "record": _record(new),
        }
        number, outcome, *superseded = self._scripts.run(
            _CREATE_VERSION, _CREATE_VERSION.call(names, arguments)
        )
        if outcome == "conflict":
            raise IdempotencyConflict(
                f"The idempotency key was used before, for version {number} of {new.app} with other content.",
                "Use a new key for a new deploy, or repeat the call with exactly the same content.",
                app=new.app,
                version=number,
            )
        return Created(number, outcome == "repeated", tuple(superseded))

    def cancel(self, ref: VersionRef, reason: Reason) -> VersionState:
        """Ends a version that is not active yet, and returns the state it was in; `cancelled` if it was already.

        Raises:
            IllegalTransition: It is active or final.
        """
        arguments: dict[str, Argument] = {"call_id": uuid4().hex, "reason": reason.model_dump_json()}
        return VersionState(self._scripts.run(_CANCEL, _CANCEL.call(self._keys.of_version(*ref), arguments)))

    # -- rollout

    def begin_rollout(self, ref: VersionRef) -> VersionState:
        """Moves a built version to `rolling_out`; a version that is elsewhere stays. Returns its state now."""
        call = _BEGIN_ROLLOUT.call(self._keys.of_version(*ref), {"due_in_ms": self._requeue_ms})
        return state_of(self._scripts.run(_BEGIN_ROLLOUT, call))

    def activate(self, ref: VersionRef) -> Activation:
        """Makes the version active and retires the previous one, unless a newer one is active already."""
        arguments: dict[str, Argument] = {"app": ref.app, "version_prefix": self._keys.all_versions()}
        call = _ACTIVATE.call(self._keys.of_version(*ref), arguments)
        outcome, number = self._scripts.run(_ACTIVATE, call)
        return Activation(newer=number) if outcome == "superseded" else Activation(previous=number or None)

    # -- what is due

    def take_due(self, limit: int) -> tuple[Due, ...]:
        """Takes up to `limit` versions that are due; each is due again `requeue_after_s` later."""
        arguments: dict[str, Argument] = {
            "limit": limit,
            "again_in_ms": self._requeue_ms,
            "version_prefix": self._keys.all_versions(),
        }
        reply = self._scripts.run(_TAKE_DUE, _TAKE_DUE.call({"due": self._keys.due()}, arguments))
        return tuple(
            Due(
                ref=VersionRef(app, int(number)),
                state=VersionState(state),
                attempt=int(attempt),
                waited_s=int(waited_ms) / 1000,
                automatic=automatic == "1",
                leased=leased == "1",
            )
            for app, number, state, attempt, waited_ms, automatic, leased in zip(
                *(iter(reply),) * 7, strict=True
            )
        )

    def mark_enqueued(self, ref: VersionRef) -> None:
        """Remembers that the version was enqueued just now."""
        self._scripts.run(_MARK_ENQUEUED, _MARK_ENQUEUED.call({"version": self._keys.version(*ref)}))

    def unfinished(self, limit: int) -> tuple[Unfinished, ...]:
        """Versions that are neither active nor final; those that somebody has to look at first come first."""
        arguments: dict[str, Argument] = {"limit": limit, "version_prefix": self._keys.all_versions()}
        reply = self._scripts.run(_UNFINISHED, _UNFINISHED.call({"due": self._keys.due()}, arguments))
        return tuple(_unfinished(row) for row in zip(*(iter(reply),) * 6, strict=True))

    # -- reading

    def apps(self) -> list[str]:
        """All apps by name."""
        with translated():
            return cast("list[str]", self._redis.zrange(self._keys.apps(), 0, -1))

    def active_version(self, app: str) -> int | None:
        """Number of the app's active version."""
        return self._number(app, "active")

    def version(self, ref: VersionRef) -> Version:
        """One version.

        Raises:
            VersionNotFound: There is no such version.
        """
        found = self._versions([ref])
        if not found:
            raise no_such(ref)
        return found[0]

    def versions(self, app: str, limit: int = 50) -> list[Version]:
        """The app's newest versions, newest first.

        Raises:
            AppNotFound: The app was never deployed.
        """
        newest = self._number(app, "last")
        if not newest:
            raise AppNotFound(f"There is no app {app}.", app=app)
        return self._versions([VersionRef(app, n) for n in range(newest, max(0, newest - limit), -1)])

    def activity(self, app: str, limit: int = 50) -> list[ActivityEntry]:
        """What happened to the app lately, oldest first."""
        with translated():
            raw = self._redis.xrevrange(self._keys.activity(app), count=limit)
        entries = cast("list[tuple[str, dict[str, str]]]", raw)
        return [_activity_entry(app, entry_id, fields) for entry_id, fields in reversed(entries)]

    def ping(self) -> None:
        """Raises `StoreError` unless Redis answers."""
        with translated():
            self._redis.ping()

    # -- inside

    def _number(self, app: str, field: str) -> int | None:
        with translated():
            number = self._redis.hget(self._keys.app(app), field)
        return int(cast("str", number)) if number else None

    def _versions(self, refs: Sequence[VersionRef]) -> list[Version]:
        pipeline = self._redis.pipeline(transaction=False)
        for ref in refs:
            pipeline.hmget(self._keys.version(*ref), _PUBLIC)
        with translated():
            rows = cast("list[list[str | None]]", pipeline.execute())
        return [_version(dict(zip(_PUBLIC, row, strict=True))) for row in rows if row[0]]


def state_of(reply: str) -> VersionState:
    """The state in a script's reply.

    Raises:
        StoreError: The script found no record.
    """
    if reply == "missing":
        raise StoreError("The version's record is gone.", "Was the store emptied, or an old backup restored?")
    return VersionState(reply)


def no_such(ref: VersionRef) -> VersionNotFound:
    """The error about a version that does not exist."""
    return VersionNotFound(f"There is no {ref}.", app=ref.app, version=ref.number)


def _record(new: NewVersion) -> dict[str, str]:
    """What a version's hash holds from the beginning."""
    return {
        "bundle_url": new.bundle_url.get_secret_value(),
        "settings": new.settings.get_secret_value(),
        "env": json.dumps({name: value.get_secret_value() for name, value in new.env.items()}),
        "base_image": new.base_image,
        "base_reference": new.base_reference,
        "deployed_by": new.deployed_by,
        "automatic": str(int(new.automatic)),
        "warnings": "\n".join(new.warnings),
    }


def _unfinished(row: tuple[str, ...]) -> Unfinished:
    app, number, state, made, retry, lease = row
    waiting_ms = {VersionState.QUEUED: made, VersionState.RETRYING: retry}.get(VersionState(state), "")
    waiting_s, overdue_s = (max(0, int(ms or 0)) / 1000 for ms in (waiting_ms, lease))
    return Unfinished(VersionRef(app, int(number)), VersionState(state), waiting_s, overdue_s)


def _version(row: Mapping[str, str | None]) -> Version:
    known: dict[str, Any] = {name: value for name, value in row.items() if value is not None}
    for name in ("retry_at", "created_at", "finished_at"):
        if name in known:
            known[f"{name}_ms"] = known.pop(name)
    known["reason"] = Reason.parse(known.pop("failure", ""))
    known["steps"] = json.loads(known.get("steps", "[]"))
    return Version.model_validate(known)


def _activity_entry(app: str, entry_id: str, fields: Mapping[str, str]) -> ActivityEntry:
    return ActivityEntry(
        at_ms=int(entry_id.partition("-")[0]),
        app=app,
        event=fields["event"],
        version=int(fields["version"]),
        by=fields["by"],
        # earlier releases kept a sentence, in `detail`
        reason=Reason.parse(fields.get("reason") or fields.get("detail", "")),
    )
