"""What the release before this one kept in Redis, and its scripts: a stored dump, and workers that still run them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import uuid4

from galaxy.adapters.store.keys import Keys

if TYPE_CHECKING:
    from redis import Redis

    from galaxy.domain.models import VersionRef

#: Each script has its own.
Reply: TypeAlias = Any

_FILE = Path(__file__).parents[1] / "contract" / "previous_release.json"


@cache
def dump() -> dict[str, Any]:
    """The dump.

    `keys`: type and value of each key; `shown`: what that release showed of each app; `scripts`: the text of its
    scripts, which `prelude` stands before; `announcement_fields` and `public_fields`: the fields that it read.
    """
    loaded: dict[str, Any] = json.loads(_FILE.read_text())
    return loaded


def load(redis: Redis, prefix: str) -> None:
    """Puts everything that the release kept below a prefix of one's own."""
    writers: dict[str, Any] = {
        "hash": lambda key, value: redis.hset(key, mapping=value),
        "zset": lambda key, value: redis.zadd(key, dict(value)),
        "list": lambda key, value: redis.rpush(key, *value),
        "set": lambda key, value: redis.sadd(key, *value),
        "string": redis.set,
        "stream": lambda key, value: [redis.xadd(key, fields, id=entry_id) for entry_id, fields in value],
    }
    for key, kept in dump()["keys"].items():
        writers[kept["type"]](key.replace(dump()["prefix"], prefix, 1), kept["value"])


class PreviousWorker:
    """A worker of the release before this one: its scripts, called as it called them.

    Args:
        redis: Client with `decode_responses=True`.
    """

    def __init__(self, redis: Redis, prefix: str, *, lease_s: float = 60) -> None:
        self._redis = redis
        self._keys = Keys(prefix)
        self._lease_ms = int(lease_s * 1000)

    def claim(self, ref: VersionRef, claim_id: str = "") -> Reply:
        return self._run("claim", ref, _member(ref), self._lease_ms, claim_id or uuid4().hex, 4)

    def renew(self, ref: VersionRef, token: int) -> Reply:
        return self._run("renew", ref, _member(ref), token, self._lease_ms)

    def finish(self, ref: VersionRef, token: int) -> Reply:
        fields = (
            "image",
            "registry.test/x:1",
            "image_digest",
            "sha256:a",
            "base_digest",
            "sha256:b",
            "steps",
            "[]",
        )
        return self._run("finish_attempt", ref, _member(ref), token, 1000, *fields)

    def fail(self, ref: VersionRef, token: int, reason: str) -> Reply:
        return self._run("fail_attempt", ref, _member(ref), token, reason, 4, 0, 0, "[]")

    def hand_back(self, ref: VersionRef, token: int) -> Reply:
        return self._run("hand_back", ref, _member(ref), token)

    def end_lost(self, ref: VersionRef) -> Reply:
        return self._run("end_lost_attempt", ref, _member(ref), "The worker was lost.", 4, 0, uuid4().hex)

    def cancel(self, ref: VersionRef, reason: str) -> Reply:
        return self._run("cancel", ref, _member(ref), reason, uuid4().hex)

    def begin_rollout(self, ref: VersionRef) -> Reply:
        return self._run("begin_rollout", ref, _member(ref), 1000)

    def activate(self, ref: VersionRef) -> Reply:
        return self._run("activate", ref, _member(ref), f"{self._keys.all_versions()}{ref.app}:")

    def take_due(self, limit: int) -> Reply:
        arguments = (limit, 1000, self._keys.all_versions())
        return self._redis.eval(_source("take_due"), 1, self._keys.due(), *arguments)

    def _run(self, name: str, ref: VersionRef, *arguments: str | float) -> Reply:
        keys = [*self._keys.of_version(*ref).values()]
        return self._redis.eval(_source(name), len(keys), *keys, *arguments)


def _member(ref: VersionRef) -> str:
    return f"{ref.app} {ref.number}"


def _source(name: str) -> str:
    return f"{dump()['prelude']}\n{dump()['scripts'][name]}"
