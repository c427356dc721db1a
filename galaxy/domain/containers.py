"""App containers as values: what one has to be, and what an engine says that it is."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field, SecretStr

from galaxy.domain.models import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Exit codes above this one stand for the signal that ended the process: 128 + its number.
_SIGNAL_BASE = 128
_SIGNALS = {1: "SIGHUP", 2: "SIGINT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL",
            11: "SIGSEGV", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM"}  # fmt: skip


class ContainerLimits(Frozen):
    """What one app container may take. 0: no limit.

    Attributes:
        memory_bytes: Memory, swap included; the kernel kills a process that asks for more.
        cpus: Processors' worth of time.
        pids: Processes and threads.
    """

    memory_bytes: int = Field(default=0, ge=0)
    cpus: float = Field(default=0, ge=0)
    pids: int = Field(default=0, ge=0)


class ContainerSpec(Frozen):
    """One app container as it has to be. It runs what its image runs, without any parameter.

    Attributes:
        name: Unique on the engine; the same name always means the same specification.
        repository: Of the image, with its registry's host.
        digest: Manifest digest of the image.
        environment: Variables that the container gets besides those of its image. Values may be secret.
        labels: What an engine's list tells about it.
        limits: What it may take.
    """

    name: str
    repository: str
    digest: str
    environment: dict[str, SecretStr]
    labels: dict[str, str]
    limits: ContainerLimits = ContainerLimits()

    @property
    def image(self) -> str:
        """`REPOSITORY@DIGEST`."""
        return f"{self.repository}@{self.digest}"


class ContainerStatus(StrEnum):
    """Where a container stands on its engine."""

    CREATED = "created"
    """It was made, and never ran."""
    RUNNING = "running"
    """Its first process runs."""
    EXITED = "exited"
    """Its first process has ended."""


class ContainerExit(NamedTuple):
    """How a container ended.

    Attributes:
        code: Exit code of its first process; above 128, the number of a signal was added.
        out_of_memory: The kernel killed a process in it because the container had used up its memory.
        at_ms: When, in milliseconds since the epoch.
        message: What the engine said, if it could not run it at all; else empty.
    """

    code: int
    out_of_memory: bool = False
    at_ms: int = 0
    message: str = ""

    @property
    def cause(self) -> str:
        """The end of a sentence that begins with the container's name: `ended with exit code 1`."""
        if self.message:
            return f"could not be started: {self.message.rstrip('.')}"
        if self.out_of_memory:
            return "was killed because it ran out of memory"
        signal = _SIGNALS.get(self.code - _SIGNAL_BASE)
        if signal:
            return f"was ended by {signal} (exit code {self.code})"
        return f"ended with exit code {self.code}"


class AppContainer(Frozen):
    """A container on the engine.

    Attributes:
        id: The engine's.
        address: IP address on the apps' network; empty while it does not run.
        started_at_ms: When it was started last, in milliseconds since the epoch; 0 before.
        exit: How it ended, in `ContainerStatus.EXITED`.
    """

    id: str
    name: str
    labels: dict[str, str]
    status: ContainerStatus
    address: str = ""
    started_at_ms: int = 0
    exit: ContainerExit | None = None


class OutputChunk(NamedTuple):
    """Some of what a container printed, as the engine kept it.

    Attributes:
        at: The engine's time of it, `SECONDS.NANOSECONDS` since the epoch: reading goes on from here.
        error: It was printed on stderr.
        data: Bytes of one line, with its line end if it has one.
    """

    at: str
    error: bool
    data: bytes


def listening(tables: str) -> tuple[int, ...]:
    """Ports on which something listens, by the text of `/proc/net/tcp` and `tcp6` (proc(5)), smallest first.

    Ports that only the container itself can reach, on a loopback address, are not among them.
    """
    return tuple(sorted({port for line in tables.splitlines() for port in _listening(line.split())}))


_LISTEN = "0A"
_LOOPBACK = ("0100007F", "00000000000000000000000001000000")


def _listening(fields: list[str]) -> Iterable[int]:
    if len(fields) > 3 and fields[3] == _LISTEN:  # noqa: PLR2004 - sl, local address, remote address, state
        address, _, port = fields[1].partition(":")
        if address not in _LOOPBACK:
            yield int(port, 16)
