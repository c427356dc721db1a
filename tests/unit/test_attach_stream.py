"""Frames of the attach stream, however they are cut, and the end of the connection."""

from __future__ import annotations

import itertools
import socket
import struct
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from galaxy.adapters.engine.docker.attach_stream import AttachStream, FrameDecoder
from galaxy.domain.log import Stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FRAMES = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=50)), max_size=8)


class Owner:
    """What stands for the HTTP response."""

    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our end of a connection, and the engine's."""
    ours, engines = socket.socketpair()
    with ours, engines:
        yield ours, engines


def frame(number: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", number, len(data)) + data


def joined(pieces: Iterable[tuple[Stream, bytes]]) -> list[tuple[Stream, bytes]]:
    """Pieces of one stream that follow each other, put together."""
    groups = itertools.groupby(pieces, key=lambda piece: piece[0])
    together = [(stream, b"".join(data for _, data in group)) for stream, group in groups]
    return [(stream, data) for stream, data in together if data]


@given(frames=FRAMES, cuts=st.lists(st.integers(1, 20), min_size=1))
def test_frames_are_the_same_wherever_reads_cut_them(
    frames: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    data = b"".join(frame(*each) for each in frames)
    decoder = FrameDecoder()
    pieces: list[tuple[Stream, bytes]] = []
    sizes, at = itertools.cycle(cuts), 0
    while at < len(data):
        size = next(sizes)
        pieces += decoder.feed(data[at : at + size])
        at += size
    streams = {1: Stream.STDOUT, 2: Stream.STDERR}
    assert joined(pieces) == joined((streams[number], text) for number, text in frames if text)


def test_a_frame_is_passed_on_before_it_is_complete() -> None:
    decoder = FrameDecoder()
    assert [*decoder.feed(frame(2, b"0123456789")[:-4])] == [(Stream.STDERR, b"012345")]
    assert [*decoder.feed(b"6789")] == [(Stream.STDERR, b"6789")]


def test_an_empty_frame_is_nothing() -> None:
    assert [*FrameDecoder().feed(frame(1, b"") + frame(2, b"x"))] == [(Stream.STDERR, b"x")]


def test_output_is_read_until_the_engine_ends_it(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, engines = ends
    engines.sendall(frame(1, b"a") + frame(2, b"b") + frame(1, b"c"))
    engines.shutdown(socket.SHUT_WR)
    seen: list[tuple[Stream, bytes]] = []
    AttachStream(ours, Owner()).read(lambda stream, data: seen.append((stream, data)), lambda: None)
    assert seen == [(Stream.STDOUT, b"a"), (Stream.STDERR, b"b"), (Stream.STDOUT, b"c")]


def test_a_line_is_sent_and_the_connection_stays_open_both_ways(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, engines = ends
    line = "https://example.com/é\n".encode()
    AttachStream(ours, Owner()).send_line("https://example.com/é")
    assert engines.recv(len(line), socket.MSG_WAITALL) == line
    engines.settimeout(0.05)
    with pytest.raises(TimeoutError):
        engines.recv(1)  # an end would be read as b""


def test_a_silent_stream_asks_again_and_again_whether_to_go_on(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    asked = itertools.count(1)

    def check_cancelled() -> None:
        if next(asked) == 3:
            raise TimeoutError("enough")

    with pytest.raises(TimeoutError, match="enough"):
        AttachStream(ends[0], Owner()).read(lambda *_: None, check_cancelled)


def test_a_closed_stream_is_over_for_the_engine_although_others_hold_on_to_it(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, engines = ends
    owner = Owner()
    stream = AttachStream(ours, owner)
    with ours.makefile("rb"):  # as the HTTP response does
        stream.close()
        engines.settimeout(5)
        assert engines.recv(1) == b""
        with pytest.raises(BrokenPipeError):
            engines.sendall(b"x")
    assert owner.closed


def test_closing_unblocks_an_engine_that_can_not_get_rid_of_its_output(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, engines = ends
    errors: list[OSError] = []

    def print_for_ever() -> None:
        try:
            while True:
                engines.sendall(frame(1, b"x" * 65536))
        except OSError as error:
            errors.append(error)

    engine = Thread(target=print_for_ever)
    engine.start()
    AttachStream(ours, Owner()).close()
    engine.join(5)
    assert not engine.is_alive()
    assert len(errors) == 1


def test_a_stream_that_the_engine_ended_can_be_closed(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, engines = ends
    engines.close()
    stream = AttachStream(ours, Owner())
    stream.close()
    stream.close()
