"""The prober against servers that answer in all kinds of ways."""

from __future__ import annotations

import socket
import time
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from galaxy.adapters.prober import probe
from galaxy.domain.health import Probe, ProbeOutcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Server:
    """Takes one connection after the other and answers each with these bytes."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.requests: list[bytes] = []
        self._serve = serve
        Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self.requests.append(connection.recv(65536))
                self._serve(connection)

    def close(self) -> None:
        self._listener.close()


@contextmanager
def server(serve: Callable[[socket.socket], None]) -> Iterator[Server]:
    running = Server(serve)
    yield running
    running.close()


def ask(port: int, timeout_s: float = 5) -> Probe:
    return probe("127.0.0.1", port, path="/", host="www.example.com", timeout_s=timeout_s)


def answering(*pieces: bytes) -> Probe:
    def serve(connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.01)  # so that it arrives in pieces; whole, it would have to be understood too

    with server(serve) as running:
        return ask(running.port)


@pytest.mark.parametrize("status", [200, 204, 301, 404, 500, 503])
def test_any_well_formed_answer_is_healthy(status: int) -> None:
    found = answering(f"HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\n\r\n".encode())
    assert (found.outcome, found.status, found.healthy) == (ProbeOutcome.ANSWERED, status, True)


@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.0 200\r\n\r\n",),
        (b"HTTP/1.1 200 OK\nServer: x\n\nbody",),
        (b"HT", b"TP/1.1 2", b"00 OK\r\n", b"A: b\r", b"\n\r", b"\n"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"),
    ],
)
def test_answers_come_in_many_forms(pieces: tuple[bytes, ...]) -> None:
    assert (answering(*pieces).outcome, answering(*pieces).status) == (ProbeOutcome.ANSWERED, 200)


@pytest.mark.parametrize(
    ("pieces", "first"),
    [
        ((b"SSH-2.0-OpenSSH_9.2\r\n",), b"SSH"),
        ((b"\x15\x03\x01\x00\x02\x02\x46",), b"\x15"),
        ((b"HTTP/2 200\r\n\r\n",), b"HTTP/2"),
        ((b"HTTP/1.1 OK\r\n\r\n",), b"HTTP/1.1 OK"),
        ((b"HTTP/1.1 2000 OK\r\n\r\n",), b"HTTP/1.1 2000"),
        ((b"HTTP/1.1 200 OK\r\n",), b"HTTP/1.1 200"),
        ((b"HTTP/1.1 200 OK\r\n", b"A: " + b"x" * 70_000), b"HTTP/1.1 200"),
    ],
)
def test_what_is_no_http_is_told_with_its_first_bytes(pieces: tuple[bytes, ...], first: bytes) -> None:
    found = answering(*pieces)
    assert found.outcome is ProbeOutcome.NO_HTTP
    assert found.first_bytes.startswith(first)
    assert not found.healthy


def test_nothing_that_listens_is_a_refusal() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    assert ask(port).outcome is ProbeOutcome.REFUSED


def test_one_that_says_nothing_and_closes_is_told() -> None:
    assert answering().outcome is ProbeOutcome.CLOSED


def test_one_that_never_answers_is_given_up_in_time() -> None:
    over = Event()
    with server(lambda _: bool(over.wait(20)) and None) as running:
        began = time.monotonic()
        assert ask(running.port, timeout_s=0.3).outcome is ProbeOutcome.TIMED_OUT
        assert time.monotonic() - began < 10
        over.set()


def test_one_that_drips_is_given_up_in_time() -> None:
    over = Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not over.wait(0.05):
            try:
                connection.sendall(b"x")
            except OSError:
                return

    with server(drip) as running:
        began = time.monotonic()
        assert ask(running.port, timeout_s=0.5).outcome is ProbeOutcome.TIMED_OUT
        assert time.monotonic() - began < 10
        over.set()


def test_the_request_names_the_app_and_is_a_whole_one() -> None:
    with server(lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")) as running:
        probe("127.0.0.1", running.port, path="/health?x=1", host="www.example.com", timeout_s=5)
    (request,) = running.requests
    assert request.startswith(b"GET /health?x=1 HTTP/1.1\r\nHost: www.example.com\r\n")
    assert request.endswith(b"\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("found", "listening", "sentence"),
    [
        (Probe(ProbeOutcome.ANSWERED, 3000, status=404), (), "It answers on port 3000 with HTTP 404."),
        (Probe(ProbeOutcome.REFUSED, 3000), (), "It does not listen on port 3000."),
        (
            Probe(ProbeOutcome.REFUSED, 3000),
            (8080,),
            "It does not listen on port 3000, but on port 8080; an app has to listen on the port in $PORT.",
        ),
        (
            Probe(ProbeOutcome.TIMED_OUT, 3000, within_s=5),
            (),
            "It gave no HTTP answer on port 3000 within 5 s.",
        ),
        (Probe(ProbeOutcome.CLOSED, 3000), (), "It closed the connection on port 3000 without an answer."),
        (
            Probe(ProbeOutcome.NO_HTTP, 3000, first_bytes=b"SSH-2.0\r\n\xff"),
            (),
            r"What it answered on port 3000 is not HTTP; it begins with 'SSH-2.0\r\n\\xff'.",
        ),
    ],
)
def test_what_was_found_is_a_sentence(found: Probe, listening: tuple[int, ...], sentence: str) -> None:
    assert found.sentence(listening) == sentence
