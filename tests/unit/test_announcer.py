"""What happened to a version is in its app's log, once, whichever process died on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from galaxy.domain.announcement import Announcement, next_attempt
from galaxy.domain.errors import StoreError
from galaxy.domain.states import VersionState
from tests.support.stores import APP, bring_to, deploy
from tests.support.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

S = VersionState


@pytest.fixture
def workshop() -> Iterator[Workshop]:
    workshop = Workshop()
    yield workshop
    workshop.close()


SAID = {
    S.QUEUED: ["ada deployed version 1 on base image docker.io/meteor/galaxy-app:latest."],
    S.RETRYING: ["Attempt 1 of 4 failed: It rained.", "The next attempt starts at once."],
    S.BUILD_FAILED: ["Attempt 4 of 4 failed: It rained.", "has failed for good"],
    S.CANCELLED: ["Version 1 is cancelled. Cancelled by bob."],
    S.SUPERSEDED: ["Version 1 is superseded. Version 2 was deployed before this one was built."],
    S.BUILT: ["Version 1 is built: registry.test/apps/www.example.com:1, digest sha256:aaa"],
    S.ACTIVE: ["Version 1 is active now."],
    S.RETIRED: ["Version 2 is active now; version 1 is retired."],
}


@pytest.mark.parametrize("state", SAID)
def test_a_move_whose_process_died_before_it_could_tell_is_told_by_the_reconciler(
    workshop: Workshop, state: VersionState
) -> None:
    bring_to(workshop.store, state)
    assert workshop.lines() == []
    workshop.reconciler.run()
    assert [part for part in SAID[state] if part not in workshop.text()] == []
    told = workshop.text()
    workshop.reconciler.run()
    assert workshop.text() == told


def test_a_failed_attempt_is_told_as_an_error_of_that_attempt(workshop: Workshop) -> None:
    bring_to(workshop.store, S.RETRYING)
    workshop.reconciler.run()
    deployed, failed, again = workshop.lines()
    assert (deployed.attempt, deployed.error, deployed.version) == (None, False, 1)
    assert (failed.attempt, failed.error) == (1, True)
    assert (again.attempt, again.error) == (1, False)


def test_what_was_told_by_one_who_died_before_the_store_could_forget_it_is_not_told_again(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(workshop.store)

    def die(_: Sequence[Announcement]) -> None:
        raise StoreError("Redis went away.")

    with monkeypatch.context() as patched:
        patched.setattr(workshop.store, "mark_announced", die)
        workshop.announcer.announce(APP)
    assert len(workshop.lines()) == 1
    assert workshop.store.outbox_apps(10) == [APP]
    workshop.reconciler.run()
    assert len(workshop.lines()) == 1
    assert workshop.store.outbox_apps(10) == []


def test_logs_that_are_away_keep_no_version_from_moving(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = deploy(workshop.dying)

    def away(*_: object) -> None:
        raise StoreError("The logs' Redis can't be reached.")

    with monkeypatch.context() as patched:
        patched.setattr(workshop.log, "append_each", away)
        assert workshop.reconciler.run() == 1
    assert workshop.queue.builds == [(ref, 0)]
    assert workshop.lines() == []
    workshop.reconciler.run()
    assert len(workshop.lines()) == 1


def test_warnings_about_the_settings_are_told_with_the_deploy() -> None:
    told = Announcement(
        id="5-0",
        event="deployed",
        app=APP,
        version=1,
        attempt=0,
        by="ada",
        base_image="a:b",
        warnings="One.\nTwo.",
    )
    assert [line.text for block in told.blocks() for line in block.lines()] == [
        "ada deployed version 1 on base image a:b.",
        "One.",
        "Two.",
    ]
    assert {block.at_ms for block in told.blocks()} == {5}


@pytest.mark.parametrize(
    ("in_s", "said"),
    [
        (0, "at once"),
        (-1, "at once"),
        (0.04, "in 0.04 s"),
        (0.83, "in 0.8 s"),
        (0.97, "in 1 s"),
        (12.4, "in 12 s"),
    ],
)
def test_the_next_attempt_is_said_to_start_when_it_does(in_s: float, said: str) -> None:
    assert next_attempt(in_s) == f"The next attempt starts {said}."
