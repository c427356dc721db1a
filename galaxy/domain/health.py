"""Health of app containers: what a probe found, in values and in words."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

_SHOWN_BYTES = 60


class ProbeOutcome(StrEnum):
    """What came of one `GET` from outside the container."""

    ANSWERED = "answered"
    """A well-formed HTTP answer, with any status."""
    REFUSED = "refused"
    """Nothing listens on the port."""
    TIMED_OUT = "timed_out"
    """No whole answer came in time."""
    CLOSED = "closed"
    """The connection was closed without an answer."""
    NO_HTTP = "no_http"
    """What came is not HTTP."""
    UNREACHABLE = "unreachable"
    """The container's address can't be reached."""


class Probe(NamedTuple):
    """One look at a container.

    Attributes:
        port: That was asked.
        status: Of the answer, with `ProbeOutcome.ANSWERED`.
        first_bytes: What came instead of HTTP.
        within_s: How long the answer might have taken.
        detail: What the network said, with `ProbeOutcome.UNREACHABLE`.
    """

    outcome: ProbeOutcome
    port: int
    status: int = 0
    first_bytes: bytes = b""
    within_s: float = 0.0
    detail: str = ""

    @property
    def healthy(self) -> bool:
        """Any HTTP answer will do, as on Galaxy: an app that answers 404 at `/` serves."""
        return self.outcome is ProbeOutcome.ANSWERED

    def sentence(self, listening: tuple[int, ...] = ()) -> str:
        """What the probe found, as a sentence.

        Args:
            listening: Ports on which the container listens, as far as that is known.
        """
        match self.outcome:
            case ProbeOutcome.ANSWERED:
                return f"It answers on port {self.port} with HTTP {self.status}."
            case ProbeOutcome.REFUSED:
                return f"It does not listen on port {self.port}{_instead(self.port, listening)}."
            case ProbeOutcome.TIMED_OUT:
                return f"It gave no HTTP answer on port {self.port} within {self.within_s:g} s."
            case ProbeOutcome.CLOSED:
                return f"It closed the connection on port {self.port} without an answer."
            case ProbeOutcome.NO_HTTP:
                return f"What it answered on port {self.port} is not HTTP; it begins with {_shown(self.first_bytes)}."
            case ProbeOutcome.UNREACHABLE:
                return f"It can't be reached on port {self.port}: {self.detail}."


def _instead(port: int, listening: tuple[int, ...]) -> str:
    others = [each for each in listening if each != port]
    if not others:
        return ""
    ports = ", ".join(map(str, others))
    return f", but on port{'s' if len(others) > 1 else ''} {ports}; an app has to listen on the port in $PORT"


def _shown(data: bytes) -> str:
    cut = data[:_SHOWN_BYTES]
    return repr(cut.decode("ascii", errors="backslashreplace")) + ("…" if len(data) > _SHOWN_BYTES else "")
