"""What a changed base image does to the apps that depend on it, on a real Redis and on fakeredis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fakeredis import FakeRedis

from galaxy.domain.base_images.updates import Update, Updates, UpdateState, Verdict
from galaxy.domain.errors import NotFound, RegistryDenied
from galaxy.domain.models import NewVersion, VersionRef
from galaxy.domain.states import VersionState
from tests.support.stores import BUILT, BUNDLE_URL, BY_BOB, ENV_VALUE, RAINED, SETTINGS, new_version
from tests.support.updates import IMAGE, Harbour, digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from redis import Redis


S = VersionState
APP = "a.example.com"


@pytest.fixture
def harbour(redis: Redis, key_prefix: str) -> Iterator[Harbour]:
    harbour = Harbour(redis, key_prefix)
    harbour.tags.put("first")
    yield harbour
    harbour.close()


def look(harbour: Harbour, failing: Iterable[str] = ()) -> None:
    """The base image is checked, and everything that follows is done."""
    harbour.check()
    harbour.settle(failing=frozenset(failing))


def at_rest(harbour: Harbour, *apps: str) -> None:
    """People's versions of the apps are active, and nothing is left to do."""
    for app in apps:
        harbour.run_app(app)
    look(harbour)


def newest_update(harbour: Harbour) -> Update:
    update = harbour.base_images.update(IMAGE)
    assert update
    return update


def names(count: int) -> list[str]:
    return [f"app{number:03}.example.com" for number in range(count)]


def test_every_dependent_app_is_rebuilt_on_the_new_digest_and_active(harbour: Harbour) -> None:
    apps = names(7)
    at_rest(harbour, *apps)
    assert [harbour.automatic(app) for app in apps] == [[]] * 7

    new = harbour.tags.put("second")
    look(harbour)
    for app in apps:
        before, after = harbour.versions(app)
        assert (before.state, after.state) == (S.RETIRED, S.ACTIVE)
        assert (after.automatic, after.rebuild_of, after.base_digest) == (True, 1, new)
        assert after.deployed_by == "base image update"
    update = newest_update(harbour)
    assert (update.state, update.created, update.built, update.failed) == (UpdateState.DONE, 7, 7, 0)
    told = f"Base image {IMAGE} changed to digest {new}: version 2 builds version 1 on it again."
    assert told in harbour.log(apps[0])


def test_an_app_deployed_while_its_base_image_changes_gets_one_build_on_the_new_digest(
    harbour: Harbour,
) -> None:
    at_rest(harbour, APP)
    resolved_before = harbour.pull(harbour.deploy(APP))
    new = harbour.tags.put("second")
    look(harbour)
    assert harbour.automatic(APP) == []  # a person's build is never replaced by an automatic one
    harbour.finish(resolved_before)
    harbour.settle()
    (version,) = harbour.automatic(APP)
    assert (version.state, version.base_digest, version.rebuild_of) == (S.ACTIVE, new, 2)


def test_a_version_that_has_not_looked_the_tag_up_is_left_to_do_so(harbour: Harbour) -> None:
    harbour.run_app(APP)
    harbour.check()
    queued = harbour.deploy(APP)
    new = harbour.tags.put("second")
    look(harbour)
    harbour.finish(harbour.pull(queued))
    harbour.settle()
    assert harbour.automatic(APP) == []
    assert harbour.active(APP).base_digest == new


def test_a_persons_deploy_takes_the_place_of_a_waiting_rebuild(redis: Redis, key_prefix: str) -> None:
    harbour = Harbour(redis, key_prefix, bulk_builds_in_flight=1)
    harbour.tags.put("first")
    for app in (APP, "b.example.com"):
        harbour.run_app(app)
    look(harbour)
    new = harbour.tags.put("second")
    harbour.check()
    harbour.deliver()
    assert [ref.app for ref in harbour.queue.rebuilds] == [APP]
    ref = harbour.deploy("b.example.com")
    harbour.finish(harbour.pull(ref))
    harbour.settle()
    assert [version.state for version in harbour.versions("b.example.com")] == [
        S.RETIRED,
        S.SUPERSEDED,
        S.ACTIVE,
    ]
    assert harbour.active(APP).base_digest == new
    update = newest_update(harbour)
    assert (update.state, update.created, update.built, update.dropped) == (UpdateState.DONE, 2, 1, 1)
    harbour.close()


