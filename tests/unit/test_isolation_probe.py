"""The probe of an engine: what it cleans up first, and what it makes of what its container printed."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from galaxy.domain.capabilities import CAPABILITIES
from galaxy.domain.errors import BaseImageUnusable, EngineError
from galaxy.services import probe
from galaxy.services.probe import IsolationProbe
from galaxy.settings import Settings
from tests.support.fake_engine import FakeEngine

if TYPE_CHECKING:
    from galaxy.domain.diagnosis.probe import ProbeReport
    from tests.support.fake_engine import Running

NAME = "galaxy"
NOW_S = 1_800_000_000
INTENDED = sum(1 << number for number in CAPABILITIES.values())
ALL_WELL = ["can connect", f"status CapBnd: {INTENDED:016x}", "status NoNewPrivs: 1", "done"]


class World:
    """An engine in memory whose base image prints what a test wants."""

    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.printed = ALL_WELL
        self.asked = ""
        digest = self.engine.publish(
            "registry.test/base", {"Env": ["NODE_VERSION=20"]}, program=self._program
        )
        registry: Any = SimpleNamespace(resolve=lambda _: digest, pull_source=lambda _: "registry.test/base")
        self.probe = IsolationProbe(
            self.engine,
            registry,
            Settings(name=NAME, registry="registry.test:5000"),
            addresses_of=lambda host: {"registry.test": ("10.0.0.5",)}.get(host, ()),
            own_addresses=lambda: ("192.0.2.2",),
        )

    def run(self, *printed: str) -> ProbeReport:
        self.printed = [*printed, *ALL_WELL]
        return self.probe.run()

    def _program(self, running: Running) -> int:
        self.asked = running.line
        running.print("".join(f"{line}\n" for line in self.printed))
        return 0


@pytest.fixture
def world() -> World:
    return World()


def test_a_container_that_has_and_reaches_nothing_is_reported_as_that(world: World) -> None:
    report = world.run("variable PATH", "variable NODE_VERSION")
    assert (report.reached, report.leaked, report.excess_capabilities) == ((), (), ())
    assert report.no_new_privileges
    assert report.tried == len(world.asked.split()) // 2 > 0


def test_what_it_reached_and_what_it_has_is_reported(world: World) -> None:
    report = world.run("reached 10.0.0.5 5000", "reached 192.0.2.2 2375", "variable AWS_SECRET")
    assert {(each.address, each.port) for each in report.reached} == {("10.0.0.5", 5000), ("192.0.2.2", 2375)}
    assert report.leaked == ("AWS_SECRET",)


def test_capabilities_and_privileges_are_read_from_the_processes_status(world: World) -> None:
    more = INTENDED | 1 << 21
    world.printed = ["can connect", f"status CapBnd: {more:016x}", "status NoNewPrivs: 0", "done"]
    report = world.probe.run()
    assert report.excess_capabilities == (21,)
    assert not report.no_new_privileges


def test_a_container_that_ended_early_or_can_not_connect_tells_nothing(world: World) -> None:
    world.printed = ["can connect"]
    with pytest.raises(EngineError, match="ended early"):
        world.probe.run()
    world.printed = ["done"]
    with pytest.raises(BaseImageUnusable, match="can't open connections"):
        world.probe.run()


def test_what_earlier_probes_left_is_removed_and_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(time=lambda: float(NOW_S), monotonic=time.monotonic)
    monkeypatch.setattr(probe, "time", clock)
    old, young = f"{NAME}-probe-{NOW_S - 121}-aa", f"{NAME}-probe-{NOW_S - 120}-aa"
    others = {f"{NAME}-probe-of-somebody", f"{NAME}-build-1", "other-probe-1-aa"}
    world.engine.container_names |= {old, young, *others}
    world.engine.volume_names |= {f"{old}-volume-1", f"{young}-volume-1", "mine"}
    world.run()
    assert world.engine.container_names == {young, *others}
    assert world.engine.volume_names == {f"{young}-volume-1", "mine"}


def test_a_volume_that_is_still_in_use_does_not_keep_the_probe_from_looking(world: World) -> None:
    world.engine.volume_names.add(f"{NAME}-probe-1-aa-volume-1")
    world.engine.fail_next("remove_volume", EngineError("It is in use."))
    assert world.run().no_new_privileges
