"""A build worker for a benchmark alone: on the stack's Redis, engine and registries, but out of the stack's way."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final
from urllib.parse import urlsplit
from uuid import uuid4

from pydantic import SecretStr
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from bench.measure import CannotRun
from galaxy.bootstrap import Pipeline
from galaxy.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT: Final = Path(__file__).parent.parent
_STOP_TIMEOUT_S: Final = 20

#: Redis has 16 databases unless it is told otherwise; a pipeline uses the first three.
_DATABASES: Final = range(15, 2, -1)


@dataclass(frozen=True)
class Fleet:
    """A worker process, and the pipeline that it and we work on."""

    pipeline: Pipeline
    store: Redis
    _worker: subprocess.Popen[bytes]
    _output: IO[bytes]

    def assert_alive(self) -> None:
        """Raises `CannotRun` if the worker has ended."""
        if self._worker.poll() is not None:
            self._output.seek(0)
            said = self._output.read().decode(errors="replace")[-2000:]
            raise CannotRun(f"The worker ended with {self._worker.returncode}:\n{said}")


@contextmanager
def fleet(*, slots: int = 1) -> Iterator[Fleet]:
    """Starts a worker on keys and queues of its own, and removes all of them at the end.

    Raises:
        CannotRun: Redis can't be reached.
    """
    settings = Settings()
    prefix = f"bench-{uuid4().hex[:8]}"
    with ExitStack() as stack:
        broker = stack.enter_context(_own_broker(settings.broker_url.get_secret_value()))
        own = settings.model_copy(
            update={
                "broker_url": SecretStr(broker),
                "key_prefix": prefix,
                "name": f"{settings.name}-{prefix}",
            }
        )
        store, _ = (
            stack.enter_context(_own_keys(url.get_secret_value(), prefix))
            for url in (own.store_url, own.logs_url)
        )
        output = stack.enter_context(tempfile.TemporaryFile())
        worker = stack.enter_context(_worker(own, slots, output))
        yield Fleet(Pipeline(own), store, worker, output)


@contextmanager
def _worker(settings: Settings, slots: int, output: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {
        "GALAXY_BROKER_URL": settings.broker_url.get_secret_value(),
        "GALAXY_KEY_PREFIX": settings.key_prefix,
        "GALAXY_NAME": settings.name,
    }
    command = [sys.executable, "-m", "celery", "--app", "workers", "worker", "-Q", "builds,builds.bulk"]
    options = ["-c", str(slots), "-n", f"{settings.key_prefix}@%h", "-l", "INFO"]
    process = subprocess.Popen(
        [*command, *options], cwd=_ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _own_broker(url: str) -> Iterator[str]:
    """An empty database of the broker's server, emptied again at the end: Celery's queues have no prefix."""
    for database in _DATABASES:
        own = urlsplit(url)._replace(path=f"/{database}").geturl()
        with Redis.from_url(own) as redis:
            try:
                if redis.dbsize():
                    continue
            except ResponseError:  # it has fewer databases
                continue
            except RedisError as error:
                raise CannotRun(f"The broker can't be reached: {error}") from error
            try:
                yield own
            finally:
                redis.flushdb()
            return
    raise CannotRun("No database of the broker's Redis is empty.")


@contextmanager
def _own_keys(url: str, prefix: str) -> Iterator[Redis]:
    """A client; removes the keys with the prefix at the end."""
    with Redis.from_url(url, decode_responses=True) as redis:
        try:
            redis.ping()
        except RedisError as error:
            raise CannotRun(f"The store or the logs can't be reached: {error}") from error
        try:
            yield redis
        finally:
            for key in redis.scan_iter(f"{prefix}:*", count=1000):
                redis.unlink(key)
