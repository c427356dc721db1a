"""What a host lets us do: pauses it asked for, rest after failures, and the limits it tells of."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

logger = structlog.get_logger(__name__)

#: Failures in a row after which a host is left alone.
FAILURES_TO_OPEN: Final = 5
#: How long it is left alone before one request tries again.
OPEN_S: Final = 30.0
#: For a 429 that does not say how long to wait.
DEFAULT_PAUSE_S: Final = 60.0
#: Docker Hub's longest window is 6 hours; nobody has us wait longer than this.
MAX_PAUSE_S: Final = 24 * 3600.0
#: Redirects can lead to any number of hosts; the one that was used longest ago is forgotten.
MAX_HOSTS: Final = 1000

_LIMIT = re.compile(r"\s*(\d{1,9})\s*(?:;\s*w\s*=\s*(\d{1,9}))?")


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A host's `ratelimit-*` headers: `remaining` of `limit` requests in a window of `window_s` seconds."""

    limit: int
    remaining: int
    window_s: int | None

    @classmethod
    def of_headers(cls, headers: Mapping[str, str]) -> RateLimit | None:
        """None when the host does not tell."""
        limit = _LIMIT.match(headers.get("ratelimit-limit", ""))
        remaining = _LIMIT.match(headers.get("ratelimit-remaining", ""))
        if limit is None or remaining is None:
            return None
        window = limit[2] or remaining[2]
        return cls(int(limit[1]), int(remaining[1]), int(window) if window else None)


@dataclass(frozen=True, slots=True)
class Closed:
    """Why a host may not be asked for the next `for_s` seconds."""

    throttled: bool
    for_s: float


class HostGate:
    """One host's pause and circuit breaker. Threads share it.

    Args:
        clock: Seconds since the epoch.
    """

    def __init__(self, host: str, clock: Callable[[], float]) -> None:
        self._host = host
        self._clock = clock
        self._lock = Lock()
        self._paused_until = 0.0
        self._failures = 0
        self._open_until = 0.0
        self.rate_limit: RateLimit | None = None

    def closed(self) -> Closed | None:
        """None admits a request. After failures one request is let through at a time, to try the host."""
        with self._lock:
            now = self._clock()
            if now < self._paused_until:
                return Closed(throttled=True, for_s=self._paused_until - now)
            if self._failures < FAILURES_TO_OPEN:
                return None
            if now < self._open_until:
                return Closed(throttled=False, for_s=self._open_until - now)
            self._open_until = now + OPEN_S
            return None

    def answered(self, headers: Mapping[str, str]) -> None:
        """The host works: the breaker closes."""
        rate_limit = RateLimit.of_headers(headers)
        with self._lock:
            self._failures = 0
            self.rate_limit = rate_limit or self.rate_limit

    def failed(self) -> None:
        """Unreachable, too slow, or an error of its own."""
        with self._lock:
            self._failures += 1
            if self._failures >= FAILURES_TO_OPEN:
                self._open_until = self._clock() + OPEN_S
            opened = self._failures == FAILURES_TO_OPEN
        if opened:
            logger.warning("registry.left_alone", host=self._host, failures=FAILURES_TO_OPEN, for_s=OPEN_S)

    def throttled(self, headers: Mapping[str, str]) -> float:
        """The host answered 429: pauses it and returns the seconds."""
        with self._lock:
            now = self._clock()
            pause_s = retry_after_s(headers, now)
            self._failures = 0
            self._paused_until = max(self._paused_until, now + pause_s)
            pause_s = self._paused_until - now
        logger.warning("registry.paused", host=self._host, for_s=round(pause_s))
        return pause_s


class HostGates:
    """The gates, by host and port."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._gates: OrderedDict[str, HostGate] = OrderedDict()

    def of(self, authority: str) -> HostGate:
        """The host's gate; always the same one as long as the host is in use."""
        with self._lock:
            gate = self._gates.get(authority)
            if gate is None:
                gate = self._gates[authority] = HostGate(authority, self._clock)
            self._gates.move_to_end(authority)
            if len(self._gates) > MAX_HOSTS:
                self._gates.popitem(last=False)
            return gate


def retry_after_s(headers: Mapping[str, str], now: float) -> float:
    """Seconds that a `Retry-After` means, given as seconds or as an HTTP date (RFC 9110, 10.2.3).

    A date is compared with the answer's own `Date`, so that a clock that differs from ours does no harm.
    """
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}", value):
        seconds = float(value)
    else:
        at = _epoch_s(value)
        seconds = DEFAULT_PAUSE_S if at is None else at - (_epoch_s(headers.get("date", "")) or now)
    return min(max(seconds, 1.0), MAX_PAUSE_S)


def _epoch_s(http_date: str) -> float | None:
    try:
        return parsedate_to_datetime(http_date).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
