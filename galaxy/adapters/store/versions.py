"""The authority on apps and versions: one Redis, one atomic script for each thing that can happen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import uuid4

from pydantic import SecretStr

from galaxy.adapters.store.scripts import RedisScripts, translated
from galaxy.domain.activity import ActivityEntry
from galaxy.domain.announcement import Announcement
from galaxy.domain.diagnosis.fleet import Unfinished
from galaxy.domain.errors import AppNotFound, IdempotencyConflict, StoreError, VersionNotFound
from galaxy.domain.heartbeats import Heartbeat
from galaxy.domain.models import (
    MAX_ATTEMPTS,
    Attempt,
    BuiltImage,
    Failure,
    LeaseState,
    NewVersion,
    NotClaimed,
    StepTiming,
    Version,
    VersionRef,
)
from galaxy.domain.states import Step, VersionState
from galaxy.domain.work import Activation, Created, Due

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from redis import Redis

    from galaxy.adapters.store.keys import Keys

#: Fields of a version's hash that everybody may see. `bundle_url`, `settings` and `env` are not among them.
_PUBLIC: Final = (
    "app", "number", "state", "base_image", "base_digest", "image", "image_digest", "attempt", "step", "steps",
    "failure", "retry_at", "deployed_by", "automatic", "rebuild_of", "created_at", "finished_at",
)  # fmt: skip

#: Our own countdown message gets this much time before the reconciler sends another hint.
_HINT_GRACE_MS: Final = 2_000

#: A worker that has not been seen for so long is gone for good; containers get new names with each update.
_HEARTBEAT_REMEMBERED_MS: Final = 24 * 3600 * 1000


class VersionStore:
    """Apps, versions, leases and activity in Redis. The clock is Redis's.

    All methods raise `StoreError` when Redis can't be reached, and `IllegalTransition` when a version is in
    a state that has no such move.

    Args:
        redis: Client with `decode_responses=True`.
        requeue_after_s: How long a version may wait before the reconciler looks at it.
    """

    def __init__(self, redis: Redis, keys: Keys, *, lease_s: float, requeue_after_s: float) -> None:
        self._redis = redis
        self._keys = keys
        self._lease_ms = int(lease_s * 1000)
        self._requeue_ms = int(requeue_after_s * 1000)
        self._scripts = RedisScripts(redis)

    # -- making versions

    def create_version(
        self, new: NewVersion, *, idempotency_key: str, fingerprint: str, retention_s: int
    ) -> Created:
        """Makes the app's next version, and supersedes older ones that are not built yet.

        Raises:
            IdempotencyConflict: The key was used for other content.
        """
        record: dict[str, str | int] = {
            "bundle_url": new.bundle_url.get_secret_value(),
            "settings": new.settings.get_secret_value(),
            "env": json.dumps({name: value.get_secret_value() for name, value in new.env.items()}),
            "base_image": new.base_image,
            "base_reference": new.base_reference,
            "deployed_by": new.deployed_by,
            "automatic": int(new.automatic),
            "warnings": "\n".join(new.warnings),
        }
        number, outcome, *superseded = self._run(
            "create_version",
            VersionRef(new.app, 0),
            *(new.app, self._keys.versions(new.app), fingerprint, retention_s * 1000, self._requeue_ms),
            self._keys.dependents(""),
            *_flat(record),
            more_keys=(
                self._keys.idempotency(new.app, idempotency_key),
                self._keys.apps(),
                self._keys.base_images(),
            ),
        )
        if outcome == "conflict":
            raise IdempotencyConflict(
                f"The idempotency key was used before, for version {number} of {new.app} with other content.",
                "Use a new key for a new deploy, or repeat the call with exactly the same content.",
                app=new.app,
                version=number,
            )
        return Created(number, outcome == "repeated", tuple(superseded))

    # -- attempts

    def claim(self, ref: VersionRef, request_id: str = "") -> Attempt | NotClaimed:
        """Begins the version's next attempt: counts it and takes the lease, or says why not.

        Args:
            ref: Names the version.
            request_id: While the attempt holds its lease, whoever asks with the same one gets the same answer. By
                default a new one.

        Raises:
            VersionNotFound: There is no such version.
        """
        reply = self._run("claim", ref, _member(ref), self._lease_ms, request_id or uuid4().hex, MAX_ATTEMPTS)
        if reply[0] == "missing":
            raise _no_such(ref)
        if reply[0] != "claimed":
            return NotClaimed(reply[0])
        _, number, token, base_image, bundle_url, env, wanted_digest, automatic = reply
        return Attempt(
            app=ref.app,
            version=ref.number,
            number=number,
            token=token,
            base_image=base_image,
            bundle_url=SecretStr(bundle_url),
            env={name: SecretStr(value) for name, value in json.loads(env or "{}").items()},
            wanted_digest=wanted_digest or None,
            automatic=automatic == "1",
        )

    def renew(self, attempt: Attempt) -> VersionState | None:
        """Renews the lease. Returns None, or the state that the attempt lost its lease to."""
        return _lost(self._run("renew", attempt.ref, _member(attempt.ref), attempt.token, self._lease_ms))

    def record_progress(
        self, attempt: Attempt, *, step: Step, base_digest: str | None = None
    ) -> VersionState | None:
        """Records the step that runs now, and what the base image was found to be.

        Returns None, or the state that the lease was lost to.
        """
        keys = self._keys
        arguments = (attempt.token, step, base_digest or "", keys.base_image(""))
        more_keys = (keys.base_images(),)
        return _lost(self._run("record_progress", attempt.ref, *arguments, more_keys=more_keys))

    def finish(self, attempt: Attempt, built: BuiltImage, steps: Sequence[StepTiming]) -> VersionState | None:
        """Makes the version `built`. Returns None, or the state that the lease was lost to."""
        fields = built.model_dump() | {"steps": _dump(steps)}
        head = (_member(attempt.ref), attempt.token, self._requeue_ms)
        return _lost(self._run("finish_attempt", attempt.ref, *head, *_flat(fields)))

    def fail(
        self, attempt: Attempt, reason: str, *, retry_in_s: float, steps: Sequence[StepTiming]
    ) -> Failure | VersionState:
        """Ends a failed attempt. Returns what comes next, or the state that the lease was lost to."""
        arguments = (
            _member(attempt.ref), attempt.token, reason, MAX_ATTEMPTS, int(retry_in_s * 1000), _HINT_GRACE_MS,
            _dump(steps),
        )  # fmt: skip
        reply = self._run("fail_attempt", attempt.ref, *arguments)
        return _state(reply[1]) if reply[0] == "lost" else _failure(reply)

    def end_lost(self, ref: VersionRef, reason: str) -> Failure | None:
        """Ends an attempt whose lease ran out. Returns what comes next; None when there is nothing to end."""
        arguments = (_member(ref), reason, MAX_ATTEMPTS, _HINT_GRACE_MS, uuid4().hex)
        reply = self._run("end_lost_attempt", ref, *arguments)
        return None if reply[0] == "live" else _failure(reply)

    def hand_back(self, attempt: Attempt) -> VersionState | None:
        """Gives an attempt back unused: the version is queued again. Returns as `renew`."""
        return _lost(self._run("hand_back", attempt.ref, _member(attempt.ref), attempt.token))

    def cancel(self, ref: VersionRef, reason: str) -> VersionState:
        """Ends a version that is not active yet, and returns the state it was in; `cancelled` if it was already.

        Raises:
            IllegalTransition: It is active or final.
        """
        return VersionState(self._run("cancel", ref, _member(ref), reason, uuid4().hex))

    def lease_state(self, ref: VersionRef, token: int) -> LeaseState:
        """What became of the claim with this token."""
        with translated():
            state, current = cast(
                "list[str | None]", self._redis.hmget(self._keys.version(*ref), ["state", "token"])
            )
        if state is None or token > int(current or 0):
            return LeaseState.UNKNOWN
        holds = state == VersionState.BUILDING and current == str(token)
        return LeaseState.HELD if holds else LeaseState.ENDED

    # -- rollout

    def begin_rollout(self, ref: VersionRef) -> VersionState:
        """Moves a built version to `rolling_out`; a version that is elsewhere stays. Returns its state now."""
        return _state(self._run("begin_rollout", ref, _member(ref), self._requeue_ms))

    def activate(self, ref: VersionRef) -> Activation:
        """Makes the version active and retires the previous one, unless a newer one is active already."""
        outcome, number = self._run("activate", ref, _member(ref), self._keys.versions(ref.app))
        return Activation(newer=number) if outcome == "superseded" else Activation(previous=number or None)

    # -- what is due

    def take_due(self, limit: int) -> tuple[Due, ...]:
        """Takes up to `limit` versions that are due; each is due again `requeue_after_s` later."""
        arguments = (limit, self._requeue_ms, self._keys.all_versions())
        reply = self._scripts.run("take_due", [self._keys.due()], arguments)
        groups = zip(*(iter(reply),) * 6, strict=True)
        return tuple(
            Due(
                ref=VersionRef(app, int(number)),
                state=VersionState(state),
                attempt=int(attempt),
                waited_s=int(waited_ms) / 1000,
                automatic=automatic == "1",
            )
            for app, number, state, attempt, waited_ms, automatic in groups
        )

    def mark_enqueued(self, ref: VersionRef) -> None:
        """Remembers that the version was enqueued just now."""
        self._run("mark_enqueued", ref)

    # -- signs of life

    def record_heartbeat(self, name: str) -> None:
        """Remembers that something periodic did its work just now; `galaxy/domain/heartbeats.py` has the names."""
        self._scripts.run("record_heartbeat", [self._keys.heartbeats()], (name, _HEARTBEAT_REMEMBERED_MS))

    def forget_heartbeat(self, name: str) -> None:
        """Something periodic has ended as it should: nobody has to miss it."""
        with translated():
            self._redis.hdel(self._keys.heartbeats(), name)

    def heartbeats(self) -> dict[str, Heartbeat]:
        """When everything periodic last did its work; what has not done so for a day is not among it."""
        reply = self._scripts.run("read_heartbeats", [self._keys.heartbeats()], ())
        return {
            name: Heartbeat(int(at_ms), int(age_ms) / 1000)
            for name, at_ms, age_ms in zip(*(iter(reply),) * 3, strict=True)
        }

    # -- what the logs have to tell

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
            app: [Announcement.model_validate({"id": entry_id, **fields}) for entry_id, fields in entries]
            for app, entries in zip(apps, replies, strict=True)
        }

    def mark_announced(self, told: Iterable[Announcement]) -> None:
        """Forgets announcements that the apps' logs have now."""
        ids: dict[str, list[str]] = {}
        for each in told:
            ids.setdefault(each.app, []).append(each.id)
        calls = [
            ([self._keys.outbox(app), self._keys.outbox_apps()], [app, *of_app])
            for app, of_app in ids.items()
        ]
        self._scripts.run_each("mark_announced", calls)

    def unfinished(self, limit: int) -> tuple[Unfinished, ...]:
        """Versions that are neither active nor final; those that somebody has to look at first come first."""
        reply = self._scripts.run("unfinished", [self._keys.due()], (limit, self._keys.all_versions()))
        return tuple(
            Unfinished(
                VersionRef(app, int(number)), VersionState(state), int(waiting) / 1000, int(over) / 1000
            )
            for app, number, state, waiting, over in zip(*(iter(reply),) * 5, strict=True)
        )

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
            raise _no_such(ref)
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
        return [
            ActivityEntry(at_ms=int(entry_id.split("-")[0]), app=app, **fields)
            for entry_id, fields in reversed(entries)
        ]

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

    def _run(self, name: str, ref: VersionRef, *arguments: str | float, more_keys: Iterable[str] = ()) -> Any:  # noqa: ANN401 - see RedisScripts.run
        return self._scripts.run(name, [*self._keys.of_version(*ref), *more_keys], arguments)


