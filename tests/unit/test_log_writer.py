"""The writer of a log that hangs or fails; with a real Redis: tests/contract/test_log_stream.py."""

from __future__ import annotations

import itertools
import time
from threading import Event
from typing import TYPE_CHECKING, cast

import pytest

from galaxy.adapters.logs import sender
from galaxy.adapters.logs.writer import LogWriter
from galaxy.domain.errors import StoreError
from galaxy.domain.log import Stream
from tests.support.outputs import attempt_output

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from galaxy.adapters.logs.stream import LogStream
    from galaxy.domain.log import LogBlock

BUFFER_BYTES = 10_000
LINE = b"x" * 999 + b"\n"
SOON_S = 3


class Stopped(Exception):
    """What `check_cancelled` raises in these tests."""


class HangingLog:
    """Keeps what is appended, as soon as it is `back`. Until then an append hangs, for `hangs_s` at most.

    `failure`: what every append raises, if anything.
    """

    def __init__(self) -> None:
        self.back = Event()
        self.hangs_s = 60.0
        self.failure: StoreError | None = None
        self.texts: list[str] = []

    def append(self, _: str, blocks: Sequence[LogBlock], __: object) -> None:
        if not self.back.wait(self.hangs_s):
            raise StoreError("The logs' Redis does not answer.")
        if self.failure:
            raise self.failure
        self.texts += [line.text for block in blocks for line in block.lines()]


class Patience:
    """A `check_cancelled` that raises when it is asked for the third time."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> None:
        self.asked += 1
        if self.asked == 3:
            raise Stopped


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[HangingLog]:
    monkeypatch.setattr(sender, "_BUFFER_BYTES", BUFFER_BYTES)
    log = HangingLog()
    yield log
    log.back.set()


def writer_of(log: HangingLog, *, patience_s: float = 30) -> LogWriter:
    return LogWriter(
        cast("LogStream", log),
        app="www.example.com",
        version=1,
        attempt=1,
        attempt_output=attempt_output(),
        patience_s=patience_s,
    )


def print_until_stopped(writer: LogWriter) -> int:
    """Returns how many lines that were, the one with which it was stopped included."""
    check_cancelled = Patience()
    for printed in itertools.count(1):
        try:
            writer.output(Stream.STDOUT, LINE, check_cancelled)
        except Stopped:
            return printed
    raise AssertionError("it is never stopped")


def test_whoever_prints_to_a_log_that_hangs_goes_on_asking_and_loses_nothing_when_it_stops(
    log: HangingLog,
) -> None:
    writer = writer_of(log)
    began = time.monotonic()
    printed = print_until_stopped(writer)
    assert time.monotonic() - began < SOON_S
    assert printed * len(LINE) < 3 * BUFFER_BYTES
    writer.say("Attempt 1 was stopped.")
    assert time.monotonic() - began < SOON_S
    log.back.set()
    writer.close()
    assert log.texts == [LINE.decode().rstrip()] * printed + ["Attempt 1 was stopped."]


def test_whoever_waits_for_the_end_of_a_log_that_hangs_goes_on_asking(log: HangingLog) -> None:
    writer = writer_of(log)
    writer.output(Stream.STDOUT, b"no line end")
    began = time.monotonic()
    with pytest.raises(Stopped):
        writer.flush(Patience())
    assert time.monotonic() - began < SOON_S
    log.back.set()
    writer.flush()
    assert log.texts == ["no line end"]
    writer.close()


def test_what_was_delivered_while_whoever_waits_was_busy_is_no_failure(log: HangingLog) -> None:
    def come_back_late() -> None:
        log.back.set()
        time.sleep(0.5)

    writer = writer_of(log, patience_s=0.3)
    writer.say("It is there.")
    writer.flush(come_back_late)
    assert log.texts == ["It is there."]
    writer.close()


def test_what_could_not_be_written_in_time_is_counted(log: HangingLog) -> None:
    writer = writer_of(log, patience_s=0.3)
    writer.say("one\ntwo")
    time.sleep(0.1)  # that is on its way now
    writer.say("three")
    with pytest.raises(StoreError, match="up to 3 lines are missing"):
        writer.flush()


def test_why_the_end_of_a_log_is_missing_is_told_with_what_redis_said_as_a_quotation(log: HangingLog) -> None:
    log.failure = StoreError("The logs' Redis refused a command: OOM.", quotes=["OOM"])
    log.back.set()
    writer = writer_of(log, patience_s=0.3)
    writer.say("one")
    with pytest.raises(StoreError, match=r"refused a command: OOM\.") as raised:
        writer.flush()
    assert raised.value.quotes == ("OOM",)


def test_an_error_that_says_not_what_it_quotes_is_a_quotation_as_a_whole(log: HangingLog) -> None:
    log.failure = StoreError("OOM in Redis.")
    log.back.set()
    writer = writer_of(log, patience_s=0.3)
    writer.say("one")
    with pytest.raises(StoreError) as raised:
        writer.flush()
    assert raised.value.quotes == ("OOM in Redis.",)


def test_what_the_pipeline_says_is_not_left_out_however_long_the_log_is_away(log: HangingLog) -> None:
    log.hangs_s = 0.01
    with writer_of(log, patience_s=1.5) as writer:
        for _ in range(50):
            writer.output(Stream.STDOUT, LINE)
        writer.say("Attempt 1 was stopped.")
        log.back.set()
    *printed, left_out, stopped = log.texts
    assert left_out.startswith(f"Left out here: {50 - len(printed)} lines (")
    assert stopped == "Attempt 1 was stopped."


def test_a_log_that_can_not_be_ended_does_not_change_how_its_block_ends(log: HangingLog) -> None:
    def stop() -> None:
        with writer_of(log, patience_s=0.05) as writer:
            writer.say("Nobody will read this.")
            raise Stopped

    with pytest.raises(Stopped):
        stop()
    with writer_of(log, patience_s=0.05) as writer:
        writer.say("Nor this.")
    assert log.texts == []
