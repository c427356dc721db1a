"""The clients of Redis that workers use, and how patient they are."""

from __future__ import annotations

from typing import Final

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

#: Seconds a Redis command may take.
COMMAND_TIMEOUT_S: Final = 2.0
#: How often it is tried again then. A Redis that refuses connections is given about three seconds, enough for its
#: restart; one that hangs is given up after some seventeen.
PATIENT: Final = Retry(ExponentialBackoff(cap=1, base=0.05), 6)
#: For callers that have patience of their own, or can do without: a Redis that hangs is given up at once.
BRIEF: Final = Retry(ExponentialBackoff(cap=0.2, base=0.05), 3, (RedisConnectionError,))


def redis_client(url: str, *, decode_responses: bool = True, retry: Retry = PATIENT) -> Redis:
    """A client of the store or of the logs.

    Args:
        url: Where it is, with the login.
        decode_responses: Replies are text; else bytes.
        retry: How often a command is tried again, and how soon.
    """
    return Redis.from_url(
        url,
        decode_responses=decode_responses,
        socket_timeout=COMMAND_TIMEOUT_S,
        socket_connect_timeout=COMMAND_TIMEOUT_S,
        retry=retry,
    )
