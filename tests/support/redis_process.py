"""A redis-server that is configured as a test wants it: wrongly, with users, with TLS, or with a file to lose."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from redis import Redis

from tests.conftest import unavailable
from tests.support.fleet import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_START_TIMEOUT_S = 15.0


class RedisProcess:
    """One server on a port of its own.

    Args:
        config: redis.conf besides address and folder; `@PORT@` stands for the port.
    """

    def __init__(self, folder: Path, config: str = "", *, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, database: int = 0, login: str = "") -> str:
        return f"redis://{login}{self.address}/{database}"

    def start(self) -> None:
        """Returns when it takes connections, and has loaded what it had."""
        own = f"bind 127.0.0.1\ndir {self.folder}\nlogfile {self.folder / 'redis.log'}\n"
        port = "" if "tls-port" in self._config else f"port {self.port}\n"
        (self.folder / "redis.conf").write_text(own + port + self._config.replace("@PORT@", str(self.port)))
        starts = self._starts()
        self._process = subprocess.Popen(["redis-server", str(self.folder / "redis.conf")])
        deadline = time.monotonic() + _START_TIMEOUT_S
        while self._starts() == starts:
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"redis-server did not start: {(self.folder / 'redis.log').read_text()}")
            time.sleep(0.02)

    def kill(self) -> None:
        """As a crash would: what it has not written is gone."""
        if self._process:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It keeps its connections, takes new ones, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    @contextmanager
    def client(self, database: int = 0, login: str = "", *, text: bool = True) -> Iterator[Redis]:
        with Redis.from_url(self.url(database, login), decode_responses=text) as client:
            yield client

    def _starts(self) -> int:
        """How often it has become ready; a server that wants a login can't be asked."""
        log = self.folder / "redis.log"
        return log.read_text().count("Ready to accept connections") if log.exists() else 0


@contextmanager
def redis_process(folder: Path, config: str = "") -> Iterator[RedisProcess]:
    """A running server, until the end of the block."""
    if not shutil.which("redis-server"):
        unavailable("redis-server is not installed")
    server = RedisProcess(folder, config)
    server.start()
    try:
        yield server
    finally:
        with suppress(ProcessLookupError):
            server.kill()
