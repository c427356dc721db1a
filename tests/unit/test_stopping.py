"""A worker that is told to end while it hands a task to one of its processes waits until the task has arrived."""

from __future__ import annotations

import os
import signal
from inspect import getsource
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from celery.concurrency import asynpool

from workers.stopping import HANDING_OVER, connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Hub:
    """Keeps what is to be called at the next turn of the loop."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], object]] = []

    def call_soon(self, callback: Callable[..., object], *arguments: object) -> None:
        self.soon.append(lambda: callback(*arguments))


@pytest.fixture
def heeded() -> Iterator[list[int]]:
    """Signals that Celery's handler got."""
    got: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: got.append(number))
    yield got
    signal.signal(signal.SIGTERM, before)


def handing_over(filename: str) -> Callable[[], None]:
    """A function of the name that the pool's has, defined in this file, during which SIGTERM comes."""
    space: dict[str, Any] = {"kill": lambda: os.kill(os.getpid(), signal.SIGTERM)}
    exec(compile(f"def {HANDING_OVER}():\n    kill()\n", filename, "exec"), space)
    function: Callable[[], None] = space[HANDING_OVER]
    return function


def test_a_signal_is_heeded_at_once(heeded: list[int]) -> None:
    hub = Hub()
    connect(SimpleNamespace(hub=hub))  # type: ignore[arg-type] # all that is asked of a consumer
    handing_over(__file__)()
    assert (heeded, hub.soon) == ([signal.SIGTERM], [])


def test_a_signal_waits_until_a_task_has_arrived(heeded: list[int]) -> None:
    hub = Hub()
    connect(SimpleNamespace(hub=hub))  # type: ignore[arg-type] # as above
    handing_over(asynpool.__file__)()
    assert heeded == []
    for each in hub.soon:
        each()
    assert heeded == [signal.SIGTERM]


def test_the_pool_still_hands_over_in_a_function_of_that_name() -> None:
    assert f"def {HANDING_OVER}(" in getsource(asynpool)
