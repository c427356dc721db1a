from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from stack import build_network
from stack.checkout import Checkout, Choices
from stack.docker_api import Engine, Refused

if TYPE_CHECKING:
    from pathlib import Path


class Recorder(Engine):
    """An engine that has no networks and remembers what it was asked. `refuses`: to remove one."""

    refuses = False

    def call(self, method: str, path: str, body: object = None, **_: object) -> object:
        calls.append((method, path, body))
        if method == "GET":
            raise Refused("no such network", 404)
        if method == "DELETE" and self.refuses:
            raise Refused("network has active endpoints", 403)
        return None


calls: list[tuple[str, str, object]] = []
NAME = "galaxy-abc123"


@pytest.fixture(autouse=True)
def no_calls() -> None:
    calls.clear()


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands that were to be run."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def choices() -> Choices:
    return Choices(NAME, ports={"redis": 20001, "bundles": 20002, "flower": 20003})


def test_all_ports_of_the_stack_are_closed_but_that_of_the_bundles() -> None:
    assert build_network.closed_ports(choices()) == [2375, 2376, 20001, 20003]


def test_the_network_has_the_stacks_name_and_its_containers_do_not_reach_each_other(
    tmp_path: Path, ran: list[list[str]]
) -> None:
    build_network.ensure(Checkout(tmp_path), choices(), Recorder("unix:///nowhere"))
    (_, (method, path, body)) = calls
    assert (method, path) == ("POST", "/networks/create")
    assert isinstance(body, dict)
    assert body["Name"] == NAME
    assert body["Options"]["com.docker.network.bridge.name"] == NAME
    assert body["Options"]["com.docker.network.bridge.enable_icc"] == "false"
    assert ran == []  # its bridge is not on this machine


def test_without_root_the_command_that_makes_the_rules_is_said(
    tmp_path: Path, ran: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    on_this_machine = Choices("lo", ports={"redis": 20001})
    build_network.ensure(Checkout(tmp_path), on_this_machine, Recorder("unix:///nowhere"))
    assert "sudo deploy/build-network rules lo --local 2375,2376,20001" in capsys.readouterr().err
    assert ran == []


def test_rules_of_a_network_that_is_in_use_stay(
    tmp_path: Path, ran: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(Recorder, "refuses", True)
    build_network.remove(Checkout(tmp_path), choices(), Recorder("unix:///nowhere"))
    assert "active endpoints" in capsys.readouterr().err
    assert ran == []
