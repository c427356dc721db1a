"""Memory of a process and its children, as the kernel counts it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple, Self


class HighestSizes(NamedTuple):
    """The highest resident sizes (MiB) of a process and its children, by process."""

    pid: int
    mib: dict[str, float]

    @classmethod
    def from_now(cls, pid: int) -> Self:
        """Begins to count anew."""
        for process in _with_children(pid):
            (process / "clear_refs").write_text("5")
        return cls(pid, _highest_mib(pid))

    def grown_mib(self) -> float:
        """How much the one that grew most has grown at its highest; a process that is new counts as a whole."""
        now = _highest_mib(self.pid)
        return max(size - self.mib.get(process, 0) for process, size in now.items())


def _highest_mib(pid: int) -> dict[str, float]:
    told = {process.name: (process / "status").read_text() for process in _with_children(pid)}
    found = {name: re.search(r"VmHWM:\s+(\d+) kB", text) for name, text in told.items()}
    return {name: int(size[1]) / 1024 for name, size in found.items() if size}


def _with_children(pid: int) -> list[Path]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [Path("/proc") / process for process in (str(pid), *children)]
