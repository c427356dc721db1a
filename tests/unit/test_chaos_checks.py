"""The checks of `make chaos` find what they are there to find: each one fails on a world where it was violated."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from galaxy.domain.activity import ActivityEntry
from galaxy.domain.log import LogLine, Source, Stream
from galaxy.domain.models import Version, VersionRef
from galaxy.domain.states import VersionState
from tests.chaos import faults
from tests.chaos.choice import BadChoiceError, choose
from tests.chaos.facts import Began, Deployed, Facts, FaultRecord, Pushed, Run, Timing
from tests.chaos.invariants import CHECKS, violations
from tests.chaos.plans import Plan
from tests.chaos.recovery import recoveries
from tests.chaos.report import report
from tests.support.fleet import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

S = VersionState
APP = "app-1.example.com"
V1, V2, V3 = (VersionRef(APP, number) for number in (1, 2, 3))
GOOD = Plan("slow", lines=4, pause_s=1)
BAD = Plan("failing", lines=2, pause_s=0, fails=4)
DIGESTS = {V1: f"sha256:{'1' * 64}", V2: f"sha256:{'2' * 64}"}
SECRET = "password-0123456789abcdef"


def version(ref: VersionRef, state: VersionState, **fields: Any) -> Version:  # noqa: ANN401 - as the model takes them
    made = {"app": ref.app, "number": ref.number, "state": state, "base_image": "b:1", "deployed_by": "chaos"}
    return Version.model_validate({**made, "attempt": 1, "created_at_ms": 0, **fields})


def line(ref: VersionRef, attempt: int | None, text: str, stream: Stream = Stream.STDOUT) -> LogLine:
    return LogLine(0, Source.SERVICE, stream, ref.number, attempt, error=False, text=text)


def printed(ref: VersionRef, attempt: int, run: int, lines: int = 4) -> tuple[LogLine, ...]:
    return tuple(line(ref, attempt, f"run {run} stdout {n}/{lines} {'x' * 40}") for n in range(1, lines + 1))


def note(event: str, number: int) -> ActivityEntry:
    return ActivityEntry(at_ms=0, app=APP, event=event, version=number, by="chaos")


def failed(attempt: int, reason: str) -> LogLine:
    return line(V3, attempt, f"Attempt {attempt} of 4 failed: {reason}")


def label(ref: VersionRef) -> dict[str, str]:
    return {"org.opencontainers.image.version": str(ref.number)}


#: A world in which all is well: version 1 lost its first worker, 2 replaced it, 3 never works.
WELL = Facts(
    timing=Timing(lease_s=4, reconcile_s=1, reap_s=2, allowance_s=5),
    deployed=(Deployed(V1, GOOD), Deployed(V2, GOOD), Deployed(V3, BAD)),
    versions={
        V1: version(V1, S.RETIRED, attempt=2, image_digest=DIGESTS[V1]),
        V2: version(V2, S.ACTIVE, image_digest=DIGESTS[V2]),
        V3: version(V3, S.BUILD_FAILED, attempt=4),
    },
    active={APP: 2},
    activity={
        APP: (
            *(note("deployed", number) for number in (1, 2, 3)),
            *(note(event, number) for number in (1, 2) for event in ("built", "active")),
            *(note("retrying", 3) for _ in range(3)),
            note("build_failed", 3),
        )
    },
    logs={
        APP: (
            *printed(V1, 1, 0)[:2],
            line(V1, 1, "Attempt 1 of 4 failed: The worker that ran this attempt was lost."),
            *printed(V1, 2, 1),
            line(V1, 2, "Version 1 is built: registry/apps/app-1:1"),
            *printed(V2, 1, 2),
            line(V2, 1, "Version 2 is built: registry/apps/app-1:2"),
            *(
                entry
                for attempt in (1, 2, 3, 4)
                for entry in (*printed(V3, attempt, 2 + attempt, 2), failed(attempt, "exit code 7."))
            ),
            line(V3, 4, "The build of version 3 has failed for good: all 4 attempts failed."),
        )
    },
    runs=(
        Run(0, V1, 1, started_at=100, ended_at=None, seen_at=103),
        Run(1, V1, 3, started_at=107, ended_at=110, seen_at=110),
        Run(2, V2, 1, started_at=120, ended_at=121, seen_at=121),
        *(Run(2 + n, V3, n, started_at=130 + n, ended_at=130.5 + n, seen_at=130.5 + n) for n in (1, 2, 3, 4)),
    ),
    pushed={
        V1: Pushed(DIGESTS[V1], recorded=True, run=1, labels=label(V1)),
        V2: Pushed(DIGESTS[V2], recorded=True, run=2, labels=label(V2)),
    },
    began=(
        Began(V1, 1, 99, "build-1", 11),
        Began(V1, 2, 106, "build-2", 22),
        Began(V2, 1, 119, "build-2", 23),
        *(Began(V3, n, 130 + n, "build-2", 22) for n in (1, 2, 3, 4)),
    ),
    faults=(FaultRecord("kill-worker", at=101, until=101, member="build-1", aim="deadly"),),
    waiting={"due": 0, "queue builds": 0},
    texts={"logs": "The secret is [redacted]."},
    secrets=(SECRET,),
)


def versions(**changed: Version) -> dict[VersionRef, Version]:
    """All is well, but for these; by `v1`, `v2`, `v3`."""
    return {ref: changed.get(f"v{ref.number}", known) for ref, known in WELL.versions.items()}


def run(number: int, **changed: Any) -> tuple[Run, ...]:  # noqa: ANN401 - as the tuple takes them
    return tuple(one._replace(**changed) if one.number == number else one for one in WELL.runs)


def pushed(**changed: Any) -> dict[VersionRef, Pushed]:  # noqa: ANN401 - as the tuple takes them
    return {**WELL.pushed, V2: WELL.pushed[V2]._replace(**changed)}


def log(change: Callable[[list[LogLine]], object]) -> dict[str, tuple[LogLine, ...]]:
    lines = [*WELL.logs[APP]]
    change(lines)
    return {APP: tuple(lines)}


def without(text: str) -> dict[str, tuple[LogLine, ...]]:
    return {APP: tuple(one for one in WELL.logs[APP] if text not in one.text)}


def more(*entries: ActivityEntry) -> dict[str, tuple[ActivityEntry, ...]]:
    return {APP: (*WELL.activity[APP], *entries)}


VIOLATED: list[tuple[str, dict[str, Any]]] = [
    ("lost", {"versions": {ref: v for ref, v in WELL.versions.items() if ref != V3}}),
    ("lost", {"versions": versions(v3=version(V3, S.RETRYING, attempt=2))}),
    ("lost", {"versions": versions(v3=version(V3, S.CANCELLED))}),
    ("lost", {"versions": versions(v3=version(V3, S.SUPERSEDED))}),
    ("lost", {"versions": versions(v3=version(V3, S.ROLLOUT_FAILED))}),
    ("lost", {"deployed": (Deployed(V1, GOOD), Deployed(V2, BAD), Deployed(V3, BAD))}),
    ("lost", {"deployed": (Deployed(V1, GOOD), Deployed(V2, GOOD), Deployed(V3, GOOD))}),
    ("lost", {"logs": without("Attempt 3 of 4 failed")}),
    ("lost", {"active": {APP: 1}}),
    ("lost", {"active": {APP: None}}),
    ("lost", {"waiting": {"due": 1}}),
    ("lost", {"leases": (V2,)}),
    ("doubled", {"deployed": WELL.deployed[:2]}),
    ("doubled", {"versions": versions(v1=version(V1, S.ACTIVE, attempt=2, image_digest=DIGESTS[V1]))}),
    ("doubled", {"activity": more(note("active", 2))}),
    ("doubled", {"activity": more(note("active", 1))}),
    ("doubled", {"activity": more(note("deployed", 3))}),
    ("doubled", {"activity": {APP: (*WELL.activity[APP][:3], note("active", 2), note("active", 1))}}),
    ("doubled", {"logs": log(lambda lines: lines.append(line(V2, 1, "Version 2 is built: again")))}),
    ("doubled", {"runs": run(1, token=1)}),
    ("doubled", {"runs": run(0, seen_at=125)}),
    ("doubled", {"runs": run(2, ended_at=None)}),
    ("doubled", {"pushed": {V1: WELL.pushed[V1]}}),
    ("doubled", {"pushed": pushed(tag_digest=DIGESTS[V1])}),
    ("doubled", {"pushed": pushed(recorded=False)}),
    ("doubled", {"pushed": pushed(run=1)}),
    ("doubled", {"pushed": pushed(run=None)}),
    ("doubled", {"pushed": pushed(labels=label(V1))}),
    ("doubled", {"logs": without("run 2 stdout 4/4")}),
    ("leaked", {"left": ("container chaos-build-app-1.example.com-v1-1",)}),
    ("over budget", {"versions": versions(v3=version(V3, S.BUILD_FAILED, attempt=5))}),
    ("over budget", {"began": (*WELL.began, Began(V3, 5, 140, "build-2", 22))}),
    ("over budget", {"began": (*WELL.began, Began(V2, 1, 119.5, "build-1", 12))}),
    ("garbled", {"logs": without("run 1 stdout 2/4")}),
    ("garbled", {"logs": without("run 0 stdout 1/4")}),
    ("garbled", {"logs": log(lambda lines: lines.insert(4, lines[3]))}),
    ("garbled", {"logs": log(lambda lines: lines.insert(3, lines.pop(4)))}),
    ("garbled", {"logs": log(lambda lines: lines.append(line(V2, 1, "run 2 stdo")))}),
    ("garbled", {"logs": log(lambda lines: lines.insert(1, line(V1, 1, "run 0 stdo")))}),
    ("garbled", {"logs": without("run 4 stdout 2/2")}),
    ("garbled", {"logs": without("was lost")}),
    ("garbled", {"logs": without("for good")}),
    ("garbled", {"logs": log(lambda lines: lines.append(failed(2, "again")))}),
    ("garbled", {"logs": log(lambda lines: lines.append(line(V3, 4, "The build of version 3 has failed for good")))}),
    ("garbled", {"logs": log(lambda lines: lines.append(line(V2, 1, "Attempt 1 of 4 failed: Unexpected KeyError")))}),
    ("exposed", {"texts": {"logs": f"The secret is {SECRET}."}}),
    ("crashed", {"accidents": ("build-1 ended by itself",)}),
    ("late", {"began": (WELL.began[0], WELL.began[1]._replace(at=112), *WELL.began[2:])}),
]  # fmt: skip


def test_a_world_in_which_all_is_well_violates_nothing() -> None:
    assert violations(WELL) == {name: [] for name in CHECKS}


def test_a_script_may_be_ended_in_the_middle_of_a_line() -> None:
    """Its engine was killed, say, between two pieces of what it printed."""
    cut_off = log(lambda lines: lines.insert(2, line(V1, 1, "run 0 stdo")))
    assert violations(replace(WELL, logs=cut_off)) == {name: [] for name in CHECKS}


@pytest.mark.parametrize(("name", "changed"), VIOLATED)
def test_a_violation_is_found(name: str, changed: dict[str, Any]) -> None:
    assert violations(replace(WELL, **changed))[name]


def test_every_check_has_a_world_that_violates_it() -> None:
    assert {name for name, _ in VIOLATED} == CHECKS.keys()


def test_an_attempt_that_was_handed_back_may_begin_again() -> None:
    replaced = FaultRecord("replace-worker", at=119.2, until=119.2, member="build-2")
    again = replace(WELL, began=(*WELL.began, Began(V2, 1, 119.5, "build-3", 31)))
    assert violations(again)["over budget"]
    assert not violations(replace(again, faults=(*WELL.faults, replaced)))["over budget"]


def test_output_that_was_too_much_is_complete_if_the_log_counts_what_is_missing() -> None:
    def shorten(told: int) -> Callable[[list[LogLine]], None]:
        def change(lines: list[LogLine]) -> None:
            middle = next(i for i, one in enumerate(lines) if one.text.startswith("run 2 stdout 2/4"))
            lines[middle : middle + 2] = [line(V2, 1, f"Left out here: {told} lines (99 bytes).")]

        return change

    assert not any(violations(replace(WELL, logs=log(shorten(2)))).values())
    assert violations(replace(WELL, logs=log(shorten(1))))["doubled"]


def test_recovery_is_measured_from_the_fault_that_hit_the_attempt() -> None:
    others = (
        FaultRecord("kill-worker", at=100.5, until=100.5, member="build-9", aim="deadly"),
        FaultRecord("kill-child", at=100.6, until=100.6, member="build-1", pid=12, aim="deadly"),
    )
    (found,) = recoveries(replace(WELL, faults=(*others, *WELL.faults)))
    assert (found.ref, found.fault, found.seconds) == (V1, "kill-worker", 5)


def test_what_else_was_broken_meanwhile_makes_the_bound_longer() -> None:
    slow = replace(WELL, began=(WELL.began[0], WELL.began[1]._replace(at=112), *WELL.began[2:]))
    outage = FaultRecord("stop-registry", at=102, until=105, aim="outage")
    assert violations(slow)["late"]
    assert not violations(replace(slow, faults=(*WELL.faults, outage)))["late"]


def test_the_report_counts_builds_faults_and_violations() -> None:
    bad = replace(WELL, leases=(V2,))
    text = "\n".join(report(bad, violations(bad), settled_s=1))
    assert "builds       3 (active 1, build_failed 1, retired 1), 7 attempts" in text
    assert "faults       1 (kill-worker 1)" in text
    assert re.search(
        rf"^lost         1 \(versions that .*\)\n  {re.escape(str(V2))} still has a lease", text, re.MULTILINE
    )
    assert "doubled      0 (versions made, built or activated twice" in text
    assert "exposed      0 (secrets in " in text
    assert "median 5.0 s, maximum 5.0 s of 1" in text


def test_the_page_names_every_fault_and_every_check() -> None:
    rows = re.findall(r"^\| `([a-z -]+)` \|", (ROOT / "docs" / "chaos.md").read_text(), re.MULTILINE)
    assert rows == [*(fault.name for fault in faults.ALL), *CHECKS]


def test_a_choice_can_be_repeated() -> None:
    choice = choose({"CHAOS_SEED": "7", "CHAOS_BUILDS": "3", "CHAOS_FAULTS": "cancel,kill-worker"})
    assert choice.command == "make chaos CHAOS_SEED=7 CHAOS_BUILDS=3 CHAOS_FAULTS=cancel,kill-worker"
    assert [fault.name for fault in choice.faults] == ["cancel", "kill-worker"]


@pytest.mark.parametrize(
    "wrong", [{"CHAOS_BUILDS": "0"}, {"CHAOS_SEED": "x"}, {"CHAOS_FAULTS": "earthquake"}]
)
def test_a_choice_that_makes_no_sense_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(BadChoiceError, match=next(iter(wrong))):
        choose(wrong)
