"""A lease is the right to work on a version, of whichever kind: no script takes it for the right to build."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from galaxy.adapters.store import leases
from galaxy.domain.errors import IllegalTransition
from galaxy.domain.models import Attempt, LeaseState, NotClaimed
from galaxy.domain.reasons import WORKER_LOST
from galaxy.domain.states import TRANSITIONS, VersionState
from galaxy.domain.work import WORK, WorkKind, WorkRules, work_in_progress
from tests.support.stores import BUILT, RAINED, STEPS, AllStores, bring_to, make_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

    from tests.conftest import RedisServer

S = VersionState
#: Work of another kind: it begins with what is built, and its failures are for good.
ROLLOUT = WorkRules(
    state=S.ROLLING_OUT,
    claimable=(S.BUILT,),
    handed_back=S.BUILT,
    retrying=S.BUILT,
    failed=S.ROLLOUT_FAILED,
    done=S.ACTIVE,
    attempts="rollouts",
)


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[Redis]:
    with redis_server.client(decode_responses=True) as client:
        yield client


@pytest.fixture
def built(redis: Redis, key_prefix: str) -> Attempt:
    _, attempt = bring_to(make_store(redis, key_prefix), S.BUILT)
    assert attempt
    return attempt


@pytest.fixture
def store(redis: Redis, key_prefix: str, built: Attempt, monkeypatch: pytest.MonkeyPatch) -> AllStores:
    """A store with a built version, in which the one kind of work is rolling out."""
    assert built
    monkeypatch.setattr(leases, "WORK", MappingProxyType({WorkKind.BUILD: ROLLOUT}))
    return make_store(redis, key_prefix)


def test_every_move_of_a_kind_of_work_exists() -> None:
    for rules in WORK.values():
        assert all(rules.state in TRANSITIONS[state] for state in rules.claimable)
        assert {rules.handed_back, rules.retrying, rules.failed, rules.done} <= TRANSITIONS[rules.state]


def test_the_state_of_a_version_tells_which_work_is_in_progress() -> None:
    assert {state: work_in_progress(state) for state in S if work_in_progress(state)} == {
        S.BUILDING: WorkKind.BUILD
    }


def test_work_of_another_kind_is_claimed_renewed_and_done(store: AllStores, built: Attempt) -> None:
    attempt = store.claim(built.ref)
    assert isinstance(attempt, Attempt)
    assert store.version(built.ref).state is S.ROLLING_OUT
    assert attempt.token > built.token
    assert store.claim(built.ref) is NotClaimed.HELD
    assert store.renew(attempt) is None
    assert store.renew(built) is S.ROLLING_OUT
    assert store.lease_state(built.ref, attempt.token, WorkKind.BUILD) is LeaseState.HELD
    assert store.lease_state(built.ref, built.token, WorkKind.BUILD) is LeaseState.ENDED
    assert store.finish(attempt, BUILT, STEPS) is None, "what came of it may stand in the record already"
    assert store.finish(attempt, BUILT, STEPS) is None
    assert store.version(built.ref).state is S.ACTIVE
    assert store.lease_state(built.ref, attempt.token, WorkKind.BUILD) is LeaseState.ENDED


def test_a_lost_worker_of_another_kind_is_noticed_and_fails_its_version(
    redis: Redis, key_prefix: str, store: AllStores, built: Attempt
) -> None:
    dying = make_store(redis, key_prefix, lease_s=0, requeue_after_s=0)
    redis.hset(store._keys.version(*built.ref), "rollouts", 3)
    assert isinstance(dying.claim(built.ref), Attempt)
    assert store.claim(built.ref) is NotClaimed.EXPIRED
    (due,) = store.take_due(10)
    assert (due.state, due.leased) == (S.ROLLING_OUT, True)
    failure = store.end_lost(built.ref, WORKER_LOST, WorkKind.BUILD)
    assert failure
    assert failure.state is S.ROLLOUT_FAILED
    assert store.version(built.ref).failure == WORKER_LOST.sentence


def test_each_kind_of_work_has_a_budget_of_its_own(redis: Redis, store: AllStores, built: Attempt) -> None:
    redis.hset(store._keys.version(*built.ref), "attempt", 4)
    attempt = store.claim(built.ref)
    assert isinstance(attempt, Attempt)
    assert attempt.number == 1


def test_a_hand_back_that_has_no_such_move_changes_nothing(store: AllStores, built: Attempt) -> None:
    attempt = store.claim(built.ref)
    assert isinstance(attempt, Attempt)
    announced = store.outbox([built.app], 100)
    with pytest.raises(IllegalTransition):
        store.hand_back(attempt)
    assert store.outbox([built.app], 100) == announced
    assert store.lease_state(built.ref, attempt.token, WorkKind.BUILD) is LeaseState.HELD


def test_a_state_without_a_lease_is_nobodys_work(store: AllStores, built: Attempt) -> None:
    store.begin_rollout(built.ref)
    assert store.renew(built) is S.ROLLING_OUT, "the build's token is worth nothing here"
    assert store.lease_state(built.ref, built.token, WorkKind.BUILD) is LeaseState.ENDED
    assert store.fail(built, RAINED, retry_in_s=0, steps=()) is S.ROLLING_OUT
