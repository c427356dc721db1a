from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from stack import engine, environment, local, packages, processes, readiness, supervise
from stack.checkout import Checkout, Choices
from stack.console import StackError
from stack.docker_api import Engine
from stack.processes import Process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SLEEP = (sys.executable, "-u", "-c", "import time; print('ready.'); time.sleep(600)")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell that runs the tests may know another stack."""
    for name in os.environ:
        if name.startswith("GALAXY_"):
            monkeypatch.delenv(name)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[local.Stack]:
    (tmp_path / "requirements.txt").touch()
    (tmp_path / "code.py").write_text("1")
    yield local.Stack(Checkout(tmp_path), Choices(), "unix:///nowhere")
    for record in (tmp_path / ".stack" / "run").glob("*.json"):
        supervise.end(record.stem, record, grace_s=0)


@pytest.fixture
def process() -> Process:
    return Process("sleeper", SLEEP, readiness.logged("ready."), reads=("*.py",))


def start(stack: local.Stack, process: Process) -> supervise.Identity:
    local._start(stack, lambda: [process])
    record = supervise.Record.load(stack.checkout.run / f"{process.name}.json")
    assert record is not None
    assert record.identity.alive
    return record.identity


def test_what_runs_unchanged_is_left_running(stack: local.Stack, process: Process) -> None:
    assert start(stack, process) == start(stack, process)


def test_what_died_is_started_again(stack: local.Stack, process: Process) -> None:
    first = start(stack, process)
    os.kill(first.pid, 9)
    assert supervise._gone([first], 5)

    assert start(stack, process) != first


def test_what_is_about_to_end_is_not_taken_for_running(stack: local.Stack, process: Process) -> None:
    first = start(stack, process)

    assert start(stack, replace(process, ending=readiness.logged("ready."))) != first
    assert not first.alive


def test_a_process_is_started_again_when_code_that_it_read_has_changed(
    stack: local.Stack, process: Process
) -> None:
    first = start(stack, process)
    (stack.checkout.root / "code.py").write_text("2")

    assert start(stack, process) != first
    assert not first.alive


def test_a_process_is_started_again_when_its_settings_have_changed(
    stack: local.Stack, process: Process
) -> None:
    first = start(stack, process)

    assert start(replace(stack, chosen={"GALAXY_BUILD_TIMEOUT_S": "60"}), process) != first


def test_a_process_that_fails_at_its_start_leaves_nothing_behind(
    stack: local.Stack, process: Process
) -> None:
    broken = replace(process, ready=readiness.logged("never printed"), ready_within_s=0.3)

    with pytest.raises(StackError, match="not ready"):
        local._start(stack, lambda: [broken])
    assert not supervise.any_alive(stack.checkout.run)


def test_no_password_is_on_a_command_line(tmp_path: Path) -> None:
    checkout, choices = Checkout(tmp_path), Choices()
    table = [*processes.services(checkout, choices), *processes.pipeline(checkout, choices)]
    words = " ".join(word for process in table for word in process.command)

    for secret in (choices.redis_password, choices.flower_password, choices.registry_secret):
        assert secret not in words


def test_everything_but_bundles_listens_on_loopback_only(tmp_path: Path) -> None:
    checkout, choices = Checkout(tmp_path), Choices()
    for process in processes.services(checkout, choices):
        if process.config:
            assert environment.LOOPBACK in process.config[1]
            assert "0.0.0.0" not in process.config[1]


@pytest.fixture
def fake_engine() -> Iterator[tuple[Engine, dict[str, tuple[int, object]]]]:
    """An HTTP server that gives the answers it is told."""
    answers: dict[str, tuple[int, object]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(self.path, (404, {"message": "no such thing"}))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        do_POST = do_DELETE = do_GET  # noqa: N815 - names that http.server looks for

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield Engine(f"tcp://127.0.0.1:{server.server_port}"), answers
    server.shutdown()
    thread.join()
    server.server_close()


FakeEngine = tuple[Engine, dict[str, tuple[int, object]]]


def test_a_bridge_that_was_just_made_tells_its_subnet_only(fake_engine: FakeEngine) -> None:
    docker, answers = fake_engine
    answers["/networks/bridge"] = (200, {"IPAM": {"Config": [{"Subnet": "172.17.0.0/16"}]}})

    assert docker.gateway() == "172.17.0.1"


def test_bundles_are_served_from_this_machine_when_the_bridge_is_elsewhere(fake_engine: FakeEngine) -> None:
    docker, answers = fake_engine
    answers["/networks/bridge"] = (200, {"IPAM": {"Config": [{"Gateway": "203.0.113.1"}]}})

    try:
        assert local.reachable_from_containers(docker) != "203.0.113.1"
    except StackError as error:
        assert "no address" in str(error)  # noqa: PT017 - a machine without any uplink


def test_a_push_that_fails_inside_a_good_answer_is_a_failure(fake_engine: FakeEngine) -> None:
    docker, answers = fake_engine
    answers["/images/x/push?tag=latest"] = (200, b'{"status":"pushing"}\n{"error":"connection refused"}\n')

    with pytest.raises(StackError, match="connection refused"):
        docker.push("x", "latest")


def test_a_container_that_is_gone_counts_as_removed(fake_engine: FakeEngine) -> None:
    docker, answers = fake_engine
    docker.remove_container("gone")
    answers["/containers/stuck?force=1&v=1"] = (500, {"message": "disk"})

    with pytest.raises(StackError, match="disk"):
        docker.remove_container("stuck")


def test_a_volume_that_is_gone_or_in_use_is_left_and_another_error_is_told(fake_engine: FakeEngine) -> None:
    docker, answers = fake_engine
    answers["/volumes"] = (200, {"Volumes": [{"Name": "one"}]})
    assert docker.volumes() == ["one"]
    answers["/volumes"] = (200, {"Volumes": None})
    assert docker.volumes() == []
    docker.remove_volume("gone")
    answers["/volumes/used"] = (409, {"message": "volume is in use"})
    docker.remove_volume("used")
    answers["/volumes/stuck"] = (500, {"message": "disk"})

    with pytest.raises(StackError, match="disk"):
        docker.remove_volume("stuck")


def test_an_engine_that_docker_host_names_has_to_answer(
    stack: local.Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")

    with pytest.raises(StackError, match=r"(?s)No container engine answers.*unset DOCKER_HOST"):
        engine.ensure(stack.checkout, stack.choices.name)


def test_without_root_and_without_an_engine_the_message_says_what_to_do(
    stack: local.Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(engine, "DEFAULT_HOST", "unix:///nowhere/docker.sock")
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    with pytest.raises(
        StackError, match=r"(?s)only root may start one.*apt-get install docker\.io.*DOCKER_HOST"
    ):
        engine.ensure(stack.checkout, stack.choices.name)


def test_everything_that_is_missing_is_told_at_once(
    stack: local.Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    monkeypatch.setattr(packages, "find", lambda name, *_: name if name == "apt-get" else None)
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    with pytest.raises(StackError, match=r"(?s)Missing: redis-server.*docker-registry.*No container engine"):
        local.up(stack.checkout)


def test_a_stack_that_was_never_started_has_no_settings_to_show(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="make up"):
        local.remembered(Checkout(tmp_path))
