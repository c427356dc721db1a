"""What the store answers when it is asked twice, too late, or about what is somebody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from galaxy.adapters.store.keys import Keys
from galaxy.adapters.store.leader import LeaderLock
from galaxy.domain.base_images.fan_out import HandOut
from galaxy.domain.base_images.updates import UpdateState
from galaxy.domain.heartbeats import BEAT
from galaxy.domain.states import VersionState
from tests.support.stores import APP, BUILT, build, claim, deploy, make_store
from tests.support.updates import IMAGE, Harbour

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from redis import Redis

    from galaxy.adapters.store.versions import VersionStore

S = VersionState


@pytest.fixture
def store(redis: Redis, key_prefix: str) -> VersionStore:
    return make_store(redis, key_prefix)


@pytest.fixture
def make_harbour(redis: Redis, key_prefix: str) -> Iterator[Callable[..., Harbour]]:
    made: list[Harbour] = []

    def make(**options: object) -> Harbour:
        made.append(Harbour(redis, key_prefix, **options))
        return made[-1]

    yield make
    for harbour in made:
        harbour.close()


# -- the lead


def test_one_leads_until_it_gives_up(redis: Redis, key_prefix: str) -> None:
    one, other = (LeaderLock(redis, Keys(key_prefix), lock_s=60) for _ in range(2))
    assert [one.take(), other.take(), one.take()] == [True, False, True]
    assert (one.held, other.held) == (True, False)
    other.give_up()  # it has nothing to give up
    assert [other.take(), one.take()] == [False, True]
    one.give_up()
    assert (one.held, other.take(), one.take()) == (False, True, False)


def test_only_the_leader_is_seen_to_live(redis: Redis, key_prefix: str, store: VersionStore) -> None:
    leader, other = (LeaderLock(redis, Keys(key_prefix), lock_s=60) for _ in range(2))
    leader.take()
    seen = store.heartbeats()[BEAT]
    other.take()
    assert store.heartbeats()[BEAT].at_ms == seen.at_ms


# -- versions


def test_an_older_version_is_superseded_by_the_newer_one_that_serves_however_often_it_is_asked(
    store: VersionStore,
) -> None:
    older = deploy(store)
    build(store, older)
    newer = deploy(store)
    build(store, newer)
    for ref in (older, newer):
        store.begin_rollout(ref)
    store.activate(newer)
    assert [store.activate(older).newer for _ in range(2)] == [newer.number, newer.number]
    assert (store.version(older).state, store.version(newer).state) == (S.SUPERSEDED, S.ACTIVE)


def test_an_activation_that_is_repeated_names_the_same_version_as_replaced(store: VersionStore) -> None:
    first = deploy(store)
    build(store, first)
    store.begin_rollout(first)
    assert [store.activate(first).previous for _ in range(2)] == [None, None]
    second = deploy(store)
    build(store, second)
    store.begin_rollout(second)
    assert [store.activate(second).previous for _ in range(2)] == [first.number, first.number]
    assert [store.version(ref).state for ref in (first, second)] == [S.RETIRED, S.ACTIVE]


def test_each_claim_has_a_token_of_its_own(store: VersionStore) -> None:
    ref = deploy(store)
    tokens = []
    for _ in range(3):
        attempt = claim(store, ref)
        tokens.append(attempt.token)
        store.hand_back(attempt)
    assert tokens == sorted(set(tokens))


# -- updates


def test_a_persons_version_is_not_admitted_and_goes_on(make_harbour: Callable[..., Harbour]) -> None:
    harbour = make_harbour()
    harbour.tags.put("first")
    ref = harbour.deploy(APP)
    assert harbour.updates.admit([ref]) == ["gone"]
    assert harbour.store.version(ref).state is S.QUEUED


def test_a_rebuild_that_is_built_gives_its_place_to_the_next(make_harbour: Callable[..., Harbour]) -> None:
    harbour = make_harbour(bulk_builds_in_flight=1)
    harbour.tags.put("first")
    for app in ("a.example.com", "b.example.com"):
        harbour.run_app(app)
    harbour.check()
    harbour.settle()
    new = harbour.tags.put("second")
    harbour.check()
    harbour.deliver()
    (ref,) = harbour.queue.rebuilds
    attempt = harbour.pull(ref, new)
    harbour.rebuilds.catch_up()
    assert harbour.queue.rebuilds == [ref]
    assert harbour.store.version(ref).state is S.BUILDING
    assert harbour.store.finish(attempt, BUILT, ()) is None
    harbour.rebuilds.catch_up()
    assert len(harbour.queue.rebuilds) == 2
    assert harbour.store.version(ref).state is S.BUILT


def test_an_update_with_a_latecomer_or_an_app_that_was_handed_out_is_not_over(
    make_harbour: Callable[..., Harbour],
) -> None:
    harbour = make_harbour()
    harbour.tags.put("first")
    harbour.run_app(APP)
    harbour.check()
    harbour.settle()
    harbour.tags.put("second")
    harbour.check()
    update = harbour.updates.update(IMAGE)
    assert update
    page = HandOut([APP], cursor=APP, walked=True)
    assert harbour.updates.hand_out(update, page) == [APP]
    assert not harbour.updates.advance(update, UpdateState.DONE)

    harbour.redis.delete(harbour.keys.handed_out(IMAGE))
    harbour.redis.zadd(harbour.keys.late(IMAGE), {APP: 1})
    assert not harbour.updates.advance(update, UpdateState.DONE)
    after = harbour.updates.update(IMAGE)
    assert after
    assert after.state is UpdateState.RUNNING

    harbour.redis.delete(harbour.keys.late(IMAGE))
    assert harbour.updates.advance(update, UpdateState.DONE)
    assert not harbour.updates.advance(update, UpdateState.DONE), "it was ended before"
