"""What a run says at its end."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import TYPE_CHECKING

from tests.chaos.invariants import CHECKS
from tests.chaos.recovery import described, recoveries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.chaos.facts import Facts

_SHOWN = 20


def report(facts: Facts, found: Mapping[str, Sequence[str]], *, settled_s: float) -> Iterator[str]:
    """Lines for people: what was built, what broke, what each check counted, how long recovery took."""
    states = Counter(str(version.state) for version in facts.versions.values())
    kinds = Counter(fault.name for fault in facts.faults)
    attempts = sum(version.attempt for version in facts.versions.values())
    yield f"builds       {len(facts.deployed)} ({_counted(states)}), {attempts} attempts"
    yield f"faults       {kinds.total()} ({_counted(kinds)})"
    for name, violations in found.items():
        yield f"{name:<12} {len(violations)} ({CHECKS[name].counts})"
        yield from (f"  {violation}" for violation in violations[:_SHOWN])
    yield from _recovery(facts)
    yield f"settled      {settled_s:.1f} s after the last fault was healed: from then on nothing was left to do"


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items())) or "none"


def _recovery(facts: Facts) -> Iterator[str]:
    timing = facts.timing
    bound = (
        f"lease {timing.lease_s:g} s + reconciler {timing.reconcile_s:g} s + allowance {timing.allowance_s:g} s,"
        " and what else was broken meanwhile"
    )
    found = recoveries(facts)
    if not found:
        yield f"recovery     no attempt was lost with its worker (bound: {bound})"
        return
    seconds = [one.seconds for one in found]
    alone = [one.seconds for one in found if not one.meanwhile]
    yield f"recovery     median {median(seconds):.1f} s, maximum {max(seconds):.1f} s of {len(found)} (bound: {bound})"
    if alone:
        yield f"  with nothing else broken: median {median(alone):.1f} s, maximum {max(alone):.1f} s of {len(alone)}"
    yield f"  the longest: {described(max(found, key=lambda one: one.seconds))}"
