"""The pipeline's processes in a run, and the service manager that starts again what has ended."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.support.fleet import Process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BUILD: Final = "build"
CONTROL: Final = "control"
BEAT: Final = "beat"

_ARGUMENTS: Final = {
    BUILD: ("worker", "-Q", "builds,builds.bulk", "-c", "2", "-l", "info"),
    CONTROL: ("worker", "-Q", "control,rollouts,base-images", "-c", "2", "-l", "info"),
    BEAT: ("beat", "-l", "info"),
}
SLOTS: Final = 2
_READY: Final = {BUILD: " ready.", CONTROL: " ready.", BEAT: "beat: Starting"}

#: A worker that was told to stop has this long: as long as service managers wait.
GRACE_S: Final = 20.0

#: Python's fault handler writes all stacks within this time.
_DUMP_S: Final = 0.5


@dataclass
class Member:
    """A process, and what was done to it.

    Attributes:
        name: Unique: who takes its place has another one.
        doomed: Somebody has ended it, or told it to end.
        frozen: It is stopped by a signal.
    """

    name: str
    role: str
    process: Process
    doomed: bool = False
    frozen: bool = False
    ends_by: float = float("inf")

    @property
    def sound(self) -> bool:
        """Nobody has touched it, and it is ready for work."""
        return not self.doomed and not self.frozen and self.process.alive and self.ready

    @property
    def ready(self) -> bool:
        return _READY[self.role] in self.process.output

    def children(self) -> list[int]:
        """Its prefork children."""
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Crew:
    """Starts processes and keeps them alive.

    Args:
        env: `GALAXY_*` settings, and DOCKER_HOST.
        folder: For their output, a file each.
    """

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self._env = env
        self._folder = folder
        self._count = 0
        self._gone: list[Member] = []
        self.members: list[Member] = []
        self.accidents: list[str] = []

    def add(self, role: str) -> Member:
        """Starts one more process."""
        self._count += 1
        name = f"{role}-{self._count}"
        named = ("-n", f"{name}@chaos") if role != BEAT else ()
        command = [sys.executable, "-m", "celery", "-A", "workers", *_ARGUMENTS[role], *named]
        env = {**self._env, "PYTHONFAULTHANDLER": "1"}
        member = Member(name, role, Process(command, env, self._folder / f"{name}.log"))
        self.members.append(member)
        return member

    def sound(self, role: str) -> list[Member]:
        """Those that can be harmed."""
        return [member for member in self.members if member.role == role and member.sound]

    def kill(self, member: Member, *, children_too: bool) -> None:
        """As the kernel does when memory is short, or as the end of the whole machine would."""
        member.doomed = True
        if children_too:
            member.process.kill_all()
        else:
            member.process.send(signal.SIGKILL)
            member.process.wait()

    def tell_to_end(self, member: Member) -> None:
        """As an update does: the next one is started at once."""
        member.doomed = True
        member.ends_by = time.monotonic() + GRACE_S
        member.process.send(signal.SIGTERM)
        self.add(member.role)

    def freeze(self, member: Member) -> None:
        """With its children, as a machine that is suspended."""
        member.frozen = True
        os.killpg(member.process.pid, signal.SIGSTOP)

    def thaw(self, member: Member) -> None:
        with suppress(ProcessLookupError):
            os.killpg(member.process.pid, signal.SIGCONT)
        member.frozen = False

    def look_after(self) -> None:
        """Starts again what has ended, and notes what should not have."""
        for member in [*self.members]:
            told_to_end = member.ends_by != float("inf")
            if not member.process.alive:
                self.members.remove(member)
                self._gone.append(member)
                if not member.doomed:
                    last = member.process.output.strip().splitlines()[-1:]
                    self.accidents.append(f"{member.name} ended by itself: {' '.join(last)}")
                if not told_to_end:
                    self.add(member.role)
            elif time.monotonic() > member.ends_by:
                self.accidents.append(
                    f"{member.name} did not end within {GRACE_S:g} s of SIGTERM; its output ends with its stacks"
                )
                member.process.send(signal.SIGABRT)
                time.sleep(_DUMP_S)
                self.kill(member, children_too=True)

    def orphans(self) -> Iterator[str]:
        """Processes that outlived the one that started them."""
        for member in self._gone:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(member.process.pid, 0)
                yield f"process group of {member.name}"

    def outputs(self) -> dict[str, str]:
        """What each process has said, by its name."""
        return {path.stem: path.read_text(errors="replace") for path in self._folder.glob("*.log")}

    def stop(self) -> None:
        for member in (*self.members, *self._gone):
            member.process.kill_all()
