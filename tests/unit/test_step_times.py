"""What is recorded of a build's steps."""

from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from galaxy.domain.states import Step
from galaxy.services import recorder
from galaxy.services.recorder import StepRecorder

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def sleep(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets time pass."""
    passed_s = [0.0]

    def sleep(seconds: float) -> None:
        passed_s[0] += seconds

    clock = SimpleNamespace(time=lambda: 1000 + passed_s[0], monotonic=lambda: 5 + passed_s[0])
    monkeypatch.setattr(recorder, "time", clock)
    return sleep


def test_each_step_has_its_beginning_and_how_long_it_took_in_milliseconds(
    sleep: Callable[[float], None],
) -> None:
    store: Any = SimpleNamespace(record_progress=lambda *_, **__: None)
    attempt: Any = "the attempt"
    seen: list[object] = []
    record = StepRecorder(store, attempt, lambda *step: seen.append(step))
    with record(Step.PULL):
        sleep(1.25)
    with suppress(ValueError), record(Step.SETUP):
        sleep(0.5)
        raise ValueError
    timings = [(each.step, each.started_at_ms, each.duration_ms) for each in record.timings]
    assert timings == [(Step.PULL, 1_000_000, 1250), (Step.SETUP, 1_001_250, 500)]
    assert seen == [(attempt, Step.PULL), (attempt, Step.SETUP)]
