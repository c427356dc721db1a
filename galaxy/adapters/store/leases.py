"""Work on versions: attempts, and the leases that give one worker the right to make them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import uuid4

from pydantic import SecretStr

from galaxy.adapters.store.scripts import RedisScripts, Script, translated
from galaxy.adapters.store.versions import no_such, state_of
from galaxy.domain.models import MAX_ATTEMPTS, Attempt, Failure, LeaseState, NotClaimed
from galaxy.domain.states import VersionState
from galaxy.domain.work import WORK, WorkKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis import Redis

    from galaxy.adapters.store.keys import Keys
    from galaxy.adapters.store.scripts import Argument
    from galaxy.domain.models import BuiltImage, StepTiming, VersionRef
    from galaxy.domain.reasons import Reason
    from galaxy.domain.states import Step

_MOVING: Final = ("version", "unfinished", "due", "activity", "ended", "outbox", "outbox_apps")
_CLAIM: Final = Script("claim", _MOVING, ("request_id", "lease_ms", "max_attempts", "work", "wanted"))
_RENEW: Final = Script("renew", ("version", "due"), ("token", "lease_ms", "work"))
_RECORD_PROGRESS: Final = Script(
    "record_progress",
    ("version", "base_images"),
    ("token", "work", "step", "base_digest", "base_image_prefix"),
)
_FINISH_ATTEMPT: Final = Script("finish_attempt", _MOVING, ("token", "work", "due_in_ms", "result"))
_FAIL_ATTEMPT: Final = Script(
    "fail_attempt",
    _MOVING,
    ("token", "work", "max_attempts", "reason", "retry_in_ms", "grace_ms", "steps"),
)
_END_LOST_ATTEMPT: Final = Script(
    "end_lost_attempt", _MOVING, ("call_id", "work", "max_attempts", "reason", "grace_ms")
)
_HAND_BACK: Final = Script("hand_back", _MOVING, ("token", "work"))

#: Fields of a version's record that a build needs.
_OF_BUILD: Final = ("base_image", "bundle_url", "env", "wanted_digest", "automatic")

#: Our own countdown message gets this much time before the reconciler sends another hint.
_HINT_GRACE_MS: Final = 2_000


class LeaseStore:
    """Leases in Redis. The clock is Redis's.

    All methods raise `StoreError` when Redis can't be reached.

    Args:
        redis: Client with `decode_responses=True`; the store's.
        lease_s: How long a lease lasts without `renew`.
        requeue_after_s: How long a version may wait for what follows before the reconciler looks at it.
    """

    def __init__(self, redis: Redis, keys: Keys, *, lease_s: float, requeue_after_s: float) -> None:
        self._redis = redis
        self._keys = keys
        self._lease_ms = int(lease_s * 1000)
        self._requeue_ms = int(requeue_after_s * 1000)
        self._scripts = RedisScripts(redis)

    def claim(self, ref: VersionRef, request_id: str = "") -> Attempt | NotClaimed:
        """Begins the next attempt to build the version: counts it and takes the lease, or says why not.

        Args:
            ref: Names the version.
            request_id: While the attempt holds its lease, whoever asks with the same one gets the same answer. By
                default a new one.

        Raises:
            NotFound: There is no such version.
        """
        arguments: dict[str, Argument] = {
            "request_id": request_id or uuid4().hex,
            "lease_ms": self._lease_ms,
            "max_attempts": MAX_ATTEMPTS,
            "work": _rules(WorkKind.BUILD),
            "wanted": [*_OF_BUILD],
        }
        reply = self._scripts.run(_CLAIM, _CLAIM.call(self._names(ref), arguments))
        if reply[0] == "missing":
            raise no_such(ref)
        if reply[0] != "claimed":
            return NotClaimed(reply[0])
        _, number, token, *values = reply
        return _attempt(ref, number, token, dict(zip(_OF_BUILD, values, strict=True)))

    def renew(self, attempt: Attempt) -> VersionState | None:
        """Renews the lease. Returns None, or the state that the attempt lost its lease to."""
        arguments: dict[str, Argument] = {**_held(attempt), "lease_ms": self._lease_ms}
        return _lost(self._scripts.run(_RENEW, _RENEW.call(self._names(attempt.ref), arguments)))

    def record_progress(
        self, attempt: Attempt, *, step: Step, base_digest: str | None = None
    ) -> VersionState | None:
        """Records the step that runs now, and what the base image was found to be.

        Returns None, or the state that the lease was lost to.
        """
        keys = self._keys
        arguments: dict[str, Argument] = {
            **_held(attempt),
            "step": step,
            "base_digest": base_digest or "",
            "base_image_prefix": keys.base_image(""),
        }
        names = {"version": keys.version(*attempt.ref), "base_images": keys.base_images()}
        return _lost(self._scripts.run(_RECORD_PROGRESS, _RECORD_PROGRESS.call(names, arguments)))

    def finish(self, attempt: Attempt, built: BuiltImage, steps: Sequence[StepTiming]) -> VersionState | None:
        """Makes the version `built`. Returns None, or the state that the lease was lost to."""
        arguments: dict[str, Argument] = {
            **_held(attempt),
            "due_in_ms": self._requeue_ms,
            "result": built.model_dump() | {"steps": _dump(steps)},
        }
        call = _FINISH_ATTEMPT.call(self._names(attempt.ref), arguments)
        return _lost(self._scripts.run(_FINISH_ATTEMPT, call))

    def fail(
        self, attempt: Attempt, reason: Reason, *, retry_in_s: float, steps: Sequence[StepTiming]
    ) -> Failure | VersionState:
        """Ends a failed attempt. Returns what comes next, or the state that the lease was lost to."""
        arguments: dict[str, Argument] = {
            **_held(attempt),
            "max_attempts": MAX_ATTEMPTS,
            "reason": reason.model_dump_json(),
            "retry_in_ms": int(retry_in_s * 1000),
            "grace_ms": _HINT_GRACE_MS,
            "steps": _dump(steps),
        }
        reply = self._scripts.run(_FAIL_ATTEMPT, _FAIL_ATTEMPT.call(self._names(attempt.ref), arguments))
        return state_of(reply[1]) if reply[0] == "lost" else _failure(reply, WORK[attempt.kind].retrying)

    def end_lost(self, ref: VersionRef, reason: Reason, kind: WorkKind = WorkKind.BUILD) -> Failure | None:
        """Ends an attempt whose lease ran out. Returns what comes next; None when there is nothing to end."""
        arguments: dict[str, Argument] = {
            "call_id": uuid4().hex,
            "work": _rules(kind),
            "max_attempts": MAX_ATTEMPTS,
            "reason": reason.model_dump_json(),
            "grace_ms": _HINT_GRACE_MS,
        }
        reply = self._scripts.run(_END_LOST_ATTEMPT, _END_LOST_ATTEMPT.call(self._names(ref), arguments))
        return None if reply[0] == "live" else _failure(reply, WORK[kind].retrying)

    def hand_back(self, attempt: Attempt) -> VersionState | None:
        """Gives an attempt back unused: the version waits again as before it. Returns as `renew`."""
        call = _HAND_BACK.call(self._names(attempt.ref), _held(attempt))
        return _lost(self._scripts.run(_HAND_BACK, call))

    def lease_state(self, ref: VersionRef, token: int, kind: WorkKind = WorkKind.BUILD) -> LeaseState:
        """What became of the lease of this kind of work with this token."""
        fields = ["state", "token", "lease_until"]
        with translated():
            state, current, lease_until = cast(
                "list[str | None]", self._redis.hmget(self._keys.version(*ref), fields)
            )
        if state is None or token > int(current or 0):
            return LeaseState.UNKNOWN
        holds = state == WORK[kind].state and lease_until is not None and current == str(token)
        return LeaseState.HELD if holds else LeaseState.ENDED

    def _names(self, ref: VersionRef) -> dict[str, str]:
        return self._keys.of_version(*ref)


def _rules(kind: WorkKind) -> dict[str, Any]:
    """`WorkRules` as scripts get them."""
    return WORK[kind]._asdict()


def _held(attempt: Attempt) -> dict[str, Any]:
    """What proves that the caller holds the lease."""
    return {"token": attempt.token, "work": _rules(attempt.kind)}


def _attempt(ref: VersionRef, number: int, token: int, record: dict[str, str | None]) -> Attempt:
    return Attempt(
        app=ref.app,
        version=ref.number,
        number=number,
        token=token,
        base_image=record["base_image"] or "",
        bundle_url=SecretStr(record["bundle_url"] or ""),
        env={name: SecretStr(value) for name, value in json.loads(record["env"] or "{}").items()},
        wanted_digest=record["wanted_digest"] or None,
        automatic=record["automatic"] == "1",
    )


def _lost(reply: str) -> VersionState | None:
    return state_of(reply) if reply else None


def _failure(reply: tuple[str, int, int], retrying: VersionState) -> Failure:
    state, attempt, retry_in_ms = reply
    return Failure(
        state=VersionState(state),
        attempt=attempt,
        retry_in_s=retry_in_ms / 1000 if state == retrying else None,
    )


def _dump(steps: Sequence[StepTiming]) -> str:
    return json.dumps([step.model_dump() for step in steps])
