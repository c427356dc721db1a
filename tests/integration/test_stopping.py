"""A build worker that is told to stop in the very moment in which it hands a build to one of its processes."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final

from galaxy.adapters.queue import TaskQueue
from galaxy.domain.states import VersionState
from tests.support.fleet import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fleet import Fleet

GRACE_S: Final = 10.0

#: Python imports this before anything else: the worker gets SIGTERM from itself, once, when it has written the length
#: of a task into the pipe of one of its processes, and not yet the task.
INTERRUPTED: Final = f"""\
import os
import billiard.connection

write = billiard.connection.Connection.send_offset
calls = []

def send_offset(self, *arguments):
    calls.append(arguments)
    if len(calls) == 2:
        os.kill(os.getpid(), {signal.SIGTERM:d})
    return write(self, *arguments)

billiard.connection.Connection.send_offset = send_offset
"""


def test_it_ends_and_another_one_builds(own_fleet: Fleet, app: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED)
    env = {"PYTHONPATH": str(tmp_path)}
    first = own_fleet.worker("first", "builds,builds.bulk", 1, env=env)
    first.wait_for("ready.")
    ref = own_fleet.record(app, own_fleet.bundles.add("sleep 1").url)
    TaskQueue(own_fleet.broker_url).build(ref)

    eventually("the worker has ended", lambda: not first.alive, GRACE_S)

    own_fleet.build_worker(name="second")
    assert own_fleet.wait_until(ref, VersionState.BUILT).attempt == 1
