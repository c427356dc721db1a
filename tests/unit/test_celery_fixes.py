"""The defects that `workers/celery_fixes` works around, shown in the installed releases without our code.

That of `job_handover.py` needs a whole worker: see `tests/integration/test_stopping.py`.
"""

from __future__ import annotations

import inspect
import logging
import pkgutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest
from celery import Celery
from celery.apps import worker as worker_program
from celery.events.state import Task
from celery.exceptions import CPendingDeprecationWarning
from kombu import Connection, Consumer, Queue

from tests.conftest import RedisServer
from tests.support.defects import still_defective
from workers import celery_fixes
from workers.celery_fixes import second_signal
from workers.celery_fixes.logged_messages import hide_dropped_messages
from workers.celery_fixes.progress_event import STILL_STARTED
from workers.celery_fixes.reconnect_pause import LONGEST_PAUSE_S, ReconnectsSoon
from workers.celery_fixes.shared_unacked_keys import CONTROL_KEYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FIXES = sorted(module.name for module in pkgutil.iter_modules(celery_fixes.__path__))
CANARY = "hunter2-do-not-tell"

_celery: Any = import_module("celery.worker.consumer")  # its stubs lack what is called here


@pytest.mark.parametrize("name", FIXES)
def test_each_fix_says_which_defect_it_is_for_and_has_a_test_that_tells_when_to_drop_it(name: str) -> None:
    told = import_module(f"workers.celery_fixes.{name}").__doc__ or ""
    assert [word for word in ("Upstream:", "Expected:", "Actual:") if word not in told] == []
    tests = [Path(__file__), Path(__file__).parents[1] / "integration/test_stopping.py"]
    shown = f'still_defective("{name}")'
    assert any(shown in path.read_text() for path in tests)


@pytest.mark.parametrize("name", FIXES)
def test_each_defect_was_seen_in_the_installed_release(name: str) -> None:
    """If only this fails, the defect is still there: add the release to the module's `SEEN_IN`."""
    seen_in = import_module(f"workers.celery_fixes.{name}").SEEN_IN
    package = seen_in[0].split()[0]
    assert f"{package} {'.'.join(version(package).split('.')[:2])}" in seen_in


@pytest.fixture
def server(redis_server: RedisServer) -> Iterator[RedisServer]:  # noqa: ARG001 - skips where there is none
    """A Redis of this test alone, because it dies."""
    with tempfile.TemporaryDirectory(prefix="galaxy-redis-") as folder:
        server = RedisServer(Path(folder))
        server.start()
        yield server
        server.stop()


def test_kombu_stumbles_over_what_a_lost_connection_delivered(server: RedisServer) -> None:
    connection = Connection(f"redis+socket://{server.socket}")
    connection.SimpleQueue("tasks").put("one that is not acknowledged")
    Consumer(connection, [Queue("tasks")], on_message=lambda _: None).consume()
    Consumer(connection.channel(), [Queue("control")], on_message=lambda _: None).consume()
    connection.drain_events(timeout=5)
    with suppress(TimeoutError):  # it waits for more, with a command that is not answered yet
        connection.drain_events(timeout=0.1)
    server.stop()
    with suppress(*connection.connection_errors):
        connection.collect()  # as Celery does when a connection is lost, and then:
    with (
        still_defective("lost_connection"),
        pytest.raises(AttributeError, match="'NoneType' object has no attribute 'hostname'"),
    ):
        connection.close()


def test_celery_warns_of_a_default_that_does_not_apply() -> None:
    consumer = MagicMock(connection=None, task_consumer=None)
    with Celery(set_as_current=False) as consumer.app:
        consumer.app.conf.worker_cancel_long_running_tasks_on_connection_loss = False
        consumer.app.conf.worker_enable_prefetch_count_reduction = False
        with still_defective("needless_warning"), pytest.warns(CPendingDeprecationWarning):
            _celery.Consumer.on_connection_error_after_connected(consumer, OSError())


class LostBroker:
    """A connection that notes how it is asked to wait for its broker."""

    def __init__(self) -> None:
        self.asked: dict[str, object] = {}

    def ensure_connection(self, *_: object, **options: object) -> LostBroker:
        self.asked = options
        return self


def ensure_connected(kind: Any) -> dict[str, object]:  # noqa: ANN401 - a class of Celery's, untyped
    broker = LostBroker()
    with Celery(set_as_current=False) as app:
        consumer = kind.__new__(kind)
        consumer.app, consumer.first_connection_attempt = app, False
        consumer.ensure_connected(broker)
    return broker.asked


