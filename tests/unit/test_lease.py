"""When the holder of an attempt has to stop."""

from __future__ import annotations

import time
from threading import Event
from typing import TYPE_CHECKING, cast

import pytest
from pydantic import SecretStr

from galaxy.domain.errors import BuildTimedOut, Cancelled, LeaseLost, StoreError
from galaxy.domain.models import Attempt
from galaxy.domain.states import VersionState
from galaxy.services.lease import HeldLease

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.stores import AllStores

ATTEMPT = Attempt(
    app="www.example.com",
    version=1,
    number=1,
    token=1,
    base_image="meteor/galaxy-app:latest",
    bundle_url=SecretStr("http://bundles.example.com/x"),
    env={},
)


class Answers:
    """Stands for the store: only its answer to a renewal matters here."""

    def __init__(self, answer: Callable[[], VersionState | None]) -> None:
        self._answer = answer
        self.asked = 0

    def renew(self, _: Attempt) -> VersionState | None:
        self.asked += 1
        return self._answer()


def lease(store: Answers, *, lease_s: float = 5, timeout_s: float = 60) -> HeldLease:
    return HeldLease(
        cast("AllStores", store), ATTEMPT, renew_every_s=0.01, lease_s=lease_s, timeout_s=timeout_s
    )


def until_stopped(held: HeldLease) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        held.check()
        time.sleep(0.005)


def test_it_goes_on_for_longer_than_the_lease_while_renewals_are_answered() -> None:
    store = Answers(lambda: None)
    with lease(store, lease_s=0.1) as held:
        ends_at = time.monotonic() + 0.4
        while time.monotonic() < ends_at:
            held.check()
            time.sleep(0.005)
    assert store.asked > 1


def test_a_renewal_that_hangs_loses_the_lease_when_it_runs_out() -> None:
    answered = Event()

    def hang() -> None:
        answered.wait(10)

    with lease(Answers(hang), lease_s=0.1) as held:
        with pytest.raises(LeaseLost, match="could not be renewed"):
            until_stopped(held)
        answered.set()


def test_a_store_that_is_away_for_a_moment_loses_nothing() -> None:
    answers = iter([StoreError("away"), StoreError("away")])

    def answer() -> None:
        if error := next(answers, None):
            raise error

    store = Answers(answer)
    with lease(store) as held:
        deadline = time.monotonic() + 10
        while store.asked < 4 and time.monotonic() < deadline:
            time.sleep(0.005)
        held.check()
    assert store.asked >= 4


def test_a_version_that_was_cancelled_stops_its_attempt() -> None:
    with lease(Answers(lambda: VersionState.CANCELLED)) as held, pytest.raises(Cancelled):
        until_stopped(held)


def test_the_deadline_stops_an_attempt_that_holds_its_lease() -> None:
    with lease(Answers(lambda: None), timeout_s=0.05) as held, pytest.raises(BuildTimedOut, match=r"0\.05 s"):
        until_stopped(held)