def test_a_digest_whose_build_failed_is_tried_again_only_when_the_digest_or_the_app_changes(
    harbour: Harbour,
) -> None:
    at_rest(harbour, APP)
    failed = harbour.tags.put("broken")
    look(harbour, failing=[APP])
    for _ in range(3):
        harbour.check()
        harbour.settle()
    assert [version.state for version in harbour.versions(APP)] == [S.ACTIVE, S.BUILD_FAILED]
    assert "has failed for good" in harbour.log(APP)

    # the person's deploy fails as well: what runs has had its chance on this digest
    harbour.fail(harbour.deploy(APP))
    harbour.settle()
    assert len(harbour.versions(APP)) == 3

    mended = harbour.tags.put("mended")
    look(harbour)
    last = harbour.versions(APP)[-1]
    assert (last.state, last.base_digest, last.rebuild_of) == (S.ACTIVE, mended, 1)
    assert failed not in {version.base_digest for version in harbour.automatic(APP) if not version.failed}


def test_a_tag_that_moves_away_and_back_before_anything_was_built_causes_nothing(harbour: Harbour) -> None:
    at_rest(harbour, APP)
    for name in ("second", "first"):
        harbour.tags.put(name)
        harbour.check()
    harbour.settle()
    assert [version.state for version in harbour.versions(APP)] == [S.ACTIVE]


def test_rebuilds_for_a_digest_that_was_taken_back_are_dropped(redis: Redis, key_prefix: str) -> None:
    harbour = Harbour(redis, key_prefix, bulk_builds_in_flight=1)
    first = harbour.tags.put("first")
    apps = names(4)
    at_rest(harbour, *apps)
    harbour.tags.put("bad")
    harbour.check()
    harbour.deliver()
    assert len(harbour.queue.rebuilds) == 1
    harbour.tags.put("first")
    look(harbour)
    assert {harbour.active(app).base_digest for app in apps} == {first}
    built = [version for app in apps for version in harbour.automatic(app) if version.image]
    assert len(built) <= 2  # the one that was being built, and its way back
    harbour.close()


def test_a_tag_that_comes_back_to_a_digest_after_another_was_active_brings_the_app_along(
    harbour: Harbour,
) -> None:
    at_rest(harbour, APP)
    for name in ("good", "bad", "good"):
        now = harbour.tags.put(name)
        harbour.check()
        harbour.settle()
        assert harbour.active(APP).base_digest == now
    assert len(harbour.versions(APP)) == 4


def test_a_persons_restore_is_not_undone(harbour: Harbour, redis: Redis) -> None:
    first = harbour.run_app(APP)
    look(harbour)
    harbour.tags.put("second")
    look(harbour)
    # as a restore does
    redis.hset(harbour.keys.version(APP, 2), "state", S.RETIRED)
    redis.hset(harbour.keys.version(*first), "state", S.ACTIVE)
    redis.hset(harbour.keys.app(APP), "active", 1)
    redis.rpush(harbour.keys.ended(), f"{APP} 1 active retired")
    harbour.settle()
    assert len(harbour.versions(APP)) == 2


def test_an_app_that_saw_a_newer_tag_than_the_last_check_is_not_taken_back(harbour: Harbour) -> None:
    at_rest(harbour, APP, "b.example.com")
    new = harbour.tags.put("second")
    ref = harbour.run_app(APP)
    harbour.settle()
    assert harbour.active(APP).base_digest == new
    assert harbour.automatic(APP) == []

    look(harbour)
    assert [version.number for version in harbour.versions(APP)] == [1, ref.number]
    assert harbour.active("b.example.com").base_digest == new


