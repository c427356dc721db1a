"""The table of moves, as a whole."""

from __future__ import annotations

import pytest

from galaxy.domain.states import FAILED, TRANSITIONS, UNFINISHED, Step, VersionState

S = VersionState
SETTLED = frozenset({S.ACTIVE, S.RETIRED})


def reachable(start: VersionState) -> set[VersionState]:
    found = {start}
    while further := {to for state in found for to in TRANSITIONS[state]} - found:
        found |= further
    return found


def test_the_table_has_every_state() -> None:
    assert set(TRANSITIONS) == set(S)


def test_every_state_is_unfinished_failed_or_settled_and_only_one_of_them() -> None:
    assert set(S) == UNFINISHED | FAILED | SETTLED
    assert not UNFINISHED & FAILED
    assert not (UNFINISHED | FAILED) & SETTLED


def test_every_state_can_be_reached() -> None:
    assert reachable(S.QUEUED) == set(S)


@pytest.mark.parametrize("state", sorted(FAILED))
def test_a_failed_version_stays_as_it_is(state: VersionState) -> None:
    assert TRANSITIONS[state] == frozenset()


@pytest.mark.parametrize("state", sorted(UNFINISHED))
def test_an_unfinished_version_can_become_active_and_can_be_ended(state: VersionState) -> None:
    assert S.ACTIVE in reachable(state)
    assert {S.CANCELLED, S.SUPERSEDED} <= TRANSITIONS[state]


def test_a_version_that_was_active_is_never_built_again() -> None:
    assert reachable(S.ACTIVE) == SETTLED


def test_no_version_is_active_without_a_rollout() -> None:
    before = {state for state, to in TRANSITIONS.items() if S.ACTIVE in to}
    assert before == {S.ROLLING_OUT, S.RETIRED}


def test_the_steps_stand_in_the_order_of_the_build() -> None:
    assert [*Step] == ["pull", "verify", "setup", "commit", "push"]
