"""An engine that a stack started ends with the last stack that uses it; the machine's own is left alone."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from stack import docker_api, engine, packages, supervise
from stack.checkout import Checkout, locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MINE, OTHER = "galaxy-00000a", "galaxy-00000b"


@pytest.fixture
def dockerd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[supervise.Identity]:
    """A process in place of the engine, recorded as started by MINE."""
    machine = tmp_path / "machine"
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(packages, "MACHINE", machine)
    monkeypatch.setattr(packages, "MACHINE_LOCK", machine / "lock")
    for name, file in (("RECORD", "engine.json"), ("OWNER", "engine-owner"), ("USERS", "users")):
        monkeypatch.setattr(engine, name, machine / file)
    engine.USERS.mkdir(parents=True)
    containers(monkeypatch)
    identity = supervise.launch(
        [sys.executable, "-c", "import time; time.sleep(600)"],
        record=engine.RECORD,
        log=machine / "engine.log",
        cwd=machine,
        environment=os.environ,
    )
    assert identity is not None
    engine.OWNER.write_text(MINE)
    yield identity
    supervise.end("engine", engine.RECORD, grace_s=0)


def containers(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """What runs on the engine."""
    listed = {str(number): name for number, name in enumerate(names)}
    monkeypatch.setattr(
        docker_api.Engine, "containers", lambda *_, running_only: listed if running_only else {}
    )


@pytest.fixture
def other(tmp_path: Path) -> Checkout:
    checkout = Checkout(tmp_path / "other")
    checkout.root.mkdir()
    return checkout


def test_the_engine_ends_with_the_stack_that_started_it(dockerd: supervise.Identity) -> None:
    engine.release(MINE)

    assert not dockerd.alive


def test_the_engine_of_the_machine_is_left_alone(dockerd: supervise.Identity) -> None:
    engine.RECORD.rename(engine.RECORD.with_suffix(".aside"))
    engine.release(MINE)
    engine.RECORD.with_suffix(".aside").rename(engine.RECORD)

    assert dockerd.alive


def test_a_stack_that_did_not_start_the_engine_does_not_end_it(dockerd: supervise.Identity) -> None:
    engine.release(OTHER)

    assert dockerd.alive


def test_the_engine_goes_on_for_another_stack_and_ends_with_that(
    dockerd: supervise.Identity, other: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    engine._register(other, OTHER)
    with locked(other.lock, "the other stack is being brought up"):
        engine.release(MINE)
        assert dockerd.alive
        assert str(other.root) in capsys.readouterr().err

    engine.release(OTHER)
    assert not dockerd.alive


def test_a_stack_that_is_down_does_not_keep_the_engine(dockerd: supervise.Identity, other: Checkout) -> None:
    engine._register(other, OTHER)

    engine.release(MINE)

    assert not dockerd.alive


def test_the_engine_goes_on_for_containers_of_somebody_else(
    dockerd: supervise.Identity, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    containers(monkeypatch, "postgres")

    engine.release(MINE)

    assert dockerd.alive
    assert "postgres" in capsys.readouterr().err


def test_the_mtu_is_read_from_the_interface_with_the_default_route() -> None:
    mtu = engine.uplink_mtu()

    assert mtu is None or mtu >= 576
