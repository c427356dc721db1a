from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from galaxy.domain.diagnosis.finding import Finding, Severity
from galaxy.domain.diagnosis.fleet import (
    Unfinished,
    WorkerFacts,
    judge_heartbeats,
    judge_queues,
    judge_versions,
    judge_workers,
)
from galaxy.domain.fleet import BUILD_WORKER, CONTROL_WORKER, Queue
from galaxy.domain.heartbeats import BEAT, POLL, RECONCILE, Heartbeat, reaper_of
from galaxy.domain.models import VersionRef
from galaxy.domain.states import VersionState

if TYPE_CHECKING:
    from collections.abc import Iterable

KINDS = (
    replace(BUILD_WORKER, queues=(Queue.BUILDS,)),
    replace(CONTROL_WORKER, queues=(Queue.CONTROL,)),
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
    assert bad(judge_workers([BUILD, CONTROL], kinds=KINDS, code="c", settings=OURS)) == []


@pytest.mark.parametrize(("there", "missing"), [(BUILD, "control"), (CONTROL, "builds")])
def test_a_queue_that_nobody_serves_is_a_problem(there: WorkerFacts, missing: str) -> None:
    (finding,) = bad(judge_workers([there], kinds=KINDS, code="c", settings=OURS))
    assert finding.level is Severity.PROBLEM
    assert f"serves {missing}:" in finding.found
    assert f"-Q {missing}" in finding.advice


def test_other_code_and_other_settings_are_told_by_name() -> None:
    other = BUILD.model_copy(update={"code": "d", "settings": {"GALAXY_LEASE_S": "5.0"}})
    code, settings = bad(judge_workers([other, CONTROL], kinds=KINDS, code="c", settings=OURS))
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
    (finding,) = bad(judge_versions([version], workers, patience_s=30))
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
    assert bad(judge_versions([version], [], patience_s=30)) == []


def test_many_waiting_versions_are_named_in_part() -> None:
    versions = [Unfinished(VersionRef(f"a{n}", 1), VersionState.QUEUED, 100, 0) for n in range(9)]
    (finding,) = bad(judge_versions(versions, [], patience_s=30))
    assert "9 versions waiting, for up to 100 s: version 1 of a0" in finding.found
    assert "and 6 more" in finding.found


def heartbeats(**ages_s: float) -> dict[str, Heartbeat]:
    return {name: Heartbeat(0, age_s) for name, age_s in ages_s.items()}


def judged(its: dict[str, Heartbeat], workers: list[WorkerFacts] | None = None) -> list[Finding]:
    return list(judge_heartbeats(its, workers, reconcile_period_s=5, reap_period_s=20))


def test_heartbeats_that_come_are_fine() -> None:
    fresh = heartbeats(**{BEAT: 55, RECONCILE: 55, reaper_of("build@one"): 130, POLL: 599, "new": 3})
    assert [finding.level for finding in judged(fresh)] == [Severity.OK] * 5


@pytest.mark.parametrize(
    ("its", "told"),
    [
        ({}, "has not been seen"),
        (heartbeats(**{BEAT: 56, RECONCILE: 56, POLL: 601}), "last seen 56 s ago"),
        (heartbeats(**{BEAT: 7200, RECONCILE: 7200, POLL: 7200}), "last seen 2 h ago"),
    ],
)
def test_a_beat_that_stands_still_is_a_problem_with_its_age(its: dict[str, Heartbeat], told: str) -> None:
    beat, reconciler, poller = bad(judged(its))
    assert {beat.level, reconciler.level, poller.level} == {Severity.PROBLEM}
    assert told in beat.found
    assert "celery -A workers beat" in beat.advice


def test_an_engine_that_nobody_sweeps_is_told_by_whether_its_worker_answers() -> None:
    its = heartbeats(**{BEAT: 1, RECONCILE: 1, POLL: 1, reaper_of(BUILD.name): 131})
    (stuck,) = bad(judged(its, [BUILD]))
    assert (stuck.level, "last swept 2 min ago" in stuck.found) == (Severity.PROBLEM, True)
    (gone,) = bad(judged(its, [CONTROL]))
    assert (gone.level, "build@one vanished 2 min ago" in gone.found) == (Severity.WARNING, True)


def started(*ready_for_s: float | None) -> list[WorkerFacts]:
    return [CONTROL.model_copy(update={"ready_for_s": seconds}) for seconds in ready_for_s]


@pytest.mark.parametrize("its", [{}, heartbeats(**{BEAT: 7200, RECONCILE: 7200, POLL: 7200})])
def test_a_fleet_that_was_just_started_has_half_a_minute_for_its_first_heartbeats(
    its: dict[str, Heartbeat],
) -> None:
    findings = judged(its, started(2, 29.9))
    assert bad(findings) == []
    assert all("The fleet started 30 s ago." in each.found for each in findings)
    assert len(bad(judged(its, started(2, 30)))) == 3
    assert len(bad(judged(its, started(2, None)))) == 3, "a worker that does not tell its age is not new"
    assert len(bad(judged(its, []))) == 3, "nobody answers, so nothing was started"
    assert len(bad(judged(its, None))) == 3


def test_a_long_period_gives_a_new_fleet_more_time() -> None:
    late = list(judge_heartbeats({}, started(119), reconcile_period_s=60, reap_period_s=20))
    assert bad(late) == []
    assert len(bad(judge_heartbeats({}, started(120), reconcile_period_s=60, reap_period_s=20))) == 3


@pytest.mark.parametrize(("ready_for_s", "problems"), [(39.9, 0), (40, 1), (None, 1)])
def test_a_build_worker_that_was_just_started_has_time_for_its_first_sweep(
    ready_for_s: float | None, problems: int
) -> None:
    its = heartbeats(**{BEAT: 1, RECONCILE: 1, POLL: 1, reaper_of(BUILD.name): 7200})
    worker = BUILD.model_copy(update={"ready_for_s": ready_for_s})
    assert len(bad(judged(its, [worker, *started(7200)]))) == problems


def test_one_worker_and_several_workers_with_other_code_are_counted_rightly() -> None:
    others = [BUILD.model_copy(update={"name": f"{name}@one", "code": "d"}) for name in ("a", "b", "c")]
    (one,) = bad(judge_workers([others[0], CONTROL], kinds=KINDS, code="c", settings=OURS))
    assert (one.found, "Restart it " in one.advice) == ("a@one runs other code than this command.", True)
    (several,) = bad(judge_workers([*others, CONTROL], kinds=KINDS, code="c", settings=OURS))
    assert several.found == "a@one, b@one and c@one run other code than this command."
    assert "Restart them " in several.advice
