from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from galaxy.domain.diagnosis.finding import Finding, Severity
from galaxy.domain.diagnosis.fleet import (
    Served,
    Unfinished,
    WorkerFacts,
    judge_queues,
    judge_ticks,
    judge_versions,
    judge_workers,
)
from galaxy.domain.heartbeats import BEAT, POLL, RECONCILE, Heartbeat, reaper_of
from galaxy.domain.models import VersionRef
from galaxy.domain.states import VersionState

if TYPE_CHECKING:
    from collections.abc import Iterable

KINDS = (
    Served("build worker", ("builds",), "builds wait"),
    Served("control worker", ("control",), "all waits"),
)
BUILD = WorkerFacts(
    name="build@one", queues=("builds",), slots=2, code="c", settings={"GALAXY_LEASE_S": "20.0"}
)
CONTROL = WorkerFacts(name="control@one", queues=("control",), slots=2, code="c")
OURS = {"GALAXY_LEASE_S": "20.0"}
REF = VersionRef("www.example.com", 3)


def bad(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level is not Severity.OK]


def test_a_whole_fleet_is_fine() -> None:
    assert bad(judge_workers([BUILD, CONTROL], KINDS, code="c", settings=OURS)) == []


@pytest.mark.parametrize(("there", "missing"), [(BUILD, "control"), (CONTROL, "builds")])
def test_a_queue_that_nobody_serves_is_a_problem(there: WorkerFacts, missing: str) -> None:
    (finding,) = bad(judge_workers([there], KINDS, code="c", settings=OURS))
    assert finding.level is Severity.PROBLEM
    assert f"serves {missing}:" in finding.found
    assert f"-Q {missing}" in finding.advice


def test_other_code_and_other_settings_are_told_by_name() -> None:
    other = BUILD.model_copy(update={"code": "d", "settings": {"GALAXY_LEASE_S": "5.0"}})
    code, settings = bad(judge_workers([other, CONTROL], KINDS, code="c", settings=OURS))
    assert "build@one runs other code" in code.found
    assert "GALAXY_LEASE_S is 5.0 there and 20.0 here" in settings.found
    assert {code.level, settings.level} == {Severity.WARNING}


def test_messages_that_nobody_takes_are_a_problem_and_many_messages_a_warning() -> None:
    (nobody,) = bad(judge_queues({"builds": 1, "control": 0}, [CONTROL]))
    assert (nobody.level, "1 message in builds" in nobody.found) == (Severity.PROBLEM, True)
    (many,) = bad(judge_queues({"builds": 1000}, [BUILD]))
    assert (many.level, "1000 messages" in many.found) == (Severity.WARNING, True)
    assert bad(judge_queues({"builds": 999}, [BUILD])) == []
    assert bad(judge_queues({"builds": 1}, None)) == []


def unfinished(state: VersionState, waiting_s: float = 0, lease_over_s: float = 0) -> Unfinished:
    return Unfinished(REF, state, waiting_s, lease_over_s)


@pytest.mark.parametrize(
    ("version", "workers", "level", "told"),
    [
        (unfinished(VersionState.QUEUED, 61), [], Severity.PROBLEM, "No build worker answers"),
        (unfinished(VersionState.RETRYING, 61), [CONTROL], Severity.PROBLEM, "No build worker answers"),
        (unfinished(VersionState.QUEUED, 601), [BUILD], Severity.WARNING, "version 3 of www.example.com"),
        (unfinished(VersionState.QUEUED, 601), None, Severity.WARNING, "for up to 10 min"),
        (unfinished(VersionState.BUILDING, 0, 31), [BUILD], Severity.PROBLEM, "1 attempt of lost workers"),
    ],
)
def test_versions_that_do_not_move_are_told(
    version: Unfinished, workers: list[WorkerFacts] | None, level: Severity, told: str
) -> None:
    (finding,) = bad(judge_versions([version], workers, building="builds", patience_s=30))
    assert finding.level is level
    assert told in finding.found


@pytest.mark.parametrize(
    "version",
    [
        unfinished(VersionState.QUEUED, 59),
        unfinished(VersionState.BUILDING, 0, 29),
        unfinished(VersionState.ROLLING_OUT),
    ],
)
def test_versions_that_move_are_not_complained_about(version: Unfinished) -> None:
    assert bad(judge_versions([version], [], building="builds", patience_s=30)) == []


def test_many_waiting_versions_are_named_in_part() -> None:
    versions = [Unfinished(VersionRef(f"a{n}", 1), VersionState.QUEUED, 100, 0) for n in range(9)]
    (finding,) = bad(judge_versions(versions, [], building="builds", patience_s=30))
    assert "9 versions waiting, for up to 100 s: version 1 of a0" in finding.found
    assert "and 6 more" in finding.found


def heartbeats(**ages_s: float) -> dict[str, Heartbeat]:
    return {name: Heartbeat(0, age_s) for name, age_s in ages_s.items()}


def judged_ticks(its: dict[str, Heartbeat], workers: list[WorkerFacts] | None = None) -> list[Finding]:
    return list(judge_ticks(its, workers, reconcile_period_s=5, reap_period_s=20))


def test_ticks_that_come_are_fine() -> None:
    fresh = heartbeats(**{BEAT: 55, RECONCILE: 55, reaper_of("build@one"): 130, POLL: 599, "new": 3})
    assert [finding.level for finding in judged_ticks(fresh)] == [Severity.OK] * 5


@pytest.mark.parametrize(
    ("its", "told"),
    [
        ({}, "has not been seen"),
        (heartbeats(**{BEAT: 56, RECONCILE: 56, POLL: 601}), "last seen 56 s ago"),
        (heartbeats(**{BEAT: 7200, RECONCILE: 7200, POLL: 7200}), "last seen 2 h ago"),
    ],
)
def test_a_beat_that_stands_still_is_a_problem_with_its_age(its: dict[str, Heartbeat], told: str) -> None:
    beat, reconciler, poller = bad(judged_ticks(its))
    assert {beat.level, reconciler.level, poller.level} == {Severity.PROBLEM}
    assert told in beat.found
    assert "celery -A workers beat" in beat.advice


def test_an_engine_that_nobody_sweeps_is_told_by_whether_its_worker_answers() -> None:
    its = heartbeats(**{BEAT: 1, RECONCILE: 1, POLL: 1, reaper_of(BUILD.name): 131})
    (stuck,) = bad(judged_ticks(its, [BUILD]))
    assert (stuck.level, "last swept 2 min ago" in stuck.found) == (Severity.PROBLEM, True)
    (gone,) = bad(judged_ticks(its, [CONTROL]))
    assert (gone.level, "build@one vanished 2 min ago" in gone.found) == (Severity.WARNING, True)
