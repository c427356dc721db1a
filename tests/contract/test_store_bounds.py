"""Bounds that the store keeps: how early is too early, whose lease still counts, which page was handed out already."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from galaxy.domain.base_images.checks import CheckPostponed
from galaxy.domain.base_images.fan_out import HandOut
from galaxy.domain.models import Attempt, NotClaimed
from tests.support.stores import RAINED, claim, deploy, make_store
from tests.support.updates import IMAGE, Harbour

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

    from tests.support.stores import AllStores

APPS = ["a.example.com", "b.example.com"]


@pytest.fixture
def store(redis: Redis, key_prefix: str) -> AllStores:
    return make_store(redis, key_prefix)


@pytest.fixture
def harbour(redis: Redis, key_prefix: str) -> Iterator[Harbour]:
    harbour = Harbour(redis, key_prefix)
    harbour.tags.put("first")
    yield harbour
    harbour.close()


@pytest.mark.parametrize("retry_in_s", [0.5, 4, 60])
def test_a_retry_does_not_begin_before_its_time(store: AllStores, retry_in_s: float) -> None:
    ref = deploy(store)
    store.fail(claim(store, ref), RAINED, retry_in_s=retry_in_s, steps=())
    assert store.claim(ref) is NotClaimed.NOT_DUE
    assert store.version(ref).attempt == 1


def test_a_retry_begins_when_its_time_has_come(store: AllStores) -> None:
    ref = deploy(store)
    store.fail(claim(store, ref), RAINED, retry_in_s=0.05, steps=())
    deadline = time.monotonic() + 5
    while not isinstance(attempt := store.claim(ref), Attempt):
        assert time.monotonic() < deadline, attempt
        time.sleep(0.01)
    assert attempt.number == 2


def test_a_base_image_that_is_being_checked_is_not_taken_again_though_it_is_due(harbour: Harbour) -> None:
    harbour.run_app(APPS[0])
    (check,) = harbour.images.take_checks(10)
    harbour.redis.zadd(harbour.keys.base_images(), {IMAGE: 0})  # as when a deploy has seen a newer digest
    assert harbour.images.take_checks(10) == ()
    postponed = harbour.images.take_check(IMAGE)
    assert isinstance(postponed, CheckPostponed)
    assert postponed.being_checked
    assert 0 < postponed.wait_s <= 60
    assert check.image == IMAGE


def test_a_page_of_apps_is_handed_out_once_although_two_have_read_it(harbour: Harbour) -> None:
    for app in APPS:
        harbour.run_app(app)
    harbour.check()
    harbour.settle()
    harbour.tags.put("second")
    harbour.check()
    read = harbour.updates.update(IMAGE)
    assert read
    page = HandOut(APPS, cursor=APPS[-1], walked=False)
    assert harbour.updates.hand_out(read, page) == APPS
    assert harbour.updates.hand_out(read, page) == []
    after = harbour.updates.update(IMAGE)
    assert after
    assert (after.cursor, after.handed_out) == (APPS[-1], 2)
