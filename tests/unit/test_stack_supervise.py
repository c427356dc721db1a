from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pytest

from stack import supervise
from stack.console import StackError
from stack.supervise import Identity, Record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEADLINE_S = 10


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "sleeper.json"
    yield path
    supervise.end("sleeper", path, grace_s=0)


def launch(record: Path, *python: str, fingerprint: str = "") -> Identity:
    identity = supervise.launch(
        [sys.executable, "-c", *python],
        record=record,
        log=record.with_suffix(".log"),
        cwd=record.parent,
        environment=os.environ,
        fingerprint=fingerprint,
    )
    assert identity is not None
    return identity


def wait_for(log: Path, text: str) -> str:
    until = time.monotonic() + DEADLINE_S
    while text not in (content := log.read_text()):
        assert time.monotonic() < until, f"{text!r} is not in {content!r}"
        time.sleep(0.01)
    return content


def test_a_process_goes_on_in_a_session_of_its_own_and_ends_when_told(record: Path) -> None:
    identity = launch(record, "import time; time.sleep(600)")

    assert identity.alive
    assert os.getsid(identity.pid) == identity.pid
    assert supervise.any_alive(record.parent)
    assert supervise.end("sleeper", record, grace_s=DEADLINE_S)
    assert not identity.alive
    assert not record.exists()


def test_a_later_owner_of_the_pid_is_left_alone(record: Path) -> None:
    stranger = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True
    )
    try:
        identity = Identity.of(stranger.pid)
        assert identity is not None
        earlier = replace(identity, began=identity.began - 1)
        record.write_text(json.dumps(asdict(Record(earlier, "", 0))))

        assert not supervise.any_alive(record.parent)
        assert not supervise.end("sleeper", record, grace_s=0)
        assert identity.alive
    finally:
        stranger.kill()
        stranger.wait()


def test_a_zombie_counts_as_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert Identity.of(child.pid) is None
    child.wait()


def test_children_end_with_a_process_that_ignores_the_polite_signal(record: Path) -> None:
    log = record.with_suffix(".log")
    script = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('child', child.pid, 'started', flush=True)\n"
        "time.sleep(600)\n"
    )
    leader = launch(record, script)
    child = Identity.of(int(wait_for(log, "started").split()[1]))
    assert child is not None

    supervise.end("sleeper", record, grace_s=0.1)

    assert not leader.alive
    assert not child.alive


def test_children_that_begin_while_their_parent_ends_are_ended_too(record: Path) -> None:
    log = record.with_suffix(".log")
    script = (
        "import signal, subprocess, sys, time\n"
        "def end(*_):\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "    print('child', child.pid, 'started', flush=True)\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    launch(record, script)
    wait_for(log, "ready")

    supervise.end("sleeper", record, grace_s=DEADLINE_S)

    child = int(wait_for(log, "started").split()[2])
    assert Identity.of(child) is None


def test_children_of_a_leader_that_was_killed_are_ended_too(record: Path) -> None:
    log = record.with_suffix(".log")
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('child', child.pid, 'started', flush=True)\n"
        "time.sleep(600)\n"
    )
    leader = launch(record, script)
    child = Identity.of(int(wait_for(log, "started").split()[1]))
    assert child is not None
    os.kill(leader.pid, signal.SIGKILL)

    assert supervise.end("sleeper", record, grace_s=1)
    assert not child.alive


def test_a_process_that_ends_at_its_start_shows_the_end_of_its_log(record: Path) -> None:
    log = record.with_suffix(".log")
    identity = launch(record, "print('no such file: galaxy.conf')")

    with pytest.raises(StackError, match=r"(?s)sleeper ended at its start.*no such file: galaxy\.conf"):
        supervise.wait_until_ready("sleeper", identity, lambda: False, log=log, deadline_s=DEADLINE_S)


def test_a_process_that_is_never_ready_is_given_up(record: Path) -> None:
    identity = launch(record, "import time; time.sleep(600)")

    with pytest.raises(StackError, match="not ready after 0 s"):
        supervise.wait_until_ready(
            "sleeper", identity, lambda: False, log=record.with_suffix(".log"), deadline_s=0.2
        )


def test_the_record_tells_where_this_run_begins_in_the_log(record: Path) -> None:
    log = record.with_suffix(".log")
    log.write_text("what an earlier run said\n")

    launch(record, "import time; time.sleep(600)", fingerprint="f1")

    loaded = Record.load(record)
    assert loaded is not None
    assert loaded.log_offset == len("what an earlier run said\n")
    assert loaded.fingerprint == "f1"
