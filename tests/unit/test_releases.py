"""Cancelling a version: what it was, and what people read of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from galaxy.domain.errors import IllegalTransition, InvalidInput, NotFound, StoreError
from galaxy.domain.log import START
from galaxy.domain.models import VersionRef
from galaxy.domain.states import VersionState
from tests.support.stores import APP, bring_to
from tests.support.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from galaxy.services.releases import Releases

S = VersionState


@pytest.fixture
def workshop() -> Iterator[Workshop]:
    workshop = Workshop()
    yield workshop
    workshop.close()


@pytest.fixture
def releases(workshop: Workshop) -> Releases:
    return workshop.releases


def test_who_cancelled_is_in_the_log_and_in_the_history(workshop: Workshop, releases: Releases) -> None:
    ref, _ = bring_to(workshop.store, S.BUILDING)
    assert releases.cancel(app=APP, number=1, by="bob@example.com") is S.BUILDING
    assert workshop.version(ref).state is S.CANCELLED
    assert workshop.lines()[-1].text == "Version 1 is cancelled. Cancelled by bob@example.com."
    assert (
        workshop.store.activity(APP)[-1].sentence == "version 1 was cancelled: Cancelled by bob@example.com."
    )


def test_who_cancels_again_is_told_that_it_is_cancelled(workshop: Workshop, releases: Releases) -> None:
    bring_to(workshop.store, S.QUEUED)
    assert releases.cancel(app=APP, number=1, by="ada") is S.QUEUED
    assert releases.cancel(app=APP, number=1, by="bob") is S.CANCELLED
    assert "bob" not in workshop.text()


def test_a_cancel_needs_no_name(workshop: Workshop, releases: Releases) -> None:
    bring_to(workshop.store, S.QUEUED)
    releases.cancel(app=APP.upper(), number=1)
    assert "Cancelled by unknown." in workshop.text()


@pytest.mark.parametrize(
    ("app", "by"), [(APP, "two\nlines"), (APP, ""), (APP, "x" * 300), ("not a host", "ada")]
)
def test_a_malformed_cancel_changes_nothing(
    workshop: Workshop, releases: Releases, app: str, by: str
) -> None:
    ref, _ = bring_to(workshop.store, S.QUEUED)
    with pytest.raises(InvalidInput):
        releases.cancel(app=app, number=1, by=by)
    assert workshop.version(ref).state is S.QUEUED


def test_what_is_not_there_or_too_late_is_said_so(workshop: Workshop, releases: Releases) -> None:
    with pytest.raises(NotFound):
        releases.cancel(app=APP, number=1)
    bring_to(workshop.store, S.ACTIVE)
    with pytest.raises(IllegalTransition, match="is active and can't be cancelled"):
        releases.cancel(app=APP, number=1)


def test_a_log_that_is_away_does_not_fail_a_cancel(
    workshop: Workshop, releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref, _ = bring_to(workshop.store, S.QUEUED)

    def away(*_: object) -> None:
        raise StoreError("The logs' Redis can't be reached.")

    monkeypatch.setattr(workshop.log, "append_each", away)
    releases.cancel(app=APP, number=1, by="ada")
    assert workshop.version(ref).state is S.CANCELLED
    assert workshop.lines() == []


def test_a_log_that_is_away_does_not_fail_a_deploy(
    workshop: Workshop, releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreError("The logs' Redis can't be reached.")

    monkeypatch.setattr(workshop.log, "cursor_now", away)
    monkeypatch.setattr(workshop.log, "append_each", away)
    deployed = releases.deploy(app=APP, settings="{}", bundle_url="https://bundles.example.com/1.tar.gz")
    assert workshop.version(VersionRef(APP, deployed.version)).state is S.QUEUED
    assert deployed.log_cursor == START
    assert workshop.lines() == []
