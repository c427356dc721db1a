"""Logs that hang are waited for once, and not by everybody who would like to tell something."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from galaxy.adapters.logs.writer import LogWriter
from galaxy.domain.announcement import Announcement
from galaxy.domain.errors import StoreError, StoreUnavailable
from galaxy.services.logbook import Logbook
from tests.support.stores import APP

if TYPE_CHECKING:
    from galaxy.adapters.logs.stream import LogStream

DEPLOYED = Announcement(id="5-0", event="deployed", app=APP, version=1, attempt=0, by="ada", base_image="a:b")


class Stream:
    """Counts what is asked of it. `error`: what it raises, if anything."""

    def __init__(self) -> None:
        self.error: StoreError | None = None
        self.asked = 0

    def append_each(self, _: object) -> None:
        self._answer()

    def cursor_now(self, _: str) -> str:
        self._answer()
        return "7-0"

    def _answer(self) -> None:
        self.asked += 1
        if self.error:
            raise self.error


class World:
    """A logbook, what it writes to, and the time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.stream = Stream()
        self.logbook = Logbook(
            cast("LogStream", self.stream), LogWriter, attempt_max_bytes=1024, clock=lambda: self.now
        )

    def fails(self) -> bool:
        """Whether both fail: telling something, and asking where the log stands."""
        for ask in (lambda: self.logbook.announce([DEPLOYED]), lambda: self.logbook.cursor_now(APP)):
            with pytest.raises(StoreError):
                ask()
        return True


@pytest.fixture
def world() -> World:
    return World()


def away() -> StoreError:
    return StoreUnavailable("The logs' Redis can't be reached.")


def test_logs_that_are_away_are_left_alone_for_some_seconds(world: World) -> None:
    world.stream.error = away()
    assert world.fails()
    world.now += 9
    assert world.fails()
    assert world.stream.asked == 1


def test_they_are_asked_again_and_are_back(world: World) -> None:
    world.stream.error = away()
    assert world.fails()
    world.stream.error = None
    assert world.fails(), "nobody has asked since"
    world.now += 11
    world.logbook.announce([DEPLOYED])
    assert world.logbook.cursor_now(APP) == "7-0"


def test_a_command_that_was_refused_keeps_nobody_else_waiting(world: World) -> None:
    world.stream.error = StoreError("The logs' Redis refused a command.")
    assert world.fails()
    assert world.stream.asked == 2
