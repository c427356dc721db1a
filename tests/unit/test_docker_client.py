from __future__ import annotations

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer, ThreadingMixIn, UnixStreamServer
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest
from docker.errors import APIError
from urllib3.util import connection

from galaxy.adapters.engine.docker import disk_watch
from galaxy.adapters.engine.docker.client import DockerClient
from galaxy.adapters.engine.docker.disk_watch import DiskLimits, DiskWatch
from galaxy.adapters.engine.docker.engine import DockerEngine
from galaxy.domain.errors import DiskLimitReached, EngineError
from tests.support.fleet import eventually

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

    import docker

DEADLINE_S = 10


class Stopped(Exception):
    """What `check_cancelled` raises in these tests."""


class StubEngine(ThreadingHTTPServer):
    """Answers every request, and remembers its method and path.

    Attributes:
        refusals: Status and message, by the beginning of a request.
        passing: The same for the next requests that begin so, one after the other.
        answers: What is answered besides, by the beginning of a request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.refusals: dict[str, tuple[int, str]] = {}
        self.passing: dict[str, list[tuple[int, str]]] = {}
        self.answers: dict[str, dict[str, object]] = {}
        super().__init__(("127.0.0.1", 0), Answer)


class EngineOnSocket(ThreadingMixIn, UnixStreamServer):
    """The same on a unix socket. Counts connections."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        self.requests: list[str] = []
        self.refusals: dict[str, tuple[int, str]] = {}
        self.passing: dict[str, list[tuple[int, str]]] = {}
        self.answers: dict[str, dict[str, object]] = {}
        self.connections = 0
        super().__init__(str(path), Answer)

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], address: object) -> None:
        self.connections += 1
        super().process_request(request, address)