def test_a_deploy_that_sees_a_newer_tag_has_it_checked_at_once(redis: Redis, key_prefix: str) -> None:
    harbour = Harbour(redis, key_prefix, base_image_poll_s=86_400)
    harbour.tags.put("first")
    at_rest(harbour, APP)
    harbour.run_app(APP)
    assert harbour.base_images.poll() == 0, "it found what the last check did"
    harbour.tags.put("second")
    harbour.run_app(APP)
    assert [harbour.base_images.poll() for _ in range(2)] == [1, 0]
    harbour.close()


def test_a_tag_that_was_elsewhere_only_for_a_deploy_brings_the_app_back(harbour: Harbour) -> None:
    at_rest(harbour, APP)
    harbour.tags.put("other")
    harbour.run_app(APP)
    harbour.settle()
    first = harbour.tags.put("first")
    look(harbour)
    (version,) = harbour.automatic(APP)
    assert (version.state, version.base_digest, version.rebuild_of) == (S.ACTIVE, first, 2)


def test_newer_code_on_its_way_is_not_replaced_by_older_code(harbour: Harbour) -> None:
    """The newest version was cancelled while an earlier one waits for its rollout."""
    at_rest(harbour, APP)
    attempt = harbour.pull(harbour.deploy(APP))
    harbour.store.finish(attempt, BUILT, ())
    harbour.store.cancel(harbour.deploy(APP), BY_BOB)
    new = harbour.tags.put("second")
    look(harbour)
    assert harbour.automatic(APP) == []

    harbour.store.begin_rollout(attempt.ref)
    harbour.store.activate(attempt.ref)
    harbour.settle()
    active = harbour.active(APP)
    assert (active.rebuild_of, active.base_digest) == (attempt.version, new)


def test_an_app_is_decided_about_again_when_a_version_before_its_newest_comes_to_nothing(
    harbour: Harbour,
) -> None:
    at_rest(harbour, APP)
    attempt = harbour.pull(harbour.deploy(APP))
    harbour.store.finish(attempt, BUILT, ())
    harbour.store.cancel(harbour.deploy(APP), BY_BOB)
    new = harbour.tags.put("second")
    look(harbour)
    harbour.store.cancel(attempt.ref, BY_BOB)
    harbour.settle()
    assert (harbour.active(APP).rebuild_of, harbour.active(APP).base_digest) == (1, new)


@pytest.mark.parametrize("updates", [Updates.OFF, Updates.PINNED])
def test_a_rebuild_that_waits_ends_when_updates_are_turned_off(
    redis: Redis, key_prefix: str, updates: Updates
) -> None:
    harbour = Harbour(redis, key_prefix, bulk_builds_in_flight=1)
    first = harbour.tags.put("first")
    at_rest(harbour, APP, "b.example.com")
    new = harbour.tags.put("second")
    harbour.check()
    harbour.deliver()
    harbour.base_images.set_updates("b.example.com", updates)
    harbour.settle()
    (waited,) = harbour.automatic("b.example.com")
    assert (waited.state, harbour.active("b.example.com").base_digest) == (S.SUPERSEDED, first)
    assert str(waited.failure) in harbour.log("b.example.com")
    assert harbour.active(APP).base_digest == new

    harbour.base_images.set_updates("b.example.com", Updates.ON)
    harbour.settle()
    assert harbour.active("b.example.com").base_digest == new
    harbour.close()


def test_a_deploy_that_waits_is_bound_by_a_pin(harbour: Harbour) -> None:
    at_rest(harbour, APP)
    ref = harbour.deploy(APP)
    harbour.tags.put("second")
    pinned = harbour.base_images.set_updates(APP, Updates.PINNED)
    assert harbour.pull(ref).wanted_digest == pinned == digest("first")