def test_celery_does_not_limit_the_pauses_between_two_tries_to_reach_a_broker() -> None:
    with still_defective("reconnect_pause"):
        assert "interval_max" not in ensure_connected(_celery.Consumer)
        default: int = inspect.signature(Connection._ensure_connection).parameters["interval_max"].default
        assert default > LONGEST_PAUSE_S
    assert ensure_connected(ReconnectsSoon)["interval_max"] == LONGEST_PAUSE_S


def unknown_task(consumer: Any, message: Any) -> None:  # noqa: ANN401 - as above
    consumer.on_unknown_task(None, message, KeyError("tasks.deplyo"))


def invalid_task(consumer: Any, message: Any) -> None:  # noqa: ANN401 - as above
    consumer.on_invalid_task(None, message, ValueError())


def undecodable(consumer: Any, message: Any) -> None:  # noqa: ANN401 - as above
    consumer.on_decode_error(message, ValueError())


def unknown_format(consumer: Any, message: Any) -> None:  # noqa: ANN401 - as above
    consumer.on_unknown_message(None, message)


@pytest.mark.parametrize("drop", [unknown_task, invalid_task, undecodable, unknown_format])
def test_celery_logs_the_messages_that_it_drops(
    caplog: pytest.LogCaptureFixture, drop: Callable[[Any, Any], None]
) -> None:
    consumer = _celery.Consumer.__new__(_celery.Consumer)
    consumer.app, consumer.event_dispatcher, consumer.connection_errors = MagicMock(), None, ()
    message = MagicMock(body=f'[[], {{"bundle_url": "{CANARY}"}}, {{}}]', content_type="application/json")
    message.headers = {"id": "an-id", "task": "tasks.deplyo", "kwargsrepr": CANARY}
    message.properties = {}
    with caplog.at_level(logging.WARNING):
        drop(consumer, message)
    (record,) = (record for record in caplog.records if record.name.startswith("celery"))
    with still_defective("logged_messages"):
        assert CANARY in record.getMessage()
    assert hide_dropped_messages(record)
    assert CANARY not in logging.Formatter().format(record)
    assert "was dropped" in record.getMessage()


TIDYING_UP = """\
import os, runpy, sys
from billiard import common

common.reset_signals()
first, second = map(int, sys.argv[1:3])
for fix in sys.argv[3:]:
    runpy.run_path(fix)["ignore_further_signals"]()
try:
    os.kill(os.getpid(), first)
finally:
    os.kill(os.getpid(), second)
    print("tidied up", flush=True)
"""


@pytest.mark.parametrize(
    ("first", "second"),
    [(signal.SIGTERM, signal.SIGTERM), (signal.SIGTERM, signal.SIGQUIT), (signal.SIGHUP, signal.SIGTERM)],
)
def test_billiard_lets_a_second_signal_end_a_process_that_tidies_up(first: int, second: int) -> None:
    def tidied_up(*fixes: str) -> bool:
        command = [sys.executable, "-c", TIDYING_UP, str(int(first)), str(int(second)), *fixes]
        return b"tidied up" in subprocess.run(command, stdout=subprocess.PIPE, check=False, timeout=60).stdout

    with still_defective("second_signal"):
        assert not tidied_up()
    assert tidied_up(str(second_signal.__file__))


def test_celery_forgets_that_it_was_started_by_nohup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with still_defective("nohup"):
            worker_program.install_worker_restart_handler(MagicMock())
            assert signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_celery_takes_the_name_of_an_event_for_a_state() -> None:
    def state_after(event: str) -> object:
        task: Any = Task(uuid="an-id")
        task.event("started", 1, 1, {})
        task.event(event.removeprefix("task-"), 2, 2, {"result": "half-way"})
        assert task.result == "half-way"
        return task.state

    with still_defective("progress_event"):
        assert state_after("task-progress") == "PROGRESS"
    assert state_after(STILL_STARTED) == "STARTED"


def test_kombu_judges_other_workers_messages_by_its_own_timeout(redis_server: RedisServer) -> None:
    def messages_left(queue: str, **looker: object) -> int:
        """How many messages wait again after a worker that is in a hurry has looked for lost ones."""
        url = f"redis+socket://{redis_server.socket}"
        hurry = {"visibility_timeout": 0, "unacked_restore_throttle": 1, **looker}
        with (
            Connection(url, transport_options={"visibility_timeout": 3600}) as holder,
            Connection(url, transport_options=hurry) as other,
        ):
            holder.SimpleQueue(queue).put("a long task")
            message = holder.SimpleQueue(queue).get(timeout=5)
            channel: Any = other.default_channel
            channel.qos.restore_visible()
            left = int(channel.queue_declare(queue).message_count)
            message.ack()
            return left

    with still_defective("shared_unacked_keys"):
        assert messages_left("shared") == 1
    assert messages_left("apart", **CONTROL_KEYS) == 0
