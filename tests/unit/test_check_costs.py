"""What a check of a base image asks the registry for, and when somebody else's poll is left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from galaxy.domain.base_images.updates import Verdict
from tests.support.fake_redis import fake_redis
from tests.support.updates import IMAGE, Harbour

if TYPE_CHECKING:
    from collections.abc import Iterator

APP = "a.example.com"


@pytest.fixture
def harbour() -> Iterator[Harbour]:
    with fake_redis(decode_responses=True) as redis:
        harbour = Harbour(redis, "checks", base_image_poll_s=3600)
        harbour.tags.put("first")
        harbour.run_app(APP)
        harbour.tags.asked.clear()
        yield harbour
        harbour.close()


def asked(harbour: Harbour) -> list[str]:
    methods = [method for method, _ in harbour.tags.asked]
    harbour.tags.asked.clear()
    return methods


def spent(harbour: Harbour) -> float:
    """How many requests were taken from the registry's budget, since it was last asked."""
    budget = harbour.keys.budget("docker.io")
    left = float(str(harbour.redis.hget(budget, "tokens")))
    harbour.redis.delete(budget)
    return 5 * harbour.settings.registry_requests_per_s - left


def test_a_check_costs_as_many_requests_as_it_makes(harbour: Harbour) -> None:
    for change, requests in ((None, 2), (None, 1), ("second", 2), (None, 1)):
        if change:
            harbour.tags.put_index(change, ours=f"{change} for us")
        harbour.check()
        assert asked(harbour) == ["HEAD", "GET"][:requests]
        assert spent(harbour) == requests


def test_while_somebody_polls_nobody_else_does(harbour: Harbour) -> None:
    with harbour.images.only_poller(60) as renew:
        assert renew()
        assert harbour.base_images.poll() == 0
        assert asked(harbour) == []
        assert renew()
    assert harbour.base_images.poll() == 1
    assert asked(harbour) == ["HEAD", "GET"]


def test_an_app_whose_platform_did_not_change_is_shown_as_up_to_date(harbour: Harbour) -> None:
    harbour.check()
    harbour.settle()
    harbour.tags.put_index("an index", ours="first")
    harbour.check()
    (dependent,) = harbour.base_images.dependents(IMAGE)
    assert (dependent.verdict, dependent.source) == (Verdict.UP_TO_DATE, None)
    assert (dependent.next_verdict, dependent.next_source) == (Verdict.REBUILD, 1)
    assert (dependent.newest, dependent.active) == (1, 1)
