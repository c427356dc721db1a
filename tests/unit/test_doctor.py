from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from galaxy.domain.diagnosis.finding import Severity, any_problem, any_unreachable, fine, problem, warning
from galaxy.domain.errors import NotFound, StoreError
from galaxy.services.doctor import Examination, run_checks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from galaxy.domain.diagnosis.finding import Finding


def _away() -> Iterator[Finding]:
    yield fine("store", "It was there.")
    raise StoreError("Redis can't be reached.", "Start it.")


def _refused() -> Iterator[Finding]:
    raise NotFound("There is no such image.", "Push it.")
    yield


def _broken() -> Iterator[Finding]:
    raise ValueError("redis://:secret@host")
    yield


def test_a_check_that_fails_hides_neither_what_it_found_nor_what_others_find() -> None:
    checks = [
        Examination("store", _away),
        Examination("image", _refused),
        Examination("bug", _broken),
        Examination("last", lambda: [fine("last", "Fine.")]),
    ]
    found = list(run_checks(checks, within_s=5))
    assert [(each.subject, each.level, each.unreachable) for each in found] == [
        ("store", Severity.OK, False),
        ("store", Severity.PROBLEM, True),
        ("image", Severity.PROBLEM, False),
        ("bug", Severity.PROBLEM, False),
        ("last", Severity.OK, False),
    ]
    assert found[1].advice == "Start it."
    assert "secret" not in found[3].model_dump_json()


def test_a_check_that_hangs_is_given_up_and_the_others_are_told() -> None:
    never = threading.Event()

    def hang() -> list[Finding]:
        never.wait(60)
        return []

    began = time.monotonic()
    found = list(
        run_checks(
            [Examination("slow", hang), Examination("quick", lambda: [fine("quick", "")])], within_s=0.2
        )
    )
    assert time.monotonic() - began < 5
    assert [(each.subject, each.unreachable) for each in found] == [("slow", True), ("quick", False)]
    never.set()


def test_warnings_are_no_problem() -> None:
    assert not any_problem([fine("a", ""), warning("a", "", "")])
    assert any_problem([problem("a", "", "")])
    assert not any_unreachable([problem("a", "", "")])
