"""What the store promises, on a real Redis and on fakeredis."""

from __future__ import annotations

import itertools
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from redis import Redis, UnixDomainSocketConnection
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from galaxy.adapters.store.keys import Keys
from galaxy.adapters.store.scripts import RedisScripts
from galaxy.adapters.store.versions import _CANCEL
from galaxy.domain.errors import IdempotencyConflict, IllegalTransition, NotFound, StoreError
from galaxy.domain.models import Attempt, Failure, LeaseState, NotClaimed, VersionRef
from galaxy.domain.reasons import WORKER_LOST, cancelled_by
from galaxy.domain.states import TRANSITIONS, UNFINISHED, Step, VersionState
from tests.support.stores import (
    APP,
    BUILT,
    BUNDLE_URL,
    BY_BOB,
    ENV_VALUE,
    RAINED,
    STEPS,
    bring_to,
    build,
    claim,
    deploy,
    fail,
    make_store,
    new_version,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import RedisServer
    from tests.support.stores import AllStores

T = TypeVar("T")
S = VersionState
THREADS = 12


@pytest.fixture
def store(redis: Redis, key_prefix: str) -> AllStores:
    return make_store(redis, key_prefix)


@pytest.fixture
def dying(redis: Redis, key_prefix: str) -> AllStores:
    """The same store, for workers that are lost as soon as they have claimed."""
    return make_store(redis, key_prefix, lease_s=0, requeue_after_s=0)


@pytest.fixture
def everything(redis: Redis, key_prefix: str) -> Callable[[], dict[str, Any]]:
    """Reads all that the store keeps."""

    def read() -> dict[str, Any]:
        readers: dict[str, Callable[[str], Any]] = {
            "hash": redis.hgetall,
            "zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
            "list": lambda key: redis.lrange(key, 0, -1),
            "stream": redis.xrange,
            "string": redis.get,
            "set": lambda key: sorted(redis.smembers(key)),
        }
        keys: list[str] = sorted(redis.scan_iter(f"{key_prefix}:*"))
        return {key: readers[str(redis.type(key))](key) for key in keys}

    return read


def at_once(calls: list[Callable[[], T]]) -> list[T]:
    """What all calls return, made by as many threads that start together."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [*pool.map(run, calls)]


# -- making versions


def test_numbers_rise_by_one_however_many_deploy_at_once(store: AllStores) -> None:
    refs = at_once([lambda: [deploy(store) for _ in range(5)] for _ in range(THREADS)])
    numbers = sorted(ref.number for made in refs for ref in made)
    assert numbers == [*range(1, 5 * THREADS + 1)]
    assert [version.number for version in store.versions(APP, limit=100)] == numbers[::-1]


def test_each_app_counts_for_itself(store: AllStores) -> None:
    assert deploy(store).number == deploy(store, "other.example.com").number == 1
    assert store.apps() == ["other.example.com", APP]


def test_one_idempotency_key_makes_one_version_however_often_it_is_sent(store: AllStores) -> None:
    refs = at_once([lambda: deploy(store, key="k")] * THREADS)
    assert {*refs} == {VersionRef(APP, 1)}
    assert [version.number for version in store.versions(APP)] == [1]


def test_a_repeated_deploy_is_told_apart_and_changes_nothing(
    store: AllStores, everything: Callable[[], dict[str, Any]]
) -> None:
    deploy = partial(
        store.create_version, new_version(), idempotency_key="k", fingerprint="f", retention_s=3600
    )
    assert deploy() == (1, False, ())
    before = everything()
    assert deploy() == (1, True, ())
    assert everything() == before


def test_a_used_idempotency_key_with_other_content_is_refused(
    store: AllStores, everything: Callable[[], dict[str, Any]]
) -> None:
    deploy(store, key="k")
    before = everything()
    with pytest.raises(IdempotencyConflict, match="version 1"):
        store.create_version(new_version(), idempotency_key="k", fingerprint="other", retention_s=3600)
    assert everything() == before


def test_idempotency_keys_of_other_apps_do_not_count(store: AllStores) -> None:
    assert deploy(store, key="k").number == deploy(store, "other.example.com", key="k").number == 1


def test_idempotency_keys_are_forgotten_in_time(store: AllStores, redis: Redis, key_prefix: str) -> None:
    deploy(store, key="k")
    remaining_ms = redis.pttl(Keys(key_prefix).idempotency(APP, "k"))
    assert isinstance(remaining_ms, int)
    assert 3_500_000 < remaining_ms <= 3_600_000


def test_a_deploy_supersedes_what_is_not_built_yet(store: AllStores) -> None:
    rolling_out, _ = bring_to(store, S.ROLLING_OUT)
    built, _ = bring_to(store, S.BUILT)
    queued = deploy(store)
    building = deploy(store)
    attempt = claim(store, building)
    newest = deploy(store)
    assert store.version(queued).state is S.SUPERSEDED
    assert store.version(building).state is S.SUPERSEDED
    assert f"Version {newest.number} was deployed" in str(store.version(building).failure)
    assert store.version(built).state is S.BUILT
    assert store.version(rolling_out).state is S.ROLLING_OUT
    assert store.renew(attempt) is S.SUPERSEDED


# -- claiming


def test_of_many_that_claim_at_once_one_gets_the_attempt(store: AllStores) -> None:
    for number in range(1, 6):
        ref = deploy(store)
        answers = at_once([lambda ref=ref: store.claim(ref)] * THREADS)  # type: ignore[misc]
        (attempt,) = [answer for answer in answers if isinstance(answer, Attempt)]
        assert (attempt.version, attempt.number) == (number, 1)
        assert [answer for answer in answers if answer is not attempt] == [NotClaimed.HELD] * (THREADS - 1)


def test_an_attempt_knows_all_that_its_build_needs(store: AllStores) -> None:
    attempt = claim(store, deploy(store))
    assert attempt.base_image == "docker.io/meteor/galaxy-app:latest"
    assert attempt.bundle_url.get_secret_value() == BUNDLE_URL
    assert {name: value.get_secret_value() for name, value in attempt.env.items()} == {"MONGO_URL": ENV_VALUE}


class Losing(UnixDomainSocketConnection):
    """A connection that dies once after Redis has executed what was sent."""

    lose_next = False

    def read_response(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - redis-py's own signature
        answer = super().read_response(*args, **options)
        if Losing.lose_next:
            Losing.lose_next = False
            raise RedisConnectionError("the answer was lost")
        return answer


@pytest.fixture
def lossy(redis_server: RedisServer, key_prefix: str) -> Iterator[AllStores]:
    """A store whose client repeats a call when its answer was lost, as the pipeline's does."""
    retry = Retry(NoBackoff(), 1)
    pool = ConnectionPool(
        connection_class=Losing, path=str(redis_server.socket), decode_responses=True, retry=retry
    )
    with Redis(connection_pool=pool) as client:
        yield make_store(client, key_prefix)
        pool.disconnect()


CALLS: dict[str, tuple[VersionState, Callable[[AllStores, VersionRef, Attempt | None], object]]] = {
    "claim": (S.QUEUED, lambda store, ref, _: claim(store, ref).number),
    "renew": (S.BUILDING, lambda store, _, attempt: attempt and store.renew(attempt)),
    "finish": (S.BUILDING, lambda store, _, attempt: attempt and store.finish(attempt, BUILT, STEPS)),
    "fail": (
        S.BUILDING,
        lambda store, _, attempt: attempt and store.fail(attempt, RAINED, retry_in_s=0, steps=STEPS),
    ),
    "hand_back": (S.BUILDING, lambda store, _, attempt: attempt and store.hand_back(attempt)),
    "end_lost": (S.BUILDING, lambda store, ref, _: store.end_lost(ref, WORKER_LOST)),
    "cancel": (S.BUILDING, lambda store, ref, _: store.cancel(ref, BY_BOB)),
    "begin_rollout": (S.BUILT, lambda store, ref, _: store.begin_rollout(ref)),
    "activate": (S.ROLLING_OUT, lambda store, ref, _: store.activate(ref)),
    "activate, too late": (S.ROLLING_OUT, lambda store, ref, _: store.activate(ref)),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_call_whose_answer_was_lost_is_repeated_and_answered_as_if_nothing_had_happened(
    lossy: AllStores, redis_server: RedisServer, key_prefix: str, call: str
) -> None:
    state, make = CALLS[call]
    answers, told = [], []
    with redis_server.client(decode_responses=True) as client:
        # its worker is lost only where that is what the call is about
        prepared = make_store(client, key_prefix, lease_s=0 if call == "end_lost" else 60)
        for app in ("warm-up.example.com", "surely.example.com", "lossy.example.com"):
            if call == "activate":
                bring_to(prepared, S.ACTIVE, app)
            ref, attempt = bring_to(prepared, state, app)
            if call == "activate, too late":
                bring_to(prepared, S.ACTIVE, app)
            Losing.lose_next = app.startswith("lossy")
            answers.append(make(lossy, ref, attempt))
            assert not Losing.lose_next
            told.append(
                [(each.event, each.version, each.attempt) for each in prepared.outbox([app], 100)[app]]
            )
            told.append([(entry.event, entry.version) for entry in prepared.activity(app)])
    assert answers[1] == answers[2]
    assert told[2:4] == told[4:]


def test_a_person_who_cancels_again_reads_that_it_is_cancelled(store: AllStores) -> None:
    ref, _ = bring_to(store, S.BUILDING)
    assert store.cancel(ref, cancelled_by("ada")) is S.BUILDING
    assert store.cancel(ref, BY_BOB) is S.CANCELLED
    assert store.version(ref).failure == "Cancelled by ada."


def test_no_attempt_begins_before_it_is_due(store: AllStores) -> None:
    ref = deploy(store)
    failure = store.fail(claim(store, ref), RAINED, retry_in_s=60, steps=STEPS)
    assert failure == Failure(state=S.RETRYING, attempt=1, retry_in_s=60)
    assert store.claim(ref) is NotClaimed.NOT_DUE
    assert store.version(ref).retry_at_ms is not None


def test_the_next_attempt_begins_when_it_is_due(store: AllStores) -> None:
    ref = deploy(store)
    fail(store, ref)
    attempt = claim(store, ref)
    assert attempt.number == 2
    assert store.version(ref).retry_at_ms is None


def test_whoever_claims_again_with_the_same_id_has_the_same_attempt_while_it_is_held(
    store: AllStores,
) -> None:
    ref = deploy(store)
    attempt = store.claim(ref, "mine")
    assert isinstance(attempt, Attempt)
    assert store.claim(ref, "mine") == attempt
    assert store.claim(ref, "another's") is NotClaimed.HELD
    store.fail(attempt, RAINED, retry_in_s=60, steps=())
    assert store.claim(ref, "mine") is NotClaimed.NOT_DUE


def test_there_is_no_claiming_what_does_not_exist(store: AllStores) -> None:
    with pytest.raises(NotFound, match="no version 7"):
        store.claim(VersionRef(APP, 7))


def test_a_claim_that_redis_forgot_is_worth_nothing_beside_the_next(
    store: AllStores, redis: Redis, key_prefix: str
) -> None:
    """A power cut can take the last second of writes: the claim is gone, and its holder lives on."""
    ref = deploy(store)
    key = Keys(key_prefix).version(*ref)
    record = redis.hgetall(key)
    forgotten = claim(store, ref)
    redis.delete(key)
    redis.hset(key, mapping=record)
    time.sleep(0.002)  # no Redis restarts faster
    holder = claim(store, ref)
    assert store.renew(forgotten) is S.BUILDING
    assert store.finish(forgotten, BUILT, STEPS) is S.BUILDING
    assert store.renew(holder) is None
    assert store.finish(holder, BUILT, STEPS) is None


# -- the budget


@pytest.mark.parametrize("lost", [*itertools.product([True, False], repeat=4)])
def test_there_are_four_attempts_and_lost_workers_count(
    store: AllStores, dying: AllStores, lost: tuple[bool, ...]
) -> None:
    ref = deploy(store)
    for number, is_lost in enumerate(lost, 1):
        attempt = claim(dying if is_lost else store, ref)
        assert attempt.number == number
        if is_lost:
            assert store.claim(ref) is NotClaimed.EXPIRED
            outcome: object = store.end_lost(ref, WORKER_LOST)
        else:
            outcome = store.fail(attempt, RAINED, retry_in_s=0, steps=STEPS)
        expected = S.BUILD_FAILED if number == 4 else S.RETRYING
        assert isinstance(outcome, Failure)
        assert (outcome.state, outcome.attempt) == (expected, number)
        assert (outcome.retry_in_s is None) == (number == 4)
    assert store.claim(ref) is NotClaimed.NOT_CLAIMABLE
    assert store.version(ref).failed


def test_handing_an_attempt_back_uses_none(store: AllStores) -> None:
    ref = deploy(store)
    fail(store, ref)
    tokens = []
    for _ in range(10):
        attempt = claim(store, ref)
        assert attempt.number == 2
        tokens.append(attempt.token)
        assert store.hand_back(attempt) is None
        assert store.version(ref).state is S.QUEUED
    assert tokens == sorted(set(tokens))
    assert [due.ref for due in store.take_due(10)] == [ref]


def test_an_attempt_whose_lease_lives_is_not_ended(
    store: AllStores, everything: Callable[[], dict[str, Any]]
) -> None:
    ref = deploy(store)
    claim(store, ref)
    before = everything()
    assert store.end_lost(ref, WORKER_LOST) is None
    assert everything() == before


def test_a_renewed_lease_lives(store: AllStores, dying: AllStores) -> None:
    ref = deploy(store)
    attempt = claim(dying, ref)
    assert store.renew(attempt) is None
    assert store.claim(ref) is NotClaimed.HELD
    assert store.end_lost(ref, WORKER_LOST) is None
    assert store.take_due(10) == ()


def test_of_many_that_end_a_lost_attempt_one_does(store: AllStores, dying: AllStores) -> None:
    ref = deploy(store)
    claim(dying, ref)
    outcomes = at_once([lambda: store.end_lost(ref, WORKER_LOST)] * THREADS)
    assert sorted(outcome.attempt for outcome in outcomes if outcome) == [1]
    assert store.version(ref).attempt == 1


# -- fencing


def _end_as_lost(store: AllStores, attempt: Attempt) -> None:
    assert store.end_lost(attempt.ref, WORKER_LOST)


def _end_as_lost_and_take_over(store: AllStores, attempt: Attempt) -> None:
    _end_as_lost(store, attempt)
    claim(store, attempt.ref)


def _let_another_build_it(store: AllStores, attempt: Attempt) -> None:
    _end_as_lost(store, attempt)
    build(store, attempt.ref)


def _let_all_others_fail(store: AllStores, attempt: Attempt) -> None:
    _end_as_lost(store, attempt)
    for _ in range(3):
        fail(store, attempt.ref)


def _hand_back(store: AllStores, attempt: Attempt) -> None:
    assert store.hand_back(attempt) is None


def _cancel(store: AllStores, attempt: Attempt) -> None:
    store.cancel(attempt.ref, BY_BOB)


def _supersede(store: AllStores, attempt: Attempt) -> None:
    deploy(store, attempt.app)


LOSSES: dict[str, tuple[Callable[[AllStores, Attempt], None], VersionState]] = {
    "ended as lost": (_end_as_lost, S.RETRYING),
    "taken over": (_end_as_lost_and_take_over, S.BUILDING),
    "built by another": (_let_another_build_it, S.BUILT),
    "failed for good": (_let_all_others_fail, S.BUILD_FAILED),
    "handed back": (_hand_back, S.QUEUED),
    "cancelled": (_cancel, S.CANCELLED),
    "superseded": (_supersede, S.SUPERSEDED),
}
WRITES: dict[str, Callable[[AllStores, Attempt], object]] = {
    "renew": lambda store, attempt: store.renew(attempt),
    "record_progress": lambda store, attempt: store.record_progress(attempt, step=Step.PUSH, base_digest="d"),
    "finish": lambda store, attempt: store.finish(attempt, BUILT, STEPS),
    "fail": lambda store, attempt: store.fail(attempt, RAINED, retry_in_s=0, steps=()),
    "hand_back": lambda store, attempt: store.hand_back(attempt),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("loss", LOSSES)
def test_whoever_lost_the_lease_can_change_nothing(
    store: AllStores, dying: AllStores, everything: Callable[[], dict[str, Any]], loss: str, write: str
) -> None:
    lose, state = LOSSES[loss]
    attempt = claim(dying, deploy(store))
    assert store.lease_state(attempt.ref, attempt.token) is LeaseState.HELD
    lose(store, attempt)
    assert store.lease_state(attempt.ref, attempt.token) is LeaseState.ENDED
    before = everything()
    # who hands back what it has handed back lost the answer, and gets it again
    expected = None if (loss, write) == ("handed back", "hand_back") else state
    assert WRITES[write](store, attempt) is expected
    assert everything() == before


def test_a_claim_that_this_store_never_gave_is_unknown(store: AllStores) -> None:
    attempt = claim(store, deploy(store))
    assert store.lease_state(attempt.ref, attempt.token + 1) is LeaseState.UNKNOWN
    assert store.lease_state(VersionRef(APP, 7), 1) is LeaseState.UNKNOWN


def test_the_holder_finds_its_own_repeated_answers(store: AllStores) -> None:
    built = deploy(store, "built.example.com")
    attempt = claim(store, built)
    assert [store.finish(attempt, BUILT, STEPS) for _ in range(2)] == [None, None]
    failed = claim(store, deploy(store, "failed.example.com"))
    answers = [store.fail(failed, RAINED, retry_in_s=0, steps=STEPS) for _ in range(2)]
    assert [answer.state for answer in answers if isinstance(answer, Failure)] == [S.RETRYING] * 2
    assert store.version(failed.ref).attempt == 1


# -- moves

#: What each event makes of a version in each state; where nothing stands, it changes nothing.
EVENTS: dict[str, Callable[[AllStores, VersionRef, Attempt], object]] = {
    "claim": lambda store, ref, _: store.claim(ref),
    "finish": lambda store, _, attempt: store.finish(attempt, BUILT, STEPS),
    "fail": lambda store, _, attempt: store.fail(attempt, RAINED, retry_in_s=0, steps=STEPS),
    "hand_back": lambda store, _, attempt: store.hand_back(attempt),
    "end_lost": lambda store, ref, _: store.end_lost(ref, WORKER_LOST),
    "cancel": lambda store, ref, _: store.cancel(ref, BY_BOB),
    "begin_rollout": lambda store, ref, _: store.begin_rollout(ref),
    "activate": lambda store, ref, _: store.activate(ref),
}
MOVES = {
    (S.QUEUED, "claim"): S.BUILDING,
    (S.QUEUED, "cancel"): S.CANCELLED,
    (S.BUILDING, "finish"): S.BUILT,
    (S.BUILDING, "fail"): S.RETRYING,
    (S.BUILDING, "hand_back"): S.QUEUED,
    (S.BUILDING, "cancel"): S.CANCELLED,
    (S.RETRYING, "claim"): S.BUILDING,
    (S.RETRYING, "cancel"): S.CANCELLED,
    (S.BUILT, "begin_rollout"): S.ROLLING_OUT,
    (S.BUILT, "cancel"): S.CANCELLED,
    (S.ROLLING_OUT, "activate"): S.ACTIVE,
    (S.ROLLING_OUT, "cancel"): S.CANCELLED,
}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("state", [state for state in S if state is not S.ROLLOUT_FAILED])
def test_events_move_a_version_as_told_and_change_nothing_else(
    store: AllStores, everything: Callable[[], dict[str, Any]], state: VersionState, event: str
) -> None:
    ref, attempt = bring_to(store, state)
    assert store.version(ref).state is state
    attempt = attempt or claim(store, deploy(store, "other.example.com")).model_copy(update={"app": APP})
    before = everything()
    expected = MOVES.get((state, event))
    with nullcontext() if expected else suppress(IllegalTransition):
        EVENTS[event](store, ref, attempt)
    if expected:
        assert expected in TRANSITIONS[state]
        assert store.version(ref).state is expected
    else:
        assert everything() == before


@pytest.mark.parametrize("from_state", S)
def test_every_move_that_the_table_lacks_is_refused(
    store: AllStores, redis: Redis, key_prefix: str, from_state: VersionState
) -> None:
    head, _, _ = _CANCEL.source.partition("local state, ended_by")
    move = redis.register_script(head + "return move(VERSION, call_id, reason) or 'moved'")
    keys = Keys(key_prefix)
    ref = deploy(store)
    names = keys.of_version(*ref)
    scripts = RedisScripts(redis)
    scripts._loaded[_CANCEL] = move
    for to in S:
        redis.hset(keys.version(*ref), "state", from_state)
        call = _CANCEL.call(names, {"call_id": to, "reason": RAINED.model_dump_json()})
        if to in TRANSITIONS[from_state]:
            assert scripts.run(_CANCEL, call) == "moved"
            assert store.version(ref).state is to
        else:
            with pytest.raises(IllegalTransition, match=f"from {from_state} to {to}"):
                scripts.run(_CANCEL, call)
            assert store.version(ref).state is from_state


# -- activation


def test_activation_retires_the_previous_version(store: AllStores) -> None:
    first, _ = bring_to(store, S.ACTIVE)
    second, _ = bring_to(store, S.ROLLING_OUT)
    assert store.activate(second).previous == first.number
    assert store.active_version(APP) == second.number
    assert store.version(first).state is S.RETIRED
    assert store.activate(second).previous == first.number, "a repeated call is answered alike"


def test_a_slow_old_version_never_replaces_a_newer_one(store: AllStores) -> None:
    old, _ = bring_to(store, S.ROLLING_OUT)
    new, _ = bring_to(store, S.ACTIVE)
    assert store.activate(old).newer == new.number
    assert store.active_version(APP) == new.number
    assert store.version(old).state is S.SUPERSEDED
    assert store.version(new).state is S.ACTIVE


def test_in_whatever_order_versions_get_ready_the_newest_is_active_in_the_end(store: AllStores) -> None:
    seed = random.randrange(10**9)
    print("seed", seed)  # noqa: T201 - shown when the test fails
    refs = [bring_to(store, S.ROLLING_OUT)[0] for _ in range(THREADS)]
    random.Random(seed).shuffle(refs)
    at_once([lambda ref=ref: store.activate(ref) for ref in refs])  # type: ignore[misc]
    assert store.active_version(APP) == THREADS
    states = [version.state for version in store.versions(APP)]
    assert states[0] is S.ACTIVE
    assert {*states[1:]} <= {S.RETIRED, S.SUPERSEDED}


def test_a_failed_build_leaves_the_active_version(store: AllStores) -> None:
    active, _ = bring_to(store, S.ACTIVE)
    bring_to(store, S.BUILD_FAILED)
    assert store.active_version(APP) == active.number
    assert store.version(active).state is S.ACTIVE


# -- what is due


@pytest.mark.parametrize("state", [state for state in S if state is not S.ROLLOUT_FAILED])
def test_whatever_is_unfinished_is_due_in_time_and_nothing_else(
    dying: AllStores, redis: Redis, key_prefix: str, state: VersionState
) -> None:
    ref, _ = bring_to(dying, state)
    members: Any = redis.zrange(Keys(key_prefix).due(), 0, -1)
    assert (f"{ref.app} {ref.number}" in members) == (state in UNFINISHED)


def test_two_reconcilers_get_each_version_once(store: AllStores, dying: AllStores) -> None:
    refs = {deploy(dying, f"app{number}.example.com") for number in range(50)}

    def take_all() -> list[VersionRef]:
        return [due.ref for _ in range(20) for due in store.take_due(3)]

    taken = [ref for refs in at_once([take_all] * 4) for ref in refs]
    assert len(taken) == len(refs)
    assert {*taken} == refs


def test_what_is_due_is_told_with_its_state_and_attempt(dying: AllStores, store: AllStores) -> None:
    ref = deploy(store)
    fail(store, ref)
    claim(dying, ref)
    (due,) = store.take_due(10)
    assert (due.ref, due.state, due.attempt) == (ref, S.BUILDING, 2)
    assert store.take_due(10) == ()


def test_a_version_that_nobody_enqueues_waits_longer_and_longer(
    dying: AllStores, redis: Redis, key_prefix: str
) -> None:
    ref = deploy(dying)
    redis.hincrby(Keys(key_prefix).version(*ref), "enqueued_at", -5000)
    assert 5 <= dying.take_due(1)[0].waited_s < 10
    dying.mark_enqueued(ref)
    assert dying.take_due(1)[0].waited_s < 5


# -- what the logs have to tell


def test_what_is_told_is_forgotten_and_the_rest_is_not(store: AllStores) -> None:
    bring_to(store, S.BUILT)
    bring_to(store, S.QUEUED, "other.example.com")
    first, second = store.outbox([APP], 10)[APP]
    assert (first.event, second.event) == ("deployed", "built")
    assert first.number < second.number
    assert sorted(store.outbox_apps(10)) == ["other.example.com", APP]
    store.mark_announced([first])
    assert store.outbox([APP], 10)[APP] == [second]
    store.mark_announced([first, second])
    assert store.outbox([APP], 10)[APP] == []
    assert store.outbox_apps(10) == ["other.example.com"]


def test_many_announcements_are_forgotten_by_a_redis_that_forgot_the_scripts(
    store: AllStores, redis: Redis
) -> None:
    apps = [f"app{number}.example.com" for number in range(12)]
    for app in apps:
        deploy(store, app)
    told = [each for of_app in store.outbox(apps, 10).values() for each in of_app]
    redis.script_flush()
    store.mark_announced(told)
    assert store.outbox(apps, 10) == {app: [] for app in apps}
    assert store.outbox_apps(10) == []


def test_a_move_that_is_refused_has_nothing_to_tell(store: AllStores) -> None:
    ref, _ = bring_to(store, S.BUILD_FAILED)
    before = store.outbox([APP], 100)[APP]
    with pytest.raises(IllegalTransition):
        store.cancel(ref, BY_BOB)
    assert store.outbox([APP], 100)[APP] == before


# -- reading


def test_a_built_version_shows_what_came_of_it(store: AllStores) -> None:
    ref, _ = bring_to(store, S.BUILT)
    version = store.version(ref)
    assert (version.image, version.image_digest, version.base_digest) == (*BUILT.model_dump().values(),)
    assert (version.steps, version.failure, version.step, version.attempt) == (STEPS, None, None, 1)


def test_the_running_step_is_shown_until_the_attempt_ends(store: AllStores) -> None:
    attempt = claim(store, deploy(store))
    assert store.record_progress(attempt, step=Step.SETUP) is None
    assert store.version(attempt.ref).step is Step.SETUP
    store.fail(attempt, RAINED, retry_in_s=0, steps=STEPS)
    version = store.version(attempt.ref)
    assert (version.step, version.failure, version.steps) == (None, "It rained.", STEPS)


@pytest.mark.parametrize("state", [S.QUEUED, S.BUILDING, S.BUILD_FAILED, S.RETIRED])
def test_no_secret_is_in_anything_that_is_shown(store: AllStores, state: VersionState) -> None:
    ref, attempt = bring_to(store, state)
    shown = [
        store.version(ref).model_dump_json(),
        repr(store.versions(APP)),
        repr(attempt),
        *(f"{entry!r} {entry.sentence}" for entry in store.activity(APP)),
    ]
    for secret in (BUNDLE_URL, ENV_VALUE, "signature", "secret-host"):
        assert secret not in "\n".join(shown)


def test_the_history_tells_what_happened_in_order(store: AllStores) -> None:
    bring_to(store, S.RETIRED)
    assert [(entry.event, entry.version) for entry in store.activity(APP)] == [
        ("deployed", 1), ("built", 1), ("active", 1), ("deployed", 2), ("built", 2), ("active", 2), ("retired", 1),
    ]  # fmt: skip
    assert {entry.by for entry in store.activity(APP)} == {"ada"}


def test_what_does_not_exist_is_said_so(store: AllStores) -> None:
    with pytest.raises(NotFound):
        store.version(VersionRef(APP, 1))
    with pytest.raises(NotFound):
        store.versions(APP)
    assert store.active_version(APP) is None
    assert store.activity(APP) == []
    assert store.apps() == []


def test_a_redis_that_is_away_is_a_store_error() -> None:
    with Redis(unix_socket_path="/nowhere/redis.sock", retry=Retry(NoBackoff(), 0)) as away:
        store = make_store(away, "prefix")
        for call in (store.ping, store.apps, lambda: deploy(store), lambda: store.claim(VersionRef(APP, 1))):
            with pytest.raises(StoreError, match="can't be reached"):
                call()
