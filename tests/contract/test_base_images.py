"""What people are told of base images, on a real Redis and on fakeredis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog

from galaxy.adapters.store.apps import AppList
from galaxy.domain.app_summary import AppSummary
from galaxy.domain.base_images.base_image import CheckOutcome
from galaxy.domain.base_images.updates import Updates, UpdateState, Verdict
from galaxy.domain.errors import (
    BaseImageNotFound,
    InvalidInput,
    NotFound,
    QueueError,
    RegistryThrottled,
    RegistryUnavailable,
)
from tests.support.updates import IMAGE, Harbour, digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis


APP = "a.example.com"


@pytest.fixture
def harbour(redis: Redis, key_prefix: str) -> Iterator[Harbour]:
    harbour = Harbour(redis, key_prefix)
    harbour.tags.put("first")
    yield harbour
    harbour.close()


def outcome(harbour: Harbour) -> CheckOutcome:
    return harbour.base_images.check(IMAGE).outcome


def test_a_check_tells_what_it_found(harbour: Harbour) -> None:
    harbour.run_app(APP)
    assert outcome(harbour) is CheckOutcome.FIRST
    assert outcome(harbour) is CheckOutcome.UNCHANGED
    harbour.tags.put("second")
    assert outcome(harbour) is CheckOutcome.CHANGED
    harbour.tags.put_index("an index", ours="second")
    assert outcome(harbour) is CheckOutcome.OTHER_PLATFORM
    assert outcome(harbour) is CheckOutcome.UNCHANGED


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (BaseImageNotFound("There is no such image."), CheckOutcome.NOT_FOUND),
        (RegistryUnavailable("It does not answer."), CheckOutcome.FAILED),
        (RegistryThrottled("Too many requests."), CheckOutcome.FAILED),
        (ValueError("a bug"), CheckOutcome.FAILED),
    ],
)
def test_a_check_that_fails_tells_why_and_keeps_what_was_known(
    harbour: Harbour, fault: Exception, told: CheckOutcome
) -> None:
    harbour.run_app(APP)
    harbour.check()
    harbour.tags.fault = fault
    checked = harbour.base_images.check(IMAGE)
    assert checked.outcome is told
    assert checked.base_image.digest == digest("first")
    assert checked.base_image.errors == 1
    assert checked.base_image.error
    assert "a bug" not in checked.base_image.error


def test_a_person_does_not_wait_for_a_registry_that_wants_a_long_pause(harbour: Harbour) -> None:
    harbour.run_app(APP)
    harbour.tags.fault = RegistryThrottled("Too many requests.")
    harbour.tags.fault.retry_after_s = 600
    harbour.check()
    asked = len(harbour.tags.asked)
    slept: list[float] = []
    harbour.base_images._sleep = slept.append
    with pytest.raises(RegistryThrottled, match=r"gets no requests for another (599|600) s"):
        harbour.base_images.check(IMAGE)
    assert slept == []
    (checked,) = harbour.base_images.check_all()
    assert checked.outcome is CheckOutcome.POSTPONED
    assert len(harbour.tags.asked) == asked


def test_all_base_images_are_checked_due_or_not(harbour: Harbour) -> None:
    harbour.run_app(APP)
    harbour.check()
    assert [each.outcome for each in harbour.base_images.check_all()] == [CheckOutcome.UNCHANGED]
    assert [each.outcome for each in harbour.base_images.check_all()] == [CheckOutcome.UNCHANGED]


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        ("tests/nobody-uses-this", NotFound),
        (f"meteor/galaxy-app@{digest('first')}", InvalidInput),
        (f"meteor/galaxy-app:latest@{digest('first')}", InvalidInput),
        ("Meteor/Galaxy-App", InvalidInput),
        ("https://hub.docker.com/r/meteor/galaxy-app", InvalidInput),
        ("meteor/galaxy-app:", InvalidInput),
        ("", InvalidInput),
    ],
)
def test_a_base_image_that_can_not_be_meant_is_refused(
    harbour: Harbour, reference: str, error: type[Exception]
) -> None:
    harbour.run_app(APP)
    asked = len(harbour.tags.asked)
    for ask in (harbour.base_images.check, harbour.base_images.resume, harbour.base_images.dependents):
        with pytest.raises(error):
            _ = [*ask(reference)]
    assert len(harbour.tags.asked) == asked


def test_what_the_next_change_would_rebuild_is_told_before_it_happens(harbour: Harbour) -> None:
    ready, off, waiting, failed = (f"{name}.example.com" for name in "abcd")
    for app in (ready, off, waiting, failed):
        harbour.run_app(app)
    harbour.check()
    harbour.base_images.set_updates(off, Updates.OFF)
    harbour.pull(harbour.deploy(waiting))
    harbour.tags.put("second")
    harbour.check()
    harbour.settle(failing=frozenset({failed}))

    found = {each.app: each for each in harbour.base_images.dependents(IMAGE)}
    now = {app: each.verdict for app, each in found.items()}
    then = {app: (each.next_verdict, each.next_source) for app, each in found.items()}
    assert now == {
        ready: Verdict.UP_TO_DATE,
        off: Verdict.UPDATES_OFF,
        waiting: Verdict.WAITS,
        failed: Verdict.ALREADY_TRIED,
    }
    assert then == {
        ready: (Verdict.REBUILD, 2),
        off: (Verdict.UPDATES_OFF, None),
        waiting: (Verdict.WAITS, None),
        failed: (Verdict.REBUILD, 1),
    }


def test_an_update_goes_on_although_the_broker_is_away(redis: Redis, key_prefix: str) -> None:
    harbour = Harbour(redis, key_prefix, update_waves="1,100%")
    harbour.tags.put("first")
    for app in ("a.example.com", "b.example.com"):
        harbour.run_app(app)
    harbour.check()
    harbour.tags.put("second")
    harbour.check()
    harbour.settle(failing=frozenset({"a.example.com"}))
    (image,) = harbour.base_images.all()
    assert image.update
    assert (image.update.state, image.update.wave, image.update.failed) == (UpdateState.PAUSED, 1, 1)
    assert image.update.reason

    harbour.queue.away = QueueError("The broker is away.")
    assert harbour.base_images.resume(IMAGE).wave == 1
    update = harbour.base_images.update(IMAGE)
    assert update
    assert (update.state, update.wave) == (UpdateState.RUNNING, 2)
    harbour.close()


def test_apps_are_listed_with_what_serves_them_and_what_they_want(harbour: Harbour, redis: Redis) -> None:
    apps = AppList(redis, harbour.keys)
    rebuilt, pinned, new = (f"{name}.example.com" for name in "abc")
    harbour.run_app(rebuilt)
    harbour.run_app(pinned)
    harbour.deploy(new)
    harbour.base_images.set_updates(pinned, Updates.PINNED)
    harbour.check()
    harbour.tags.put("second")
    harbour.check()
    harbour.settle()
    assert [*apps.all()] == [
        AppSummary(app=rebuilt, active_version=2, automatic=True, rebuild_of=1),
        AppSummary(app=pinned, active_version=1, updates=Updates.PINNED, pinned_digest=digest("first")),
        AppSummary(app=new),
    ]
    assert apps.one(new) == AppSummary(app=new)
    with pytest.raises(NotFound):
        apps.one("nobody.example.com")


def test_more_apps_than_a_page_holds_are_listed_once_each(
    harbour: Harbour, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"app{number}.example.com" for number in range(5)]
    for app in names:
        harbour.deploy(app)
    monkeypatch.setattr("galaxy.adapters.store.apps._PAGE", 2)
    assert [each.app for each in AppList(redis, harbour.keys).all()] == names


def test_an_app_whose_base_image_is_refused_today_does_not_keep_the_others_from_being_indexed(
    harbour: Harbour, redis: Redis
) -> None:
    apps = ["a.example.com", "b.example.com", "c.example.com"]
    keys = harbour.keys
    for app in apps:
        harbour.run_app(app)
        # as it was before base images were indexed
        redis.hdel(keys.version(app, 1), "base_reference")
        redis.hdel(keys.app(app), "base_images")
    redis.delete(keys.dependents(IMAGE), keys.base_images())
    redis.hset(keys.version("b.example.com", 1), "base_image", "No Such/Image:-")
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            harbour.rebuilds.catch_up()
    assert redis.zrange(keys.dependents(IMAGE), 0, -1) == ["a.example.com", "c.example.com"]
    assert [each["app"] for each in logs if each["event"] == "version.not_indexed"] == ["b.example.com"]
