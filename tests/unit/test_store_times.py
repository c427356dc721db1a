"""When the store lets something begin, end or be done again: to the millisecond, by a clock that the tests move."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from galaxy.adapters.store.base_images import BaseImageStore
from galaxy.adapters.store.keys import Keys
from galaxy.domain.base_images.checks import CheckLease, CheckPostponed
from galaxy.domain.base_images.fan_out import HandOut
from galaxy.domain.heartbeats import BEAT, RECONCILE
from galaxy.domain.models import Attempt, NotClaimed
from galaxy.domain.states import VersionState
from tests.support.clock import RedisClock
from tests.support.fake_redis import fake_redis
from tests.support.stores import APP, BUILT, RAINED, claim, deploy, make_store, new_version
from tests.support.updates import IMAGE, Harbour

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

    from tests.support.stores import AllStores

S = VersionState
LEASE_S, REQUEUE_S, DAY_S = 60.0, 90.0, 86_400.0
A_MOMENT_S = 0.001
HOST = "docker.io"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> RedisClock:
    return RedisClock(monkeypatch)


@pytest.fixture
def redis() -> Iterator[Redis]:
    with fake_redis(decode_responses=True) as client:
        yield client


@pytest.fixture
def store(redis: Redis) -> AllStores:
    return make_store(redis, "times", lease_s=LEASE_S, requeue_after_s=REQUEUE_S)


@pytest.fixture
def images(redis: Redis) -> BaseImageStore:
    """Two requests a second, and ten at once."""
    return BaseImageStore(redis, Keys("times"), lease_s=LEASE_S, requests_per_s=2)


def depend_on(store: AllStores, *images: str) -> None:
    """Deploys an app on each of these base images."""
    for number, image in enumerate(images):
        new = new_version(f"app{number}.example.com").model_copy(
            update={"base_image": image, "base_reference": image}
        )
        store.create_version(new, idempotency_key=image, fingerprint="f", retention_s=60)


# -- attempts


def test_a_retry_begins_at_its_time_and_not_a_moment_before(store: AllStores, clock: RedisClock) -> None:
    ref = deploy(store)
    store.fail(claim(store, ref), RAINED, retry_in_s=10, steps=())
    assert store.version(ref).retry_at_ms == clock.now_ms + 10_000
    clock.advance(10 - A_MOMENT_S)
    assert store.claim(ref) is NotClaimed.NOT_DUE
    clock.advance(A_MOMENT_S)
    assert isinstance(store.claim(ref), Attempt)


def test_a_failure_that_is_told_again_says_how_long_there_is_still_to_wait(
    store: AllStores, clock: RedisClock
) -> None:
    attempt = claim(store, deploy(store))
    for waited, left in ((0, 10.0), (4, 6.0), (7, 0.0)):
        clock.advance(waited)
        failure = store.fail(attempt, RAINED, retry_in_s=10, steps=())
        assert not isinstance(failure, VersionState)
        assert (failure.state, failure.attempt, failure.retry_in_s) == (S.RETRYING, 1, left)


def test_a_lease_holds_until_its_last_moment(store: AllStores, clock: RedisClock) -> None:
    ref = deploy(store)
    attempt = claim(store, ref)
    clock.advance(1)
    assert store.renew(attempt) is None
    clock.advance(LEASE_S - A_MOMENT_S)
    assert store.claim(ref) is NotClaimed.HELD
    assert store.end_lost(ref, RAINED) is None
    clock.advance(A_MOMENT_S)
    assert store.claim(ref) is NotClaimed.EXPIRED
    ended = store.end_lost(ref, RAINED)
    assert ended
    assert (ended.state, ended.attempt, ended.retry_in_s) == (S.RETRYING, 1, 0)
    assert store.renew(attempt) is S.RETRYING


# -- what is due


def test_a_version_is_due_when_its_message_is_overdue_and_again_as_much_later(
    store: AllStores, clock: RedisClock
) -> None:
    ref = deploy(store)
    for times in (1, 2):
        clock.advance(REQUEUE_S - A_MOMENT_S)
        assert store.take_due(10) == ()
        clock.advance(A_MOMENT_S)
        (due,) = store.take_due(10)
        assert (due.ref, due.state, due.attempt, due.waited_s) == (ref, S.QUEUED, 0, times * REQUEUE_S)
    store.mark_enqueued(ref)
    clock.advance(REQUEUE_S)
    (due,) = store.take_due(10)
    assert due.waited_s == REQUEUE_S


def test_a_built_version_is_due_when_its_rollout_is_overdue(store: AllStores, clock: RedisClock) -> None:
    ref = deploy(store)
    store.finish(claim(store, ref), BUILT, ())
    for state, step in ((S.BUILT, store.begin_rollout), (S.ROLLING_OUT, store.activate)):
        clock.advance(REQUEUE_S - A_MOMENT_S)
        assert store.take_due(10) == ()
        clock.advance(A_MOMENT_S)
        assert [due.state for due in store.take_due(10)] == [state]
        step(ref)
    clock.advance(10 * REQUEUE_S)
    assert store.take_due(10) == ()


def test_an_attempt_that_is_handed_back_is_due_at_once_and_not_counted(
    store: AllStores, clock: RedisClock
) -> None:
    ref = deploy(store)
    clock.advance(1)
    attempt = claim(store, ref)
    assert store.hand_back(attempt) is None
    assert store.hand_back(attempt) is None
    (due,) = store.take_due(10)
    assert (due.ref, due.attempt) == (ref, 0)
    assert claim(store, ref).number == 1


def test_what_waits_and_what_is_overdue_is_told_with_how_long(store: AllStores, clock: RedisClock) -> None:
    ref = deploy(store)
    clock.advance(5)
    assert [(each.ref, each.state, each[2:]) for each in store.unfinished(10)] == [(ref, S.QUEUED, (5, 0))]
    attempt = claim(store, ref)
    clock.advance(LEASE_S)
    assert [each[1:] for each in store.unfinished(10)] == [(S.BUILDING, 0, 0)]
    clock.advance(2)
    assert [each[1:] for each in store.unfinished(10)] == [(S.BUILDING, 0, 2)]
    store.fail(attempt, RAINED, retry_in_s=10, steps=())
    clock.advance(9)
    assert [each[1:] for each in store.unfinished(10)] == [(S.RETRYING, 0, 0)]
    clock.advance(4)
    assert [each[1:] for each in store.unfinished(10)] == [(S.RETRYING, 3, 0)]


def test_as_many_unfinished_versions_are_told_as_are_asked_for(store: AllStores, clock: RedisClock) -> None:
    apps = ["a.example.com", "b.example.com", "c.example.com"]
    for app in apps:
        deploy(store, app)
        clock.advance(1)
    assert [each.ref.app for each in store.unfinished(2)] == apps[:2]


# -- signs of life


def test_a_heartbeat_is_forgotten_after_a_day(store: AllStores, clock: RedisClock) -> None:
    store.record_heartbeat(RECONCILE)
    recorded_ms = clock.now_ms
    clock.advance(DAY_S)
    store.record_heartbeat(BEAT)
    heartbeats = store.heartbeats()
    assert (heartbeats[RECONCILE].at_ms, heartbeats[RECONCILE].age_s) == (recorded_ms, DAY_S)
    assert (heartbeats[BEAT].at_ms, heartbeats[BEAT].age_s) == (clock.now_ms, 0)
    clock.advance(A_MOMENT_S)
    store.record_heartbeat(BEAT)
    assert store.heartbeats().keys() == {BEAT}


# -- checks of base images


def test_a_base_image_is_checked_again_when_its_checks_lease_has_run_out(
    store: AllStores, images: BaseImageStore, clock: RedisClock
) -> None:
    depend_on(store, IMAGE)
    (first,) = images.take_checks(10)
    clock.advance(LEASE_S - A_MOMENT_S)
    assert images.take_checks(10) == ()
    assert images.take_check(IMAGE) == CheckPostponed(A_MOMENT_S, being_checked=True)
    clock.advance(A_MOMENT_S)
    (second,) = images.take_checks(10)
    assert second.token != first.token


def test_a_registry_is_asked_as_often_as_its_budget_allows(
    store: AllStores, images: BaseImageStore, clock: RedisClock
) -> None:
    names = [f"{HOST}/library/image{number:02}:1" for number in range(14)]
    depend_on(store, *names)
    assert [check.image for check in images.take_checks(100)] == names[:10]
    due = [(images.base_image(name).next_check_ms - clock.now_ms) / 1000 for name in names[10:]]
    assert due == [0.5, 1, 1.5, 2]  # each behind those that wait already
    assert images.take_check(names[10]) == CheckPostponed(0.5, being_checked=False)
    clock.advance(0.25)
    assert images.take_check(names[10]) == CheckPostponed(0.25, being_checked=False)
    clock.advance(0.25)
    assert [check.image for check in images.take_checks(100)] == names[10:11]
    assert images.take_check(names[11]) == CheckPostponed(0.5, being_checked=False)


def test_a_registry_that_was_left_alone_for_long_is_not_asked_more_than_ten_times_at_once(
    store: AllStores, images: BaseImageStore, clock: RedisClock
) -> None:
    depend_on(store, *(f"{HOST}/library/image{number:02}:1" for number in range(14)))
    assert len(images.take_checks(1)) == 1
    clock.advance(LEASE_S)
    assert len(images.take_checks(100)) == 10


def test_another_registry_has_a_budget_of_its_own(
    store: AllStores, images: BaseImageStore, clock: RedisClock
) -> None:
    names = [f"{HOST}/library/image{number:02}:1" for number in range(11)]
    other = "other.example.com/image:1"
    depend_on(store, *names, other)
    clock.advance(1)
    assert {check.image for check in images.take_checks(100)} == {*names[:10], other}


def test_a_registry_that_wants_a_pause_is_left_alone_until_its_end(
    store: AllStores, images: BaseImageStore, clock: RedisClock
) -> None:
    depend_on(store, IMAGE)
    images.pause(HOST, 5)
    images.pause(HOST, 2)  # ends earlier: the longer one counts
    assert images.pause_s(HOST) == 5
    assert images.take_check(IMAGE) == CheckPostponed(5, being_checked=False)
    clock.advance(5 - A_MOMENT_S)
    assert images.take_checks(10) == ()
    assert images.base_image(IMAGE).next_check_ms == clock.now_ms + 1
    clock.advance(A_MOMENT_S)
    assert images.pause_s(HOST) == 0
    assert isinstance(images.take_check(IMAGE), CheckLease)


# -- updates


@pytest.fixture
def harbour(redis: Redis, clock: RedisClock) -> Iterator[Harbour]:
    harbour = Harbour(redis, "times")
    harbour.tags.put("first")
    harbour.run_app(APP)
    harbour.check()
    harbour.settle()
    clock.advance(1000)
    harbour.tags.put("second")
    harbour.check()
    yield harbour
    harbour.close()


def test_an_app_is_asked_for_again_when_its_message_was_long_ago(harbour: Harbour, clock: RedisClock) -> None:
    update = harbour.updates.update(IMAGE)
    assert update
    assert harbour.updates.hand_out(update, HandOut([APP], APP, walked=True)) == [APP]
    for _ in range(2):
        clock.advance(30 - A_MOMENT_S)
        assert harbour.updates.take_forgotten(IMAGE, after_s=30, limit=10) == []
        clock.advance(A_MOMENT_S)
        assert harbour.updates.take_forgotten(IMAGE, after_s=30, limit=10) == [APP]


def test_an_update_that_has_work_left_is_taken_again_a_little_later(
    harbour: Harbour, clock: RedisClock
) -> None:
    update = harbour.updates.update(IMAGE)
    assert update
    assert update.started_at_ms == clock.now_ms
    clock.advance(1000)  # the check has taken it, too
    assert harbour.updates.take_updates(10, again_in_s=7) == [(IMAGE, update.number)]
    clock.advance(7 - A_MOMENT_S)
    assert harbour.updates.take_updates(10, again_in_s=7) == []
    clock.advance(A_MOMENT_S)
    assert harbour.updates.take_updates(10, again_in_s=7) == [(IMAGE, update.number)]