def test_an_app_whose_settings_name_a_digest_can_not_be_pinned(harbour: Harbour, redis: Redis) -> None:
    ref = harbour.run_app(APP)
    redis.hset(harbour.keys.version(*ref), "base_reference", "")
    with pytest.raises(NotFound, match="can't be pinned"):
        harbour.base_images.set_updates(APP, Updates.PINNED)


@pytest.mark.parametrize("updates", [Updates.OFF, Updates.PINNED])
def test_an_app_without_updates_is_left_alone_until_they_are_on_again(
    harbour: Harbour, updates: Updates
) -> None:
    at_rest(harbour, APP)
    harbour.base_images.set_updates(APP, updates)
    new = harbour.tags.put("second")
    look(harbour)
    assert harbour.automatic(APP) == []
    harbour.base_images.set_updates(APP, Updates.ON)
    harbour.settle()
    assert harbour.active(APP).base_digest == new


def test_deploys_of_a_pinned_app_are_built_on_what_it_is_pinned_to(harbour: Harbour) -> None:
    harbour.run_app(APP)
    pinned = harbour.base_images.set_updates(APP, Updates.PINNED)
    assert pinned == digest("first")
    harbour.tags.put("second")
    assert harbour.pull(harbour.deploy(APP)).wanted_digest == pinned


def test_a_change_of_another_platform_is_none(harbour: Harbour) -> None:
    harbour.tags.put_index("index 1", ours="image")
    at_rest(harbour, APP)
    new = harbour.tags.put_index("index 2", ours="image")
    look(harbour)
    assert harbour.automatic(APP) == []
    (image,) = harbour.base_images.all()
    assert (image.digest, image.platform_digest) == (new, digest("image"))
    harbour.tags.put_index("index 3", ours="other image")
    look(harbour)
    assert len(harbour.automatic(APP)) == 1


def test_with_compare_tag_any_change_counts(redis: Redis, key_prefix: str) -> None:
    harbour = Harbour(redis, key_prefix, base_image_compare="tag")
    harbour.tags.put_index("index 1", ours="image")
    harbour.run_app(APP)
    harbour.check()
    harbour.tags.put_index("index 2", ours="image")
    look(harbour)
    assert len(harbour.automatic(APP)) == 1
    assert {method for method, _ in harbour.tags.asked} == {"HEAD"}
    harbour.close()


def test_what_an_index_held_is_found_out_afterwards(harbour: Harbour) -> None:
    """The tag moves before anybody has looked at what the app was built on."""
    harbour.tags.put_index("index 1", ours="image")
    harbour.run_app(APP)
    harbour.tags.put_index("index 2", ours="image")
    look(harbour)
    assert harbour.automatic(APP) == []
    asked = [reference for method, reference in harbour.tags.asked if method == "GET"]
    assert sorted(asked) == sorted(f"meteor/galaxy-app@{digest(name)}" for name in ("index 1", "index 2"))


def test_a_registry_that_does_not_tell_what_an_index_held_causes_no_update(harbour: Harbour) -> None:
    harbour.tags.put_index("index 1", ours="image")
    harbour.run_app(APP)
    harbour.tags.denied.add(digest("index 1"))
    harbour.tags.put_index("index 2", ours="image")
    harbour.check()
    with pytest.raises(RegistryDenied):
        harbour.deliver()
    assert harbour.automatic(APP) == []
    harbour.tags.denied.clear()
    due_now(harbour, harbour.keys.updates())
    harbour.settle()
    update = newest_update(harbour)
    assert (update.state, harbour.automatic(APP)) == (UpdateState.DONE, [])


def due_now(harbour: Harbour, *keys: str) -> None:
    """Time passes."""
    for key in keys:
        for member in harbour.redis.zrange(key, 0, -1):
            harbour.redis.zadd(key, {member: 0})


