"""What the log tells of each move of a version."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from galaxy.domain.announcement import Announcement
from galaxy.domain.reasons import Reason
from tests.support.stores import BY_BOB, RAINED

if TYPE_CHECKING:
    from galaxy.domain.log import LogBlock

APP = "www.example.com"
AT_MS = 1_800_000_000_000


def blocks(event: str, **known: object) -> tuple[LogBlock, ...]:
    told = {"id": f"{AT_MS}-0", "app": APP, "version": 3, "attempt": 2, "by": "ada", "base_image": "node:20"}
    return Announcement.model_validate({**told, "event": event, **known}).blocks()


def texts(event: str, **known: object) -> list[str]:
    return [block.text for block in blocks(event, **known)]


@pytest.mark.parametrize(
    ("event", "known", "attempt", "errors"),
    [
        ("deployed", {"warnings": "A warning."}, None, [False, False]),
        ("built", {}, 2, [False]),
        ("retrying", {"reason": RAINED, "retry_at": AT_MS}, 2, [True, False]),
        ("build_failed", {"reason": RAINED}, 2, [True, True]),
        ("handed_back", {}, 2, [False]),
        ("active", {}, None, [False]),
        ("cancelled", {"reason": BY_BOB}, None, [False]),
        ("superseded", {"reason": Reason(code="deployed_newer", facts={"newer": 4})}, None, [False]),
    ],
)
def test_only_what_failed_is_an_error_and_only_attempts_have_a_number(
    event: str, known: dict[str, object], attempt: int | None, errors: list[bool]
) -> None:
    told = blocks(event, **known)
    assert [block.error for block in told] == errors
    assert {(block.attempt, block.version, block.at_ms) for block in told} == {(attempt, 3, AT_MS)}


@pytest.mark.parametrize(
    ("retry_at", "said"),
    [
        (AT_MS + 30_000, "in 30 s"),
        (AT_MS + 1_000, "in 1 s"),
        (AT_MS + 500, "in 0.5 s"),
        (AT_MS, "at once"),
        (AT_MS - 5_000, "at once"),
        (None, "at once"),
    ],
)
def test_the_next_attempt_is_said_to_start_as_long_after_the_failure_as_it_does(
    retry_at: int | None, said: str
) -> None:
    assert texts("retrying", reason=RAINED, retry_at=retry_at)[1] == f"The next attempt starts {said}."


def test_a_version_that_replaces_none_retires_none() -> None:
    assert texts("active") == ["Version 3 is active now."]
    assert texts("active", replaced=2) == ["Version 3 is active now; version 2 is retired."]


def test_announcements_of_one_app_have_numbers_that_rise() -> None:
    ids = [f"{AT_MS}-0", f"{AT_MS}-1", f"{AT_MS}-999", f"{AT_MS + 1}-0"]
    known = {"app": APP, "version": 1, "attempt": 0, "by": "ada", "base_image": "a:b", "event": "built"}
    numbers = [Announcement.model_validate({**known, "id": each}).number for each in ids]
    assert numbers == [AT_MS * 1000, AT_MS * 1000 + 1, AT_MS * 1000 + 999, (AT_MS + 1) * 1000]
