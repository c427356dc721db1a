"""How long it took from the end of a worker to the next attempt of what it had built."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tests.chaos import sentences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from galaxy.domain.models import VersionRef
    from tests.chaos.facts import Began, Facts, FaultRecord


class Recovery(NamedTuple):
    """One attempt that was lost with its worker.

    Attributes:
        seconds: From the fault to the beginning of the next attempt.
        meanwhile: Names of the other faults before that beginning.
        allowed_s: The bound, and whatever else was broken meanwhile.
    """

    ref: VersionRef
    fault: str
    seconds: float
    meanwhile: tuple[str, ...]
    allowed_s: float


def recoveries(facts: Facts) -> list[Recovery]:
    """All attempts that were lost with their workers and had another one after them."""
    found = []
    began = sorted(facts.began, key=lambda one: one.at)
    for one in began:
        later = next((other for other in began if other.ref == one.ref and other.at > one.at), None)
        why = sentences.failures(facts.lines_of(one.ref)).get(one.attempt, "")
        if later is None or later.attempt != one.attempt + 1 or sentences.LOST not in why:
            continue
        fault = next((fault for fault in facts.faults if _hit(fault, one, later)), None)
        if fault:
            others = [*_meanwhile(facts, fault, later.at)]
            # each may take its own time, and what it takes to start things again
            broken_s = sum(other.until - other.at + facts.timing.allowance_s for other in others)
            names = tuple(other.name for other in others)
            seconds = later.at - fault.at
            found.append(Recovery(one.ref, fault.name, seconds, names, facts.timing.recovery_s + broken_s))
    return found


def late(facts: Facts) -> Iterator[str]:
    """Recoveries that took longer than they may."""
    for one in recoveries(facts):
        if one.seconds > one.allowed_s:
            yield f"{one.ref}: {described(one)}, and {one.allowed_s:.1f} s are allowed"


def described(recovery: Recovery) -> str:
    """A recovery in words, for the report."""
    others = f", while there was {', '.join(recovery.meanwhile)}" if recovery.meanwhile else ""
    return f"{recovery.seconds:.1f} s from {recovery.fault} to the next attempt{others}"


def _hit(fault: FaultRecord, began: Began, later: Began) -> bool:
    if fault.aim != "deadly" or fault.member != began.member or not began.at <= fault.at <= later.at:
        return False
    return fault.pid is None or fault.pid == began.pid


def _meanwhile(facts: Facts, fault: FaultRecord, until: float) -> Iterator[FaultRecord]:
    """Other faults that took something away, or had just done so, before the next attempt."""
    for other in facts.faults:
        if other is not fault and other.aim != "nuisance" and other.at < until and other.until + 1 > fault.at:
            yield other