def test_a_rebuild_that_failed_is_due_when_its_pause_is_over_and_no_message_waits_for_that(
    harbour: Harbour,
) -> None:
    at_rest(harbour, APP)
    harbour.tags.put("second")
    harbour.check()
    harbour.deliver()
    ref = harbour.queue.rebuilds.pop()
    harbour.store.fail(harbour.pull(ref), RAINED, retry_in_s=600, steps=())
    due_at_ms = harbour.redis.zscore(harbour.keys.due(), f"{ref.app} {ref.number}")
    assert due_at_ms == harbour.store.version(ref).retry_at_ms
    due_now(harbour, harbour.keys.due())
    (due,) = harbour.store.take_due(10)
    assert (due.ref, due.automatic) == (ref, True)
    assert due.waited_s > 10**6, "its message has been used up"


def test_an_app_whose_record_makes_no_sense_holds_up_no_others(harbour: Harbour, redis: Redis) -> None:
    apps = names(3)
    at_rest(harbour, *apps)
    redis.hset(harbour.keys.version(apps[0], 1), "base_digest", "nonsense")
    new = harbour.tags.put("second")
    look(harbour)
    assert {harbour.active(app).base_digest for app in apps} == {new}


def test_waves_stop_when_builds_fail_and_go_on_at_a_persons_word(redis: Redis, key_prefix: str) -> None:
    harbour = Harbour(redis, key_prefix, update_waves="1,50%,100%")
    harbour.tags.put("first")
    apps = names(10)
    at_rest(harbour, *apps)
    harbour.tags.put("second")
    look(harbour, failing=apps)
    update = newest_update(harbour)
    assert (update.state, update.wave, update.created, update.failed) == (UpdateState.PAUSED, 1, 1, 1)
    assert "1 of 1 builds failed" in str(update.reason)
    harbour.settle()
    assert sum(len(harbour.automatic(app)) for app in apps) == 1

    harbour.base_images.resume(IMAGE)
    harbour.settle()
    update = newest_update(harbour)
    assert (update.state, update.created, update.built, update.reason) == (UpdateState.DONE, 10, 9, None)
    harbour.close()


def test_what_failed_before_tells_a_wave_nothing_and_another_app_takes_its_place(
    redis: Redis, key_prefix: str
) -> None:
    """One broken image after the other: each is noticed with one app more, and never with all."""
    harbour = Harbour(redis, key_prefix, update_waves="1,10%,100%")
    harbour.tags.put("first")
    apps = names(40)
    at_rest(harbour, *apps)
    for number in range(1, 4):
        harbour.tags.put(f"broken {number}")
        look(harbour, failing=apps)
        update = newest_update(harbour)
        assert (update.state, update.wave, update.created) == (UpdateState.PAUSED, 1, number)
        assert f"1 of {number} builds failed" in str(update.reason)
    harbour.close()


def test_a_wave_whose_versions_were_dropped_tries_others(redis: Redis, key_prefix: str) -> None:
    harbour = Harbour(redis, key_prefix, update_waves="1,100%")
    harbour.tags.put("first")
    apps = names(5)
    at_rest(harbour, *apps)
    harbour.tags.put("broken")
    harbour.check()
    harbour.deliver()
    harbour.run_app(apps[0])  # a person was faster
    harbour.settle(failing=frozenset(apps[1:]))
    update = newest_update(harbour)
    assert (update.state, update.wave, update.dropped, update.failed) == (UpdateState.PAUSED, 1, 1, 1)
    harbour.close()


@pytest.mark.parametrize("waves", ["1,10%,100%", "3,100%"])
def test_waves_go_on_with_apps_that_had_to_wait(redis: Redis, key_prefix: str, waves: str) -> None:
    """Most apps are being deployed when the base image changes: they come after the walk has ended."""
    harbour = Harbour(redis, key_prefix, update_waves=waves)
    harbour.tags.put("first")
    apps = names(40)
    at_rest(harbour, *apps)
    building = [harbour.pull(harbour.deploy(app)) for app in apps[2:]]
    new = harbour.tags.put("second")
    look(harbour)
    for attempt in building:
        harbour.finish(attempt)
    harbour.settle()
    assert {harbour.active(app).base_digest for app in apps} == {new}
    update = newest_update(harbour)
    assert (update.state, update.created) == (UpdateState.DONE, 40)
    harbour.close()


