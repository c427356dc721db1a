"""Watching a version to its end, and reading what is there."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, cast

import pytest

from galaxy.adapters.store.apps import AppList
from galaxy.adapters.store.keys import Keys
from galaxy.domain.deploys.waiting import WaitReason
from galaxy.domain.diagnosis.fleet import WorkerFacts
from galaxy.domain.errors import QueueError, StoreError
from galaxy.domain.log import START, LogBlock, LogFilter
from galaxy.domain.states import VersionState
from galaxy.services.queries import Progress, Queries
from tests.support.stores import APP, bring_to, build, claim
from tests.support.workshop import PREFIX, Workshop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from galaxy.adapters.queue import TaskQueue
    from galaxy.domain.models import VersionRef

S = VersionState
BUILDER = WorkerFacts(name="b@x", queues=("builds",), slots=1)


@dataclass
class Workers:
    """The workers that answer. `on_ask`: what happens while they are asked."""

    answer: tuple[WorkerFacts, ...] | QueueError = ()
    asked: int = 0
    on_ask: Callable[[], object] = field(default=lambda: None)

    def workers(self, *, wait_s: float) -> tuple[WorkerFacts, ...]:
        assert wait_s > 0
        self.asked += 1
        self.on_ask()
        if isinstance(self.answer, QueueError):
            raise self.answer
        return self.answer


@dataclass
class Clock:
    """Goes on by a second with each look."""

    now: float = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def workshop() -> Iterator[Workshop]:
    workshop = Workshop()
    yield workshop
    workshop.close()


@pytest.fixture
def workers() -> Workers:
    return Workers()


@pytest.fixture
def queries(workshop: Workshop, workers: Workers) -> Queries:
    return Queries(
        workshop.store,
        AppList(workshop.store._redis, Keys(PREFIX)),
        workshop.log,
        workshop.announcer,
        cast("TaskQueue", workers),
        first_hint_after_s=5,
        further_hints_every_s=30,
        clock=Clock(),
    )


def texts(seen: list[Progress]) -> list[str]:
    return [line.text for progress in seen for line in progress.lines]


@pytest.mark.parametrize(
    ("state", "failed"),
    [
        (S.ACTIVE, False),
        (S.RETIRED, False),
        (S.BUILD_FAILED, True),
        (S.CANCELLED, True),
        (S.SUPERSEDED, True),
    ],
)
def test_watching_a_final_version_shows_its_log_and_ends(
    workshop: Workshop, queries: Queries, state: VersionState, *, failed: bool
) -> None:
    ref, _ = bring_to(workshop.store, state)
    seen = list(queries.watch(ref, START))
    assert (seen[-1].version.state, seen[-1].version.failed) == (state, failed)
    assert "ada deployed version 1" in texts(seen)[0]
    # nobody had told the log of these moves: whoever watches does not miss them
    assert len(texts(seen)) > 1


def test_a_version_is_watched_until_it_is_final(workshop: Workshop, queries: Queries) -> None:
    ref = workshop.deploy()
    seen = []
    for progress in queries.watch(ref, START):
        seen.append(progress)
        if len(seen) == 2:
            build(workshop.store, ref)
            workshop.store.begin_rollout(ref)
            assert progress.unfinished
        if len(seen) == 4:
            workshop.store.activate(ref)
    assert [seen[0].version.state, seen[-1].version.state] == [S.QUEUED, S.ACTIVE]
    assert "is active now" in texts(seen)[-1]


def test_watching_ends_however_much_others_write(workshop: Workshop, queries: Queries) -> None:
    ref, _ = bring_to(workshop.store, S.ACTIVE)
    watch = queries.watch(ref, START)
    seen = []
    for progress in watch:
        seen.append(progress)
        workshop.log.append(APP, [LogBlock("GET /", at_ms=1, version=9)] * 40)
        assert len(seen) < 20
    assert "is active now" in texts(seen)[-1]


def test_lines_of_others_in_between_end_nothing(workshop: Workshop, queries: Queries) -> None:
    """The log is read in pages; a page may hold nothing of the version, and the next one its last word."""
    ref, _ = bring_to(workshop.store, S.ACTIVE)
    workshop.log.append(APP, [LogBlock("of another", at_ms=1, version=9) for _ in range(300)])
    workshop.log.append(APP, [LogBlock("its last word", at_ms=1, version=1)])
    assert "its last word" in texts(list(queries.watch(ref, START)))


def test_only_wanted_lines_are_shown(workshop: Workshop, queries: Queries) -> None:
    ref, _ = bring_to(workshop.store, S.BUILD_FAILED)
    shown = texts(list(queries.watch(ref, START, LogFilter(version=1, errors=True))))
    assert shown
    assert all("deployed" not in text for text in shown)


def test_logs_that_are_away_for_a_moment_do_not_end_watching(
    workshop: Workshop, queries: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref, _ = bring_to(workshop.store, S.ACTIVE)
    answers = iter([StoreError("The logs' Redis can't be reached.")] * 2)
    ask = workshop.log.cursor_now

    def cursor_now(app: str) -> str:
        for error in answers:
            raise error
        return ask(app)

    monkeypatch.setattr(workshop.log, "cursor_now", cursor_now)
    assert "is active now" in texts(list(queries.watch(ref, START)))[-1]


def waiting_while(queries: Queries, ref: VersionRef, looks: int) -> list[tuple[int, WaitReason]]:
    """In which of the first looks, one a second, it was told that the version waits, and why."""
    seen = islice(queries.watch(ref, START), looks)
    return [(at, progress.waiting.reason) for at, progress in enumerate(seen) if progress.waiting]


def test_a_version_that_nobody_begins_is_wondered_at_after_seconds_and_again_every_half_minute(
    workshop: Workshop, queries: Queries, workers: Workers
) -> None:
    ref = workshop.deploy()
    assert waiting_while(queries, ref, 50) == [(5, WaitReason.NO_WORKER), (35, WaitReason.NO_WORKER)]
    assert workers.asked == 2


def test_a_version_that_is_begun_soon_costs_no_question(
    workshop: Workshop, queries: Queries, workers: Workers
) -> None:
    ref = workshop.deploy()
    claim(workshop.store, ref)
    assert waiting_while(queries, ref, 50) == []
    assert workers.asked == 0


def test_busy_slots_are_told_from_missing_workers(
    workshop: Workshop, queries: Queries, workers: Workers
) -> None:
    workers.answer = (BUILDER,)
    bring_to(workshop.store, S.BUILDING, "other.example.com")
    ref = workshop.deploy()
    assert waiting_while(queries, ref, 10) == [(5, WaitReason.NO_FREE_SLOT)]


def test_a_broker_that_is_away_is_why_a_version_waits(
    workshop: Workshop, queries: Queries, workers: Workers
) -> None:
    workers.answer = QueueError("The broker can't be reached.")
    assert waiting_while(queries, workshop.deploy(), 10) == [(5, WaitReason.BROKER_AWAY)]


def test_a_version_that_is_begun_while_workers_are_asked_is_not_said_to_wait(
    workshop: Workshop, queries: Queries, workers: Workers
) -> None:
    ref = workshop.deploy()
    workers.on_ask = lambda: claim(workshop.store, ref)
    assert waiting_while(queries, ref, 10) == []
    assert workers.asked == 1


def test_apps_are_named_as_people_write_them(workshop: Workshop, queries: Queries) -> None:
    bring_to(workshop.store, S.ACTIVE)
    written = APP.upper()
    assert [each.app for each in queries.apps()] == [APP]
    assert queries.app(written).active_version == 1
    assert queries.version(written, 1) == queries.versions(written)[0]
    assert [entry.version for entry in queries.activity(written)] == [1, 1, 1]


def test_the_log_is_read_from_its_end_or_from_a_time_on(workshop: Workshop, queries: Queries) -> None:
    ref = workshop.deploy()
    workshop.log.append(APP, [LogBlock("one\ntwo\nthree", at_ms=1, version=ref.number)])
    page = queries.newest_lines(APP, 2)
    assert [line.text for line in page.lines] == ["two", "three"]
    pages = list(queries.lines_since(APP, 1))
    assert [line.text for page in pages for line in page.lines][-3:] == ["one", "two", "three"]
    assert pages[-1].cursor == page.cursor
    workshop.log.append(APP, [LogBlock("four", at_ms=1)])
    assert [line.text for line in next(queries.follow(APP, page.cursor)).lines] == ["four"]
