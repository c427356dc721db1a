"""Memory of a build worker's slots: idle, and while a build prints a million lines.

What a slot has of its own counts, pages that it shares with others in part (PSS); and its highest resident size (RSS).
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from threading import Event, Thread
from typing import TYPE_CHECKING, Final, Literal

from bench.fleet import Fleet, fleet
from bench.log_ingest import FEW_LINES, FEW_URL, KEEPS_ALL, LINES, print_all, printing_image
from bench.measure import CannotRun, Quantity
from bench.surroundings import engine, images_removed, served_bundle
from galaxy.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.measure import Finding

SLOTS: Final = 4
IDLE_GOAL_MIB: Final = 48
#: 4 MiB wait for Redis at most, a few are on their way, and the interpreter keeps freed memory.
GROWTH_GOAL_MIB: Final = 32
#: What it needs for a million lines beside what it needs for a tenth of them. If it kept lines, it would be ten.
#: A tenth is stored too soon to fill what may wait.
FLAT_GOAL: Final = 3

_APP: Final = "ours-{}.worker-memory.bench"
_SAMPLE_EVERY_S: Final = 0.02
_MIB: Final = 1024


def run(*, quick: bool) -> Iterator[Finding]:  # noqa: ARG001 - it measures once
    """Measures it.

    Raises:
        CannotRun: Redis, the engine or a registry is missing, this is no Linux, or a build failed.
    """
    settings = Settings()
    with ExitStack() as stack:
        api = stack.enter_context(engine())
        bundle_url = stack.enter_context(served_bundle())
        stack.enter_context(images_removed(api, f"{settings.registry}/apps/*.worker-memory.bench"))
        with fleet(slots=SLOTS) as idle:
            idle.wait_until_ready()
            fresh = mean(slot.pss_mib() for slot in _slots(idle))
            idle.wait_until_built([idle.deploy(_APP.format(n), bundle_url) for n in range(SLOTS)])
            used = mean(slot.pss_mib() for slot in _slots(idle))
            detail = f"{fresh:.1f} before the first build; {SLOTS} slots"
            yield Quantity("worker_memory, idle slot", used, "MiB PSS", IDLE_GOAL_MIB, detail)
        printer = stack.enter_context(printing_image(api))
        with fleet(**KEEPS_ALL) as here:
            here.wait_until_ready()
            here.wait_until_built([here.deploy(_APP.format(0), bundle_url)])
            (slot,) = _slots(here)
            before = Peak(slot.pss_mib(), slot.rss_mib("VmRSS"))
            few = slot.peak_of(lambda: print_all(here, printer, FEW_URL))
            many = slot.peak_of(lambda: print_all(here, printer))
        grown = many.pss_mib - before.pss_mib
        detail = f"{before.pss_mib:.1f} before, peak {many.pss_mib:.1f} PSS, {many.rss_mib:.1f} RSS"
        yield Quantity(f"worker_memory, growth in {LINES:,} lines", grown, "MiB PSS", GROWTH_GOAL_MIB, detail)
        # the kernel notes each peak of RSS: no look at the smaller output comes too late for it
        grown, grown_by_few = (peak.rss_mib - before.rss_mib for peak in (many, few))
        flat = grown / grown_by_few
        detail = f"{grown:.1f} MiB RSS against {grown_by_few:.1f} in {FEW_LINES:,} lines"
        yield Quantity("worker_memory, growth per tenfold output", flat, "times", FLAT_GOAL, detail)


@dataclass(frozen=True)
class Peak:
    """What a process took, or the most of it."""

    pss_mib: float
    rss_mib: float


@dataclass(frozen=True)
class Slot:
    """A process that builds."""

    proc: Path

    def pss_mib(self) -> float:
        """What it has of its own now, and its part of what it shares."""
        return kib_in((self.proc / "smaps_rollup").read_text(), "Pss") / _MIB

    def rss_mib(self, name: Literal["VmRSS", "VmHWM"]) -> float:
        """What it has in memory, shared or not, now or at its peak."""
        return kib_in((self.proc / "status").read_text(), name) / _MIB

    def peak_of(self, work: Callable[[], object]) -> Peak:
        """The most that it took while something was done."""
        (self.proc / "clear_refs").write_text("5")  # begins to count the peak of RSS anew
        samples: list[float] = []
        done = Event()

        def sample() -> None:
            while not done.wait(_SAMPLE_EVERY_S):
                samples.append(self.pss_mib())

        sampling = Thread(target=sample)
        sampling.start()
        try:
            work()
        finally:
            done.set()
            sampling.join()
        return Peak(max(samples), self.rss_mib("VmHWM"))


def kib_in(told: str, name: str) -> int:
    """The value of one line `Name:  123 kB` of what the kernel tells of a process."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", told, re.MULTILINE)
    if not found:
        raise CannotRun(f"The kernel does not tell {name} of a process.")
    return int(found[1])


def _slots(fleet: Fleet) -> list[Slot]:
    children = Path(f"/proc/{fleet.pid}/task/{fleet.pid}/children").read_text().split()
    return [Slot(Path("/proc") / child) for child in children]