def _member(ref: VersionRef) -> str:
    return f"{ref.app} {ref.number}"


def _flat(fields: Mapping[str, str | float]) -> tuple[str | float, ...]:
    return tuple(part for pair in fields.items() for part in pair)


def _lost(reply: str) -> VersionState | None:
    return _state(reply) if reply else None


def _state(reply: str) -> VersionState:
    if reply == "missing":
        raise StoreError("The version's record is gone.", "Was the store emptied, or an old backup restored?")
    return VersionState(reply)


def _failure(reply: tuple[str, int, int]) -> Failure:
    state, attempt, retry_in_ms = reply
    again = state == VersionState.RETRYING
    return Failure(
        state=VersionState(state), attempt=attempt, retry_in_s=retry_in_ms / 1000 if again else None
    )


def _dump(steps: Sequence[StepTiming]) -> str:
    return json.dumps([step.model_dump() for step in steps])


def _version(row: dict[str, str | None]) -> Version:
    known = {name: value for name, value in row.items() if value is not None}
    renamed = {
        f"{name}_ms": known.pop(name) for name in ("retry_at", "created_at", "finished_at") if name in known
    }
    return Version.model_validate(known | renamed | {"steps": json.loads(known.get("steps", "[]"))})


def _no_such(ref: VersionRef) -> VersionNotFound:
    return VersionNotFound(f"There is no {ref}.", app=ref.app, version=ref.number)