class Answer(BaseHTTPRequestHandler):
    """One connection."""

    server: StubEngine | EngineOnSocket

    def answer(self) -> None:
        request = f"{self.command} {self.path}"
        self.server.requests.append(request)
        refusals = (said for begin, said in self.server.refusals.items() if request.startswith(begin))
        status, message = next(refusals, (201, ""))
        for begin, waiting in self.server.passing.items():
            if waiting and request.startswith(begin):
                status, message = waiting.pop(0)
        answers = (it for begin, it in self.server.answers.items() if request.startswith(begin))
        body = json.dumps({"ApiVersion": "1.41", "message": message, **next(answers, {})}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = answer  # noqa: N815 - the names that http.server looks for

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(engine: BaseServer) -> Iterator[None]:
    thread = Thread(target=engine.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield
    engine.shutdown()
    thread.join()


@pytest.fixture
def engine() -> Iterator[StubEngine]:
    with StubEngine() as engine, served(engine):
        yield engine


@pytest.mark.parametrize(("protocol", "connections"), [("HTTP/1.1", 1), ("HTTP/1.0", 3)])
def test_calls_share_a_connection_as_long_as_the_engine_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str, connections: int
) -> None:
    monkeypatch.setattr(Answer, "protocol_version", protocol)
    with EngineOnSocket(tmp_path / "engine") as engine, served(engine):
        client = DockerClient(f"unix://{tmp_path}/engine", DEADLINE_S)
        client.call(lambda api: api.inspect_image("one"), lambda: None)
        client.call(lambda api: api.inspect_container("two"), lambda: None)
        assert len(engine.requests) == 3
        assert engine.connections == connections
        client.api.close()


@pytest.mark.parametrize("protocol", ["HTTP/1.0", "HTTP/1.1"])
def test_a_call_that_was_given_up_between_two_requests_sends_no_second_one(
    engine: StubEngine, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    # the engine closes the connection after each answer, or keeps it open
    monkeypatch.setattr(Answer, "protocol_version", protocol)
    client = DockerClient(f"tcp://127.0.0.1:{engine.server_port}", DEADLINE_S)
    tagged, given_up, over = Event(), Event(), Event()
    raised: list[Exception] = []

    def push(api: docker.APIClient) -> None:
        api.tag("image", "apps", "1")
        tagged.set()
        given_up.wait(DEADLINE_S)
        try:
            api.push("apps", tag="1")
        except Exception as error:  # noqa: BLE001 - whatever the SDK makes of it
            raised.append(error)
        over.set()

    def check_cancelled() -> None:
        if tagged.is_set():
            raise Stopped

    with pytest.raises(Stopped):
        client.call(push, check_cancelled)
    given_up.set()
    assert over.wait(DEADLINE_S)
    assert [request.partition("?")[0] for request in engine.requests] == [
        "GET /version",
        "POST /v1.41/images/image/tag",
    ]
    assert "given up" in str(raised[0])
    client.api.close()


def test_a_connection_that_opens_while_its_call_is_given_up_sends_nothing(
    engine: StubEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = DockerClient(f"tcp://127.0.0.1:{engine.server_port}", DEADLINE_S)
    opening, given_up, over = Event(), Event(), Event()
    connect = connection.create_connection

    def connect_slowly(*arguments: object, **options: object) -> object:
        opening.set()
        given_up.wait(DEADLINE_S)
        return connect(*arguments, **options)  # type: ignore[arg-type] # as they came

    def ask(api: docker.APIClient) -> None:
        monkeypatch.setattr(connection, "create_connection", connect_slowly)
        try:
            api.version()
        finally:
            over.set()

    def check_cancelled() -> None:
        if opening.is_set():
            raise Stopped

    with pytest.raises(Stopped):
        client.call(ask, check_cancelled)
    given_up.set()
    assert over.wait(DEADLINE_S)
    assert engine.requests == ["GET /version"]
    client.api.close()


def test_a_container_that_somebody_else_is_removing_counts_as_removed(engine: StubEngine) -> None:
    docker_engine = DockerEngine(url=f"tcp://127.0.0.1:{engine.server_port}")
    delete = "DELETE /v1.41/containers/"
    engine.refusals[delete + "going"] = (409, "removal of container going is already in progress")
    engine.refusals[delete + "stuck"] = (409, "driver failed to remove root filesystem")
    docker_engine.remove_container("going")
    with pytest.raises(EngineError, match="failed to remove root filesystem"):
        docker_engine.remove_container("stuck")


def test_a_container_that_took_too_much_is_killed_until_the_engine_did_it(
    engine: StubEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_watch, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(disk_watch, "_PAUSE_S", 0.01)
    kill = "POST /v1.41/containers/box/kill"
    engine.refusals[kill] = (500, "busy")
    watch = DiskWatch(
        lambda: DockerClient(f"tcp://127.0.0.1:{engine.server_port}", DEADLINE_S),
        "box",
        DiskLimits(max_bytes=1),
    )
    monkeypatch.setattr(watch, "look", _too_much)

    def kills() -> int:
        return engine.requests.count(kill)

    with watch:
        eventually("it is killed again", lambda: kills() > 1)
        engine.refusals[kill] = (409, "Container box is not running")
        watch._thread.join(DEADLINE_S)
        assert not watch._thread.is_alive()
    with pytest.raises(DiskLimitReached):
        watch.check()


BUSY = (500, "a disk usage operation is already running")
BUILT_WITH_A_VOLUME = {"SizeRw": 10, "Mounts": [{"Type": "volume", "Name": "data"}]}
VOLUMES = {"Volumes": [{"Name": "data", "UsageData": {"Size": 90}}, {"Name": "others"}]}


def test_an_engine_that_sizes_volumes_for_somebody_else_is_asked_again(
    engine: StubEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_watch, "_BUSY_PAUSE_S", 0)
    api = DockerClient(f"tcp://127.0.0.1:{engine.server_port}", DEADLINE_S).api
    engine.answers["GET /v1.41/containers/box/json"] = BUILT_WITH_A_VOLUME
    engine.answers["GET /v1.41/system/df"] = VOLUMES
    engine.passing = {"GET /v1.41/system/df": [BUSY, BUSY]}
    watch = DiskWatch(lambda: DockerClient(None, DEADLINE_S), "box", DiskLimits(max_bytes=99))
    with pytest.raises(DiskLimitReached):
        watch.look(api)
    assert engine.passing == {"GET /v1.41/system/df": []}


def test_a_build_does_not_fail_because_an_engine_never_finds_the_time_to_size_volumes(
    engine: StubEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_watch, "_BUSY_PAUSE_S", 0)
    api = DockerClient(f"tcp://127.0.0.1:{engine.server_port}", DEADLINE_S).api
    engine.answers["GET /v1.41/containers/box/json"] = BUILT_WITH_A_VOLUME
    engine.refusals["GET /v1.41/system/df"] = BUSY
    DiskWatch(lambda: DockerClient(None, DEADLINE_S), "box", DiskLimits(max_bytes=99)).look(api)
    with pytest.raises(DiskLimitReached):
        DiskWatch(lambda: DockerClient(None, DEADLINE_S), "box", DiskLimits(max_bytes=9)).look(api)


def test_what_the_engine_says_about_sizes_is_not_taken_for_silence(engine: StubEngine) -> None:
    api = DockerClient(f"tcp://127.0.0.1:{engine.server_port}", DEADLINE_S).api
    engine.answers["GET /v1.41/containers/box/json"] = BUILT_WITH_A_VOLUME
    engine.refusals["GET /v1.41/system/df"] = (500, "out of inodes")
    with pytest.raises(APIError, match="out of inodes"):
        DiskWatch(lambda: DockerClient(None, DEADLINE_S), "box", DiskLimits(max_bytes=99)).look(api)


def _too_much(_: docker.APIClient) -> None:
    raise DiskLimitReached("too much")