def test_waves_spare_apps_also_when_the_walk_found_none_to_rebuild(redis: Redis, key_prefix: str) -> None:
    harbour = Harbour(redis, key_prefix, update_waves="1,10%,100%")
    harbour.tags.put("first")
    apps = names(40)
    at_rest(harbour, *apps)
    building = [harbour.pull(harbour.deploy(app)) for app in apps]
    harbour.tags.put("broken")
    look(harbour)
    for attempt in building:
        harbour.finish(attempt)
    harbour.settle(failing=frozenset(apps))
    update = newest_update(harbour)
    assert (update.state, update.created, update.failed) == (UpdateState.PAUSED, 1, 1)
    harbour.close()


def test_a_wave_waits_for_the_one_before(redis: Redis, key_prefix: str) -> None:
    harbour = Harbour(redis, key_prefix, update_waves="1,50%,100%")
    harbour.tags.put("first")
    apps = names(10)
    at_rest(harbour, *apps)
    harbour.tags.put("second")
    harbour.check()
    sizes = []
    for _ in range(4):
        harbour.deliver()
        sizes.append(sum(len(harbour.automatic(app)) for app in apps))
        while harbour.queue.rebuilds:
            harbour.finish(harbour.pull(harbour.queue.rebuilds.pop(0)))
    assert sizes[:2] == [1, 5]
    assert sizes[-1] == 10
    harbour.close()


def test_apps_that_failed_before_do_not_count_against_a_wave(redis: Redis, key_prefix: str) -> None:
    harbour = Harbour(redis, key_prefix, update_waves="1,100%")
    harbour.tags.put("first")
    apps = names(3)
    for app in apps:
        harbour.run_app(app)
        harbour.fail(harbour.deploy(app))
    look(harbour)
    harbour.tags.put("second")
    look(harbour, failing=apps)
    update = newest_update(harbour)
    assert (update.state, update.failed) == (UpdateState.DONE, 3)
    harbour.close()


def test_few_rebuilds_are_in_the_queue_at_a_time_and_the_reconciler_looks_at_no_others(
    redis: Redis, key_prefix: str
) -> None:
    harbour = Harbour(redis, key_prefix, bulk_builds_in_flight=3)
    harbour.tags.put("first")
    count = 60 if isinstance(redis, FakeRedis) else 500  # fakeredis needs ten times as long for each
    apps = names(count)
    at_rest(harbour, *apps)
    harbour.tags.put("second")
    harbour.check()
    harbour.rebuilds.admit()
    most = 0
    while harbour.queue.fan_outs or harbour.queue.calls:
        most = max(most, len(harbour.queue.calls))
        if harbour.queue.calls:
            harbour.make(*harbour.queue.calls.pop(0))
        else:
            harbour.fan_out.run(*harbour.queue.fan_outs.pop(0))
    assert most <= 400
    assert redis.zcard(harbour.keys.waiting()) == count - 3
    assert len(harbour.queue.rebuilds) == redis.zcard(harbour.keys.due()) == 3
    harbour.settle()
    assert all(len(harbour.automatic(app)) == 1 for app in apps)
    harbour.close()


def test_an_image_without_dependents_is_not_asked_about_any_more(harbour: Harbour) -> None:
    harbour.run_app(APP)
    harbour.base_images.poll()
    asked = len(harbour.tags.asked)
    other = harbour.store.create_version(
        _on("docker.io/library/debian:12"), idempotency_key="k", fingerprint="f", retention_s=60
    )
    harbour.tags.put("debian", "docker.io/library/debian:12")
    attempt = harbour.pull(VersionRef(APP, other.number), digest("debian"))
    # what runs is still built on the first one
    assert {image.reference for image in harbour.base_images.all()} == {IMAGE, "docker.io/library/debian:12"}
    harbour.finish(attempt)
    harbour.settle()
    assert {image.reference for image in harbour.base_images.all()} == {"docker.io/library/debian:12"}
    harbour.base_images.poll()
    assert {reference for _, reference in harbour.tags.asked[asked:]} == {
        "debian:12",
        f"debian@{digest('debian')}",
    }


