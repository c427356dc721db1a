"""Looks at a Redis server with the rights that its user has, and gives up soon."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeout
from redis.retry import Retry

from galaxy.adapters.registry.endpoints import is_loopback_name
from galaxy.domain.diagnosis.redis import RedisFacts

if TYPE_CHECKING:
    from collections.abc import Callable

    from galaxy.domain.diagnosis.redis import Role

_PORT: Final = 6379
_CONFIG: Final = "appendfsync"
#: kombu's name for what redis-py calls unix://
_KOMBU_SOCKET: Final = "redis+socket://"


def look_at_redis(role: Role, url: str, *, timeout_s: float) -> RedisFacts:
    """Asks the server behind a URL for what the doctor wants to know. Raises nothing of Redis's."""
    facts = RedisFacts(role=role, address="")
    try:
        facts = _addressed(facts, url)
        with quick_redis(url, timeout_s=timeout_s) as client:
            return _asked(client, facts)
    except (RedisError, OSError, ValueError) as error:
        found, advice = _why(error, facts, timeout_s)
        return facts.model_copy(update={"failure": found, "advice": advice})


def _addressed(facts: RedisFacts, url: str) -> RedisFacts:
    parts = urlsplit(url)
    if parts.scheme not in {"redis", "rediss"}:
        return facts.model_copy(update={"address": parts.path})
    host = parts.hostname or "localhost"
    return facts.model_copy(
        update={
            "address": f"{host}:{parts.port or _PORT}",
            "private": is_loopback_name(host),
            "tls": parts.scheme == "rediss",
        }
    )


def quick_redis(url: str, *, timeout_s: float) -> Redis:
    """A client that tries once."""
    if url.startswith(_KOMBU_SOCKET):
        url = "unix://" + url.removeprefix(_KOMBU_SOCKET).replace("virtual_host=", "db=")
    return Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )


def _asked(client: Redis, facts: RedisFacts) -> RedisFacts:
    refused: list[str] = []

    def permitted(name: str, command: Callable[[], Any]) -> Any:  # noqa: ANN401 - each command has its own answer
        try:
            return command()
        except (NoPermissionError, ResponseError) as error:
            if _is_loading(error):
                return None  # INFO tells about it
            refused.append(name)
            return None

    permitted("PING", client.ping)  # connects: what follows measures the server alone
    asked_at, asked = time.time(), time.perf_counter()
    clock = permitted("TIME", client.time)
    took_s = time.perf_counter() - asked
    info = permitted("INFO", client.info) or {}
    config = permitted("CONFIG", lambda: client.config_get(_CONFIG)) or {}
    ahead_s = clock[0] + clock[1] / 1e6 - (asked_at + took_s / 2) if clock else 0.0
    return facts.model_copy(
        update={
            "refused": tuple(refused),
            "info": {name: value for name, value in info.items() if isinstance(value, str | int | float)},
            "config": config,
            "latency_ms": took_s * 1000,
            "clock_ahead_s": ahead_s,
        }
    )


def _is_loading(error: Exception) -> bool:
    return "LOADING" in str(error) or "loading the dataset" in str(error)


def _why(error: Exception, facts: RedisFacts, timeout_s: float) -> tuple[str, str]:
    variable = facts.variable
    if isinstance(error, AuthenticationError):
        return f"{facts.address} refuses the login.", f"Mend user and password in {variable}."
    if isinstance(error, RedisTimeout):
        return (
            f"{facts.address} does not answer within {timeout_s:g} s.",
            f"See whether Redis hangs or is frozen, and whether {variable} names the right host.",
        )
    if isinstance(error, ValueError):
        return f"{variable} is malformed.", "docs/operating.md shows how addresses are written."
    reason = str(error).rstrip(".")
    return (
        f"{facts.address} can't be reached: {reason}.",
        f"Start Redis, or mend {variable}; with rediss:// see that the certificates fit.",
    )
