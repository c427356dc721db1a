"""Fixtures for all tests: a real Redis of their own, and keys that no other test uses."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import current_thread, main_thread
from typing import TYPE_CHECKING, NoReturn
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from redis import Redis
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest_plugins = ("tests.support.fixtures",)

_TESTS = Path(__file__).parent
_START_TIMEOUT_S = 10.0
#: The tests in these folders need the engine, the registry, Redis or the whole stack.
_SERVICE_FOLDERS = ("integration", "e2e", "chaos")
#: Session fixtures that start a service or connect to one.
_SERVICES = frozenset({"redis_server", "docker_api", "app_registry"})
#: `make test` searches with new examples each time. `make unit` has to be quick, and `make mutants` has to give the
#: same answer each time: both take the same few examples. The deadline finds a search that has become quadratic, and
#: leaves time to a busy machine.
_DEADLINE_S = 5
settings.register_profile("thorough", deadline=timedelta(seconds=_DEADLINE_S))
settings.register_profile(
    "quick",
    deadline=timedelta(seconds=_DEADLINE_S),
    max_examples=25,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("thorough")


#: The files that take longest, the longest first: one that begins last is what everybody waits for.
_LONGEST = (
    "e2e/test_base_image_updates.py",
    "integration/test_recovery_stop.py",
    "integration/test_recovery.py",
    "integration/test_log_outages.py",
    "e2e/test_command_line.py",
    "integration/test_package_managers.py",
    "integration/test_log_attack.py",
    "chaos/test_short_run.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that need a service, which `make unit` leaves out; and sorts the files by how long they take."""
    for item in items:
        folder = item.path.relative_to(_TESTS).parts[0]
        if folder in _SERVICE_FOLDERS or not _SERVICES.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.service)
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    file = item.path.relative_to(_TESTS).as_posix()
    if file in _LONGEST:
        return _LONGEST.index(file)
    return len(_LONGEST) + (file.partition("/")[0] not in _SERVICE_FOLDERS)


def _ignored(_: int, __: object) -> None:
    """A signal that this process ignores, and its children do not."""


# a shell that runs in the background, and nohup, have their children ignore these: tests send them to processes
for _signal in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(_signal) is signal.SIG_IGN and current_thread() is main_thread():
        signal.signal(_signal, _ignored)


#: A shell lets its background jobs ignore some of these, and so would every process that a test starts and signals.
_OBEYED = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


def pytest_configure() -> None:
    for each in _OBEYED:
        if signal.getsignal(each) is signal.SIG_IGN:
            signal.signal(each, signal.default_int_handler if each is signal.SIGINT else signal.SIG_DFL)


def unavailable(what: str) -> NoReturn:
    """Skips at home; in CI a missing service is a failure."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}, and CI may not do without it.")
    pytest.skip(f"{what}.")


class RedisServer:
    """A redis-server process on a unix socket, without persistence."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "redis.sock"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        options = ["--port", "0", "--unixsocket", str(self.socket), "--save", "", "--appendonly", "no"]
        log = self._folder / "redis.log"
        self._process = subprocess.Popen(
            ["redis-server", *options, "--dir", str(self._folder), "--logfile", str(log)]
        )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"redis-server did not start: {log.read_text()}")
            time.sleep(0.01)

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def client(self, *, decode_responses: bool = False, db: int = 0) -> Iterator[Redis]:
        with Redis(unix_socket_path=str(self.socket), decode_responses=decode_responses, db=db) as client:
            yield client

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except (RedisError, OSError):
            return False


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One server for all tests; they keep apart by `key_prefix`."""
    if not shutil.which("redis-server"):
        unavailable("redis-server is not installed")
    # not pytest's tmp_path: the path of a unix socket may have 107 bytes only
    with tempfile.TemporaryDirectory(prefix="galaxy-redis-") as folder:
        server = RedisServer(Path(folder))
        server.start()
        yield server
        server.stop()


@pytest.fixture
def key_prefix() -> str:
    """First part of the Redis keys of this test."""
    return f"test-{uuid4().hex}"
