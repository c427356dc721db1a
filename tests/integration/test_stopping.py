"""A worker that is told to stop in the very moment in which it hands a task to one of its processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest
from celery import Celery

from galaxy.adapters.queue import TaskQueue
from galaxy.domain.states import VersionState
from tests.support.defects import still_defective
from tests.support.fleet import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import RedisServer
    from tests.support.fleet import Fleet

GRACE_S: Final = 10.0

#: Python imports this before anything else. The worker gets the signal from itself, once, when it has written the
#: length of a task into the pipe of one of its processes, and not yet the task.
INTERRUPTED: Final = """\
import os
import billiard.connection

write = billiard.connection.Connection.send_offset
calls = []

def send_offset(self, *arguments):
    calls.append(arguments)
    if len(calls) == 2:
        os.kill(os.getpid(), int(os.environ["INTERRUPTED_BY"]))
    return write(self, *arguments)

billiard.connection.Connection.send_offset = send_offset
"""


def test_it_ends_and_another_one_builds(own_fleet: Fleet, app: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED)
    env = {"PYTHONPATH": str(tmp_path), "INTERRUPTED_BY": f"{signal.SIGTERM:d}"}
    first = own_fleet.worker("first", "builds,builds.bulk", 1, env=env)
    first.wait_for("ready.")
    ref = own_fleet.record(app, own_fleet.bundles.add("sleep 1").url)
    TaskQueue(own_fleet.broker_url).build(ref)

    eventually("the worker has ended", lambda: not first.alive, GRACE_S)

    own_fleet.build_worker(name="second")
    assert own_fleet.wait_until(ref, VersionState.BUILT).attempt == 1


#: A worker without any of our code, which acknowledges late as ours do.
BARE: Final = """\
from celery import Celery

app = Celery("bare", broker={broker!r})
app.conf.update(task_acks_late=True, worker_prefetch_multiplier=1)

@app.task(name="nothing")
def nothing():
    pass
"""


@pytest.fixture
def bare_worker(redis_server: RedisServer, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Gets SIGQUIT while it hands over its first task, which has been sent."""
    broker = f"redis+socket://{redis_server.socket}"
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED)
    (tmp_path / "bare.py").write_text(BARE.format(broker=broker))
    with Celery(broker=broker, set_as_current=False) as client:
        client.send_task("nothing", queue="bare", ignore_result=True)
    command = [sys.executable, "-m", "celery", "-A", "bare", "worker", "-Q", "bare", "-c", "1"]
    env = {"PYTHONPATH": str(tmp_path), "INTERRUPTED_BY": f"{signal.SIGQUIT:d}", "PATH": ""}
    with (
        (tmp_path / "output").open("wb") as output,
        subprocess.Popen(command, cwd=tmp_path, env=env, stdout=output, stderr=output) as worker,
    ):
        yield worker
        worker.kill()


def test_celery_hangs_when_it_is_told_to_stop_while_it_hands_a_task_over(
    bare_worker: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    output = tmp_path / "output"
    eventually("it was told to stop", lambda: b"Hitting Ctrl+C again" in output.read_bytes())
    with still_defective("job_handover"), pytest.raises(subprocess.TimeoutExpired):
        bare_worker.wait(GRACE_S / 2)
