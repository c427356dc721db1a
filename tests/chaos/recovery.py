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
        allowed_s: The bound, and whatever else was broken meanwhile.
    """

    ref: VersionRef
    fault: str
    seconds: float
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
            allowed_s = facts.timing.recovery_s + _broken_s(facts, fault, later.at)
            found.append(Recovery(one.ref, fault.name, later.at - fault.at, allowed_s))
    return found


def late(facts: Facts) -> Iterator[str]:
    """Recoveries that took longer than they may."""
    for ref, fault, seconds, allowed_s in recoveries(facts):
        if seconds > allowed_s:
            yield f"{ref}: {seconds:.1f} s from {fault} to the next attempt, and {allowed_s:.1f} s are allowed"


def _hit(fault: FaultRecord, began: Began, later: Began) -> bool:
    if fault.aim != "deadly" or fault.member != began.member or not began.at <= fault.at <= later.at:
        return False
    return fault.pid is None or fault.pid == began.pid


def _broken_s(facts: Facts, fault: FaultRecord, until: float) -> float:
    """Other faults before the next attempt: each may take its own time, and what it takes to start things again."""
    return sum(
        other.until - other.at + facts.timing.allowance_s
        for other in facts.faults
        if other is not fault and other.aim != "nuisance" and other.at < until and other.until + 1 > fault.at
    )