def test_dependents_tell_what_an_update_would_do(harbour: Harbour) -> None:
    apps = names(4)
    for app in apps:
        harbour.run_app(app)
    harbour.check()
    harbour.base_images.set_updates(apps[1], Updates.OFF)
    harbour.pull(harbour.deploy(apps[2]))
    harbour.deploy(apps[3])
    harbour.tags.put("second")
    harbour.check()
    found = {each.app: each.verdict for each in harbour.base_images.dependents("meteor/galaxy-app:latest")}
    assert found == dict(
        zip(
            apps,
            [Verdict.REBUILD, Verdict.UPDATES_OFF, Verdict.WAITS, Verdict.RESOLVES_ITSELF],
            strict=True,
        )
    )


def test_apps_from_before_the_index_are_found(harbour: Harbour, redis: Redis) -> None:
    apps = names(5)
    for app in apps:
        harbour.run_app(app)
        redis.hdel(harbour.keys.app(app), "base_images")
        redis.hdel(harbour.keys.version(app, 1), "base_reference")
    redis.delete(harbour.keys.base_images(), harbour.keys.dependents(IMAGE))
    harbour.settle()
    look(harbour)
    harbour.tags.put("second")
    look(harbour)
    assert all(len(harbour.automatic(app)) == 1 for app in apps)


def _on(image: str) -> NewVersion:
    return new_version(APP).model_copy(update={"base_image": image, "base_reference": image})


@pytest.mark.parametrize("lost", ["fan_outs", "calls", "rebuilds"])
def test_lost_messages_are_sent_again(harbour: Harbour, lost: str) -> None:
    apps = names(3)
    at_rest(harbour, *apps)
    new = harbour.tags.put("second")
    harbour.check()
    if lost == "calls":
        harbour.fan_out.run(*harbour.queue.fan_outs.pop())
    if lost == "rebuilds":
        harbour.deliver()
    assert getattr(harbour.queue, lost)
    getattr(harbour.queue, lost).clear()
    due_now(harbour, harbour.keys.updates(), harbour.keys.handed_out(IMAGE), harbour.keys.due())
    harbour.queue.rebuilds += [due.ref for due in harbour.store.take_due(10) if due.automatic]
    harbour.settle()
    assert {harbour.active(app).base_digest for app in apps} == {new}
    assert all(len(harbour.versions(app)) == 2 for app in apps)


def test_a_message_that_comes_twice_makes_one_version(harbour: Harbour) -> None:
    at_rest(harbour, APP)
    harbour.tags.put("second")
    harbour.check()
    fan_out = harbour.queue.fan_outs[0]
    harbour.fan_out.run(*fan_out)
    call = harbour.queue.calls[0]
    for _ in range(2):
        harbour.fan_out.run(*fan_out)
        harbour.make(*call)
    harbour.settle()
    harbour.make(*call)
    assert len(harbour.versions(APP)) == 2


def test_no_secret_is_in_what_messages_carry(harbour: Harbour) -> None:
    at_rest(harbour, APP)
    harbour.tags.put("second")
    harbour.check()
    harbour.fan_out.run(*harbour.queue.fan_outs.pop())
    (call,) = harbour.queue.calls
    assert call[2][:2] == (APP, 1)
    assert not any(secret in repr(call) for secret in (BUNDLE_URL, SETTINGS, ENV_VALUE))
    harbour.settle()
    assert harbour.redis.hmget(harbour.keys.version(APP, 2), "bundle_url", "settings") == [
        BUNDLE_URL,
        SETTINGS,
    ]
