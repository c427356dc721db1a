"""What SIGTERM means to a worker, and that it waits while a task is handed to one of the worker's processes."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from inspect import getsource
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from billiard import common
from celery.concurrency import asynpool, prefork

from workers.celery_fixes.job_handover import HANDING_OVER
from workers.shutdown import install_handlers, protect_cleanup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from celery.worker.consumer import Consumer

TERM, QUIT = signal.SIGTERM, signal.SIGQUIT


class Hub:
    """Keeps what is to be called at the next turn of the loop."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], object]] = []

    def call_soon(self, callback: Callable[..., object], *arguments: object) -> None:
        self.soon.append(lambda: callback(*arguments))


@contextmanager
def handlers_restored() -> Iterator[None]:
    numbers = (TERM, QUIT, signal.SIGHUP, signal.SIGUSR1)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def heeded() -> Iterator[list[str]]:
    """Which of Celery's handlers were called."""
    got: list[str] = []
    with handlers_restored():
        signal.signal(TERM, lambda *_: got.append("warm"))
        signal.signal(QUIT, lambda *_: got.append("cold"))
        yield got


def consumer(hub: Hub | None, *queues: str, pool: object = None) -> Consumer:
    """All that is asked of one; its pool has processes unless it is told otherwise."""
    amqp = SimpleNamespace(queues=SimpleNamespace(consume_from=dict.fromkeys(queues)))
    pool = pool or prefork.TaskPool.__new__(prefork.TaskPool)
    return cast("Consumer", SimpleNamespace(hub=hub, app=SimpleNamespace(amqp=amqp), pool=pool))


def kill_myself(number: int = TERM) -> None:
    os.kill(os.getpid(), number)


def handing_over(filename: str) -> Callable[[], None]:
    """A function of the name that the pool's has, defined in this file, during which SIGTERM comes."""
    space: dict[str, Any] = {"kill": kill_myself}
    exec(compile(f"def {HANDING_OVER}():\n    kill()\n", filename, "exec"), space)
    function: Callable[[], None] = space[HANDING_OVER]
    return function


@pytest.mark.parametrize("queue", ["builds", "builds.bulk"])
def test_who_builds_hands_back_at_the_first_sigterm_and_heeds_no_other(heeded: list[str], queue: str) -> None:
    install_handlers(consumer(Hub(), queue, "control"))
    for _ in range(3):
        kill_myself()
    assert heeded == ["cold"]
    kill_myself(QUIT)
    assert heeded == ["cold", "cold"], "an impatient person still has this one"


def test_who_does_not_build_waits_for_its_tasks(heeded: list[str]) -> None:
    install_handlers(consumer(Hub(), "control", "base-images"))
    kill_myself()
    kill_myself()
    assert heeded == ["warm", "warm"]


def test_builds_in_threads_can_only_be_waited_for(heeded: list[str]) -> None:
    install_handlers(consumer(Hub(), "builds", pool=object()))
    kill_myself()
    assert heeded == ["warm"]


def test_a_signal_is_heeded_at_once(heeded: list[str]) -> None:
    hub = Hub()
    install_handlers(consumer(hub, "control"))
    handing_over(__file__)()
    assert (heeded, hub.soon) == (["warm"], [])


@pytest.mark.parametrize(("queue", "how"), [("control", "warm"), ("builds", "cold")])
def test_a_signal_waits_until_a_task_has_arrived(heeded: list[str], queue: str, how: str) -> None:
    hub = Hub()
    install_handlers(consumer(hub, queue))
    handing_over(asynpool.__file__)()
    assert heeded == []
    for each in hub.soon:
        each()
    assert heeded == [how]


def test_the_pool_still_hands_over_in_a_function_of_that_name() -> None:
    assert f"def {HANDING_OVER}(" in getsource(asynpool)


@pytest.mark.parametrize("number", [TERM, QUIT])
def test_a_process_of_the_pool_is_ended_by_a_signal_and_not_disturbed_by_the_next(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    fired = [False]
    monkeypatch.setattr(common, "_should_have_exited", fired)
    with handlers_restored():
        common.reset_signals()
        protect_cleanup()
        with pytest.raises(SystemExit):
            kill_myself(number)
        for each in (TERM, QUIT):
            kill_myself(each)
    assert fired == [True]


def test_other_processes_keep_their_handlers(heeded: list[str]) -> None:
    protect_cleanup()
    kill_myself()
    assert heeded == ["warm"]
