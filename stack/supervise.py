"""Starting and ending processes that go on without us. A process is known by its pid and the moment it began."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stack.checkout import write_private
from stack.console import StackError, say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LOG_MAX_BYTES = 20 * 1024 * 1024
SHOWN_LOG_LINES = 20
POLL_S = 0.05
KILL_S = 5


@dataclass(frozen=True)
class Identity:
    """One process, told apart from a later one with the same pid.

    Attributes:
        began: Clock ticks from the machine's start to the process's (proc(5), `starttime`).
        boot: The machine's start.
    """

    pid: int
    began: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The process that has this pid now; None if there is none, or only a zombie."""
        fields = _stat(pid)
        if fields is None or fields[0] == "Z":
            return None
        return cls(pid, int(fields[19]), Path("/proc/sys/kernel/random/boot_id").read_text().strip())

    @property
    def alive(self) -> bool:
        """This very process still runs."""
        return Identity.of(self.pid) == self


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from `state` on; the name before them may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


@dataclass(frozen=True)
class Record:
    """What is kept about a started process.

    Attributes:
        fingerprint: Of everything that the process read at its start; another one means: start it again.
        log_offset: Where in the log file this run begins.
    """

    identity: Identity
    fingerprint: str
    log_offset: int

    @classmethod
    def load(cls, path: Path) -> Record | None:
        """The record at `path`; None if there is none."""
        try:
            raw = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        return cls(Identity(**raw["identity"]), raw["fingerprint"], raw["log_offset"])


def launch(  # noqa: PLR0913 - a process has that many parts
    command: list[str],
    *,
    record: Path,
    log: Path,
    cwd: Path,
    environment: Mapping[str, str],
    fingerprint: str = "",
) -> Identity | None:
    """Start a command in a session of its own, with its output in `log`, and write its record.

    Returns:
        The process; None if it has ended already.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_MAX_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))
    with log.open("ab") as output:
        offset = output.tell()
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # as long as we live we are its parent: somebody has to collect its exit code
    threading.Thread(target=process.wait, daemon=True).start()
    identity = Identity.of(process.pid)
    if identity is not None:
        write_private(record, json.dumps(asdict(Record(identity, fingerprint, offset))))
    return identity


def wait_until_ready(
    name: str, identity: Identity, ready: Callable[[], bool], *, log: Path, deadline_s: float
) -> None:
    """Wait for a launched process.

    Raises:
        StackError: it ended, or was not ready in time. The message shows the end of its log.
    """
    until = time.monotonic() + deadline_s
    while not ready():
        if not identity.alive:
            raise StackError(f"{name} ended at its start.\n{tail(log)}")
        if time.monotonic() > until:
            raise StackError(f"{name} was not ready after {deadline_s:.0f} s.\n{tail(log)}")
        time.sleep(POLL_S)


def tail(log: Path, lines: int = SHOWN_LOG_LINES) -> str:
    """The last lines of a log file, with its place."""
    text = log.read_text(errors="replace").splitlines()[-lines:] if log.exists() else []
    return "\n".join([f"The end of {log}:", *(f"  {line}" for line in text)])


def end(name: str, record: Path, *, grace_s: float) -> bool:
    """End the recorded process and everything in its session: politely first, for good after `grace_s`.

    Returns:
        Whether there was something to end.
    """
    known = Record.load(record)
    if known is None:
        return False
    found = bool(_session(known.identity))
    if known.identity.alive:
        _signal(known.identity, signal.SIGTERM)
        if not _gone([known.identity], grace_s):
            say(f"{name} did not end within {grace_s:.0f} s: killing it.")
    until = time.monotonic() + KILL_S
    # looked up again and again: while some are killed, others may start more
    while (family := _session(known.identity)) and time.monotonic() < until:
        for member in family:
            _signal(member, signal.SIGKILL)
        time.sleep(POLL_S)
    record.unlink(missing_ok=True)
    return found


def _session(leader: Identity) -> list[Identity]:
    """The processes of a leader's session, the leader first. A later owner of its pid is not taken for it."""
    now = Identity.of(leader.pid)
    if now is not None and now != leader:
        return []
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    members = (Identity.of(pid) for pid in pids if (fields := _stat(pid)) and int(fields[3]) == leader.pid)
    found = [member for member in members if member is not None and member.boot == leader.boot]
    return sorted(found, key=lambda member: member != leader)


def _signal(identity: Identity, number: signal.Signals) -> None:
    if identity.alive:
        try:
            os.kill(identity.pid, number)
        except ProcessLookupError:
            return


def _gone(identities: list[Identity], timeout_s: float) -> bool:
    until = time.monotonic() + timeout_s
    while any(identity.alive for identity in identities):
        if time.monotonic() > until:
            return False
        time.sleep(POLL_S)
    return True


def any_alive(run: Path) -> bool:
    """Some process that is recorded in this folder runs."""
    records = (Record.load(path) for path in run.glob("*.json"))
    return any(record is not None and record.identity.alive for record in records)
