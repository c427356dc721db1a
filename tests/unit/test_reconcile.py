"""Whatever waits or was lost goes on without a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from galaxy.adapters.store.keys import Keys
from galaxy.domain.errors import QueueError
from galaxy.domain.heartbeats import RECONCILE
from galaxy.domain.states import VersionState
from tests.support.stores import RAINED, bring_to, build, claim, deploy
from tests.support.workshop import PREFIX, Workshop

if TYPE_CHECKING:
    from collections.abc import Iterator

S = VersionState


@pytest.fixture
def workshop() -> Iterator[Workshop]:
    workshop = Workshop()
    yield workshop
    workshop.close()


def test_a_lost_worker_is_told_and_its_version_enqueued_again(workshop: Workshop) -> None:
    ref = deploy(workshop.store)
    claim(workshop.dying, ref)
    assert workshop.reconciler.run() == 1
    version = workshop.version(ref)
    assert (version.state, version.attempt) == (S.RETRYING, 1)
    assert "The worker that ran this attempt was lost." in workshop.text()
    assert {line.attempt for line in workshop.lines()[1:]} == {1}
    assert workshop.queue.builds == [(ref, 1)]
    assert workshop.store.claim(ref)


def test_a_version_whose_workers_are_all_lost_fails_for_good(workshop: Workshop) -> None:
    ref = deploy(workshop.store)
    for attempt in range(1, 5):
        claim(workshop.dying, ref)
        workshop.reconciler.run()
        assert workshop.version(ref).attempt == attempt
    assert workshop.version(ref).state is S.BUILD_FAILED
    assert "has failed for good" in workshop.text()
    assert [retries for _, retries in workshop.queue.builds] == [1, 2, 3]
    assert workshop.reconciler.run() == 0


def test_an_attempt_that_lives_is_left_alone(workshop: Workshop) -> None:
    claim(workshop.store, deploy(workshop.dying))
    assert workshop.reconciler.run() == 0
    assert workshop.queue.builds == []


@pytest.mark.parametrize("attempts", [0, 1])
def test_a_lost_message_is_sent_again(workshop: Workshop, attempts: int) -> None:
    ref = deploy(workshop.dying)
    for _ in range(attempts):
        attempt = claim(workshop.store, ref)
        # two seconds ago: a retry's own message gets that much time
        workshop.store.fail(attempt, RAINED, retry_in_s=-2, steps=())
    assert workshop.reconciler.run() == 1
    assert workshop.queue.builds == [(ref, attempts)]


def test_a_message_that_waits_in_a_full_queue_is_not_sent_again(workshop: Workshop) -> None:
    deploy(workshop.dying)
    workshop.queue.waiting = 1000
    assert workshop.reconciler.run() == 1
    assert workshop.queue.builds == []


def test_a_message_that_waits_for_very_long_is_sent_again(workshop: Workshop) -> None:
    ref = deploy(workshop.dying)
    workshop._redis.hincrby(Keys(PREFIX).version(*ref), "enqueued_at", -601_000)
    workshop.queue.waiting = 1000
    workshop.reconciler.run()
    assert workshop.queue.builds == [(ref, 0)]


@pytest.mark.parametrize(("broker_age_s", "sent"), [(39, 1), (45, 0)])
def test_what_was_enqueued_before_the_broker_lost_everything_is_sent_again_though_others_wait(
    workshop: Workshop, broker_age_s: float, sent: int
) -> None:
    ref = deploy(workshop.dying)
    workshop._redis.hincrby(Keys(PREFIX).version(*ref), "enqueued_at", -40_000)
    workshop.queue.waiting = 1000
    workshop.queue.age = broker_age_s
    workshop.reconciler.run()
    assert workshop.queue.builds == [(ref, 0)] * sent


@pytest.mark.parametrize("state", [S.BUILT, S.ROLLING_OUT])
def test_a_built_version_that_nobody_rolls_out_is_enqueued(workshop: Workshop, state: VersionState) -> None:
    ref = deploy(workshop.dying)
    build(workshop.dying, ref)
    if state is S.ROLLING_OUT:
        workshop.dying.begin_rollout(ref)
    assert workshop.reconciler.run() == 1
    assert workshop.queue.rollouts == [ref]


def test_final_versions_are_not_looked_at(workshop: Workshop) -> None:
    for number, state in enumerate((S.ACTIVE, S.BUILD_FAILED, S.CANCELLED)):
        bring_to(workshop.dying, state, f"app{number}.example.com")
    assert workshop.reconciler.run() == 0


def test_all_that_is_due_is_looked_at_once_page_by_page(workshop: Workshop) -> None:
    refs = [deploy(workshop.dying, f"app{number}.example.com") for number in range(5)]
    assert workshop.reconciler.run() == 5
    assert sorted(ref for ref, _ in workshop.queue.builds) == refs
    assert workshop.reconciler.run() == 0


def test_what_a_dead_reconciler_took_is_due_again(workshop: Workshop) -> None:
    ref = deploy(workshop.dying)
    assert [due.ref for due in workshop.dying.take_due(10)] == [ref]
    assert workshop.reconciler.run() == 1
    assert workshop.queue.builds == [(ref, 0)]


def test_a_broker_that_is_away_loses_nothing(workshop: Workshop) -> None:
    ref = deploy(workshop.dying)
    workshop.queue.away = QueueError("The broker can't be reached.")
    with pytest.raises(QueueError):
        workshop.reconciler.run()
    assert RECONCILE not in workshop.store.heartbeats(), "it did not do its work"
    workshop.queue.away = None
    assert workshop.reconciler.run() == 1
    assert RECONCILE in workshop.store.heartbeats()
    assert workshop.queue.builds == [(ref, 0)]
