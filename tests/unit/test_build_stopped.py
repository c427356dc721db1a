"""A build worker that is told to stop, in whichever line: what it has claimed goes back."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from galaxy.adapters.store import leases
from galaxy.domain.errors import AttemptFailed, EngineError
from galaxy.domain.states import VersionState
from galaxy.services import build, lease, work_claim
from tests.support.fake_engine import succeed
from tests.support.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from galaxy.domain.models import VersionRef
    from tests.support.fake_engine import Program

S = VersionState
#: The files in whose lines the signal comes.
INTERRUPTED = {module.__file__ for module in (build, lease, leases, work_claim)}


@pytest.fixture
def workshop() -> Iterator[Workshop]:
    workshop = Workshop(retry_backoff_s=600)
    yield workshop
    workshop.close()
    assert workshop.engine.containers("") == ()


class Signal:
    """Makes this thread raise `SystemExit` at a certain line, counted over all that it runs in those files."""

    def __init__(self, at: int) -> None:
        self._left = at

    @property
    def came(self) -> bool:
        return self._left < 0

    def trace(self, frame: FrameType, event: str, _: object) -> object:
        if frame.f_code.co_filename not in INTERRUPTED:
            return None
        if event == "line":
            self._left -= 1
            if self.came:
                raise SystemExit
        return self.trace


def run_until(workshop: Workshop, ref: VersionRef, signal: Signal) -> None:
    before = sys.gettrace()
    sys.settrace(signal.trace)  # type: ignore[arg-type] # a bound method
    try:
        workshop.run(ref)
    finally:
        sys.settrace(before)


def fail(_: object) -> int:
    raise EngineError("The engine rests.")


@pytest.mark.parametrize(("program", "ends"), [(succeed, {S.BUILT}), (fail, {S.RETRYING})])
def test_no_attempt_is_kept_by_a_worker_that_is_told_to_stop_in_any_line(
    workshop: Workshop, program: Program, ends: set[VersionState]
) -> None:
    workshop.base_image(program)
    at, seen = 0, set[VersionState]()
    while True:
        ref, signal = workshop.deploy(), Signal(at)
        with suppress(SystemExit, AttemptFailed):
            run_until(workshop, ref, signal)
        if not signal.came:
            break
        version = workshop.version(ref)
        assert version.state in {S.QUEUED, *ends}, f"line {at}"
        assert version.attempt == (version.state is not S.QUEUED), f"line {at}"
        seen.add(version.state)
        at += 1
    assert seen == {S.QUEUED, *ends}
    assert len(workshop.queue.builds) > 50, "most of these lines come after the claim"
