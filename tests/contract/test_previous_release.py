"""Upgrades: this release with what the one before it recorded, and workers of that one beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from galaxy.adapters.store.apps import AppList
from galaxy.domain.base_images.fan_out import NewVersionCall
from galaxy.domain.errors import IllegalTransition
from galaxy.domain.models import Attempt, Failure, LeaseState, NotClaimed, VersionRef
from galaxy.domain.reasons import SENTENCES, WORKER_LOST, Reason
from galaxy.domain.states import VersionState
from tests.support.previous_release import PreviousWorker, dump, load
from tests.support.stores import (
    BUILT,
    BY_BOB,
    RAINED,
    STEPS,
    AllStores,
    bring_to,
    build,
    claim,
    deploy,
    fail,
    make_store,
)
from tests.support.updates import IMAGE, Harbour

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

    from tests.conftest import RedisServer

S = VersionState
SHOWN: dict[str, Any] = dump()["shown"]
APPS = sorted(SHOWN)


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[Redis]:
    with redis_server.client(decode_responses=True) as client:
        yield client


@pytest.fixture
def store(redis: Redis, key_prefix: str) -> AllStores:
    """A store with all that the release before kept."""
    load(redis, key_prefix)
    return make_store(redis, key_prefix)


@pytest.fixture
def previous(redis: Redis, key_prefix: str) -> PreviousWorker:
    return PreviousWorker(redis, key_prefix)


def one(app: str) -> VersionRef:
    return VersionRef(f"{app}.example.com", 1)


# -- what the release before recorded


def test_the_dump_has_versions_in_every_state_that_release_had() -> None:
    states = {version["state"] for shown in SHOWN.values() for version in shown["versions"]}
    assert states == {*S} - {S.ROLLOUT_FAILED}


@pytest.mark.parametrize("app", APPS)
def test_its_versions_are_shown_as_it_showed_them(store: AllStores, app: str) -> None:
    assert [version.model_dump(mode="json") for version in store.versions(app)] == SHOWN[app]["versions"]
    for version in SHOWN[app]["versions"]:
        assert store.version(VersionRef(app, version["number"])).failure == version["failure"]


@pytest.mark.parametrize("app", APPS)
def test_its_history_is_shown_as_it_showed_it(store: AllStores, app: str) -> None:
    entries = [entry.model_dump() | {"sentence": entry.sentence} for entry in store.activity(app)]
    assert entries == SHOWN[app]["activity"]


@pytest.mark.parametrize("app", APPS)
def test_what_its_logs_lack_is_announced_as_it_would_have_been(store: AllStores, app: str) -> None:
    blocks = [block for each in store.outbox([app], 100)[app] for block in each.blocks()]
    assert [[block.text, block.error, block.attempt] for block in blocks] == SHOWN[app]["log"]


def test_all_its_apps_are_listed(store: AllStores, redis: Redis, key_prefix: str) -> None:
    keys = store._keys
    assert [summary.app for summary in AppList(redis, keys).all()] == APPS == store.apps()
    assert keys.apps().startswith(key_prefix)


@pytest.mark.parametrize("app", ["queued", "retrying", "hand-back"])
def test_its_waiting_versions_are_claimed_and_built(store: AllStores, app: str) -> None:
    before = store.version(one(app)).attempt
    attempt = build(store, one(app))
    assert attempt.number == before + 1
    assert store.version(one(app)).state is S.BUILT
    assert store.version(one(app)).failure is None


def test_its_build_that_is_under_way_is_left_alone_and_goes_on(
    store: AllStores, previous: PreviousWorker, redis: Redis
) -> None:
    ref = one("building")
    token = int(redis.hget(store._keys.version(*ref), "token") or 0)
    assert store.claim(ref) is NotClaimed.HELD
    assert store.end_lost(ref, WORKER_LOST) is None
    assert store.lease_state(ref, token) is LeaseState.HELD
    assert previous.renew(ref, token) == ""
    assert previous.finish(ref, token) == ""
    assert store.begin_rollout(ref) is S.ROLLING_OUT
    assert store.activate(ref).previous is None
    assert store.version(ref).state is S.ACTIVE


def test_its_worker_that_was_lost_is_noticed(store: AllStores) -> None:
    ref = one("lost")
    assert store.claim(ref) is NotClaimed.EXPIRED
    (due,) = [each for each in store.take_due(100) if each.ref == ref]
    assert due.work
    failure = store.end_lost(ref, WORKER_LOST, due.work)
    assert isinstance(failure, Failure)
    assert failure.state is S.RETRYING
    assert store.version(ref).failure == WORKER_LOST.sentence


@pytest.mark.parametrize("app", ["built", "rolling-out"])
def test_its_built_versions_become_active(store: AllStores, app: str) -> None:
    assert store.begin_rollout(one(app)) is S.ROLLING_OUT
    store.activate(one(app))
    assert store.active_version(one(app).app) == 1


def test_its_unbuilt_versions_are_superseded_by_a_deploy(store: AllStores) -> None:
    assert deploy(store, "queued.example.com").number == 2
    assert store.version(one("queued")).failure == "Version 2 was deployed before this one was built."


def test_its_update_of_a_base_image_goes_on(redis: Redis, key_prefix: str) -> None:
    load(redis, key_prefix)
    harbour = Harbour(redis, key_prefix)
    try:
        update = harbour.updates.update(IMAGE)
        assert update
        assert update.handed_out == 1
        (found,) = [image for image in harbour.images.base_images() if image.reference == IMAGE]
        assert found.digest == update.digest
        # the message for the app that was handed out is lost, and the update is taken up again
        before = update.wanted
        harbour.tags.put("second")
        forgotten = harbour.updates.take_forgotten(IMAGE, after_s=0, limit=10)
        assert forgotten == ["unmade.example.com"]
        harbour.fan_out._ask_for(update, [NewVersionCall(app) for app in forgotten])
        harbour.settle()
        for app in ("unmade.example.com", "waiting.example.com", "rebuilt.example.com"):
            assert harbour.active(app).base_digest == before.digest
        rebuilt = harbour.active("unmade.example.com")
        assert (rebuilt.automatic, rebuilt.rebuild_of) == (True, 1)
        assert "builds version 1 on it again" in harbour.log("unmade.example.com")
        assert not harbour.automatic("off.example.com")[1:]
    finally:
        harbour.close()


# -- workers of the release before, beside this one


@pytest.mark.parametrize("state", [state for state in S if state is not S.ROLLOUT_FAILED])
def test_what_is_recorded_now_holds_no_field_that_its_workers_refuse(
    redis: Redis, key_prefix: str, state: VersionState
) -> None:
    store = make_store(redis, key_prefix)
    ref, _ = bring_to(store, state)
    keys = store._keys
    known = {*dump()["announcement_fields"]} - {"id"}
    for _, fields in redis.xrange(keys.outbox(ref.app)):
        assert {*fields} <= known
        assert {"event", "app", "version", "attempt", "by", "base_image"} <= {*fields}
        # it would write this into a log as it is
        assert not fields.get("detail", "").startswith("{")
    for _, fields in redis.xrange(keys.activity(ref.app)):
        assert {"event", "version", "by"} <= {*fields}


def test_its_workers_write_the_text_of_a_failure_into_the_log(redis: Redis, key_prefix: str) -> None:
    store = make_store(redis, key_prefix)
    ref, _ = bring_to(store, S.RETRYING)
    *_, (_, fields) = redis.xrange(store._keys.outbox(ref.app))
    assert (fields["event"], fields["detail"]) == ("retrying", "It rained.")


def test_its_workers_build_what_this_release_queued(
    redis: Redis, key_prefix: str, previous: PreviousWorker
) -> None:
    store = make_store(redis, key_prefix)
    ref = deploy(store)
    fail(store, ref)
    outcome, number, token, base_image, bundle_url, *_ = previous.claim(ref)
    assert (outcome, number) == ("claimed", 2)
    assert (base_image, bundle_url) != ("", "")
    assert store.claim(ref) is NotClaimed.HELD
    assert store.lease_state(ref, int(token)) is LeaseState.HELD
    assert previous.renew(ref, token) == ""
    assert previous.finish(ref, token) == ""
    assert store.version(ref).failure is None, "the failure of the attempt before is over"
    assert previous.begin_rollout(ref) == "rolling_out"
    assert previous.activate(ref) == ["active", 0]
    assert store.active_version(ref.app) == 1


def test_the_newest_failure_is_shown_whichever_release_recorded_it(
    redis: Redis, key_prefix: str, previous: PreviousWorker
) -> None:
    store = make_store(redis, key_prefix)
    ref = deploy(store)
    fail(store, ref)
    token = previous.claim(ref)[2]
    assert previous.fail(ref, token, "It snowed.")[0] == "retrying"
    assert store.version(ref).failure == "It snowed."
    fail(store, ref)
    assert store.version(ref).failure == "It rained."
    assert [entry.detail for entry in store.activity(ref.app)][1:] == [
        "It rained.",
        "It snowed.",
        "It rained.",
    ]
    announced = [each.detail for each in store.outbox([ref.app], 10)[ref.app]]
    assert announced[1:] == ["It rained.", "It snowed.", "It rained."]


def test_its_workers_can_not_touch_a_lease_that_is_not_theirs(
    redis: Redis, key_prefix: str, previous: PreviousWorker
) -> None:
    store = make_store(redis, key_prefix)
    ref = deploy(store)
    stale = previous.claim(ref)[2]
    redis.hset(store._keys.version(*ref), "lease_until", 1)
    assert store.end_lost(ref, WORKER_LOST)
    holder = claim(store, ref)
    assert previous.claim(ref) == ["held", ""]
    assert previous.renew(ref, stale) == "building"
    assert previous.finish(ref, stale) == "building"
    assert previous.fail(ref, stale, "Too late.") == ["lost", "building"]
    assert previous.hand_back(ref, stale) == "building"
    assert previous.end_lost(ref) == ["live", "building"]
    assert store.renew(holder) is None
    assert store.finish(holder, BUILT, STEPS) is None


def test_this_release_takes_over_from_its_workers(
    redis: Redis, key_prefix: str, previous: PreviousWorker
) -> None:
    store = make_store(redis, key_prefix)
    ref = deploy(store)
    token = previous.claim(ref)[2]
    assert previous.hand_back(ref, token) == ""
    attempt = claim(store, ref)
    assert attempt.number == 1, "it was handed back unused"
    assert store.hand_back(attempt) is None
    dying = PreviousWorker(redis, key_prefix, lease_s=0)
    dying.claim(ref)
    assert store.claim(ref) is NotClaimed.EXPIRED
    assert store.end_lost(ref, WORKER_LOST)
    assert isinstance(store.claim(ref), Attempt)


def test_its_reconciler_reads_what_is_due_and_ends_what_this_release_lost(
    redis: Redis, key_prefix: str, previous: PreviousWorker
) -> None:
    dying = make_store(redis, key_prefix, lease_s=0, requeue_after_s=0)
    ref = deploy(dying)
    claim(dying, ref)
    assert previous.take_due(10)[:4] == [ref.app, "1", "building", "1"]
    assert previous.end_lost(ref) == ["retrying", 1, 0]
    assert dying.version(ref).failure == "The worker was lost."


def test_what_either_release_cancelled_stays_cancelled_for_the_other(
    redis: Redis, key_prefix: str, previous: PreviousWorker
) -> None:
    store = make_store(redis, key_prefix)
    first, second = deploy(store, "a.example.com"), deploy(store, "b.example.com")
    assert store.cancel(first, BY_BOB) is S.QUEUED
    assert previous.cancel(first, "Cancelled by ada.") == "cancelled"
    assert previous.cancel(second, "Cancelled by ada.") == "queued"
    assert store.cancel(second, BY_BOB) is S.CANCELLED
    assert [store.version(ref).failure for ref in (first, second)] == [
        "Cancelled by bob.",
        "Cancelled by ada.",
    ]
    with pytest.raises(IllegalTransition):
        store.cancel(bring_to(store, S.ACTIVE)[0], BY_BOB)


def test_no_reason_of_this_release_reads_like_a_sentence_of_the_one_before() -> None:
    for code in SENTENCES:
        reason = Reason(code=code, facts={"app": "a", "newer": 2})
        assert Reason.parse(reason.model_dump_json()) == reason
    assert Reason.parse(RAINED.sentence) != RAINED
