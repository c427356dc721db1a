"""Workers for a benchmark alone: on the stack's Redis, engine and registries, but out of the stack's way."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, NoReturn
from urllib.parse import urlsplit
from uuid import uuid4

from pydantic import SecretStr
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from bench.measure import CannotRun
from galaxy.bootstrap import Pipeline
from galaxy.domain.models import VersionRef
from galaxy.domain.states import Step, VersionState
from galaxy.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_ROOT: Final = Path(__file__).parent.parent
_STOP_TIMEOUT_S: Final = 20
_BUILD_TIMEOUT_S: Final = 120
_BUILD_QUEUES: Final = "builds,builds.bulk"
_CONTROL_QUEUES: Final = "control,rollouts,base-images"
#: Of a worker's own output; it says little.
_OUTPUT_BYTES: Final = 1024 * 1024

_ON_THE_WAY: Final = (VersionState.QUEUED, VersionState.BUILDING)
#: Looking takes time from the build that is looked at: so fine looks only towards its end.
_COARSE_POLL_S: Final = 0.02
_FINE_POLL_S: Final = 0.001

#: Redis has 16 databases unless it is told otherwise; a pipeline uses the first three.
_DATABASES: Final = range(15, 2, -1)


@dataclass(frozen=True)
class Worker:
    """A worker process, and the file with its output."""

    process: subprocess.Popen[bytes]
    output: IO[bytes]

    def said(self) -> bytes:
        """What it has said."""
        return os.pread(self.output.fileno(), _OUTPUT_BYTES, 0)

    def assert_alive(self) -> None:
        """Raises `CannotRun` if it has ended."""
        if self.process.poll() is not None:
            said = self.said().decode(errors="replace")[-2000:]
            raise CannotRun(f"The worker ended with {self.process.returncode}:\n{said}")


@dataclass(frozen=True)
class Fleet:
    """Worker processes, and the pipeline that they and we work on.

    Attributes:
        store: Client of the store's database.
        logs: Client of the logs' database, which does not decode.
        broker: Client of the broker's database, which does not decode.
        environment: Of the workers; for other processes that belong to the same pipeline.
    """

    pipeline: Pipeline
    store: Redis
    logs: Redis
    broker: Redis
    environment: Mapping[str, str]
    _workers: Sequence[Worker]

    @property
    def pid(self) -> int:
        """Of the build worker's main process; its children are the slots."""
        return self._workers[0].process.pid

    def deploy(self, app: str, bundle_url: str, settings: object = "{}") -> VersionRef:
        """Deploys, and returns at once."""
        deployed = self.pipeline.releases.deploy(
            app=app, settings=settings, bundle_url=bundle_url, deployed_by="bench"
        )
        return VersionRef(deployed.app, deployed.version)

    def wait_until_built(self, refs: Sequence[VersionRef], timeout_s: float = _BUILD_TIMEOUT_S) -> None:
        """Waits until the digests of all these versions are recorded.

        Raises:
            CannotRun: One was not built, or not in time.
        """
        began = time.perf_counter()
        for ref in refs:
            key = self.pipeline.keys.version(*ref)
            while True:
                state, step, digest = self.store.hmget(key, "state", "step", "image_digest")
                if digest:
                    break
                if state not in _ON_THE_WAY or time.perf_counter() - began > timeout_s:
                    self._give_up(ref)
                time.sleep(_FINE_POLL_S if step == Step.PUSH else _COARSE_POLL_S)

    def wait_until_ready(self) -> None:
        """Waits until all workers have all their slots."""
        began = time.perf_counter()
        while not all(b"ready." in worker.said() for worker in self._workers):
            self.assert_alive()
            if time.perf_counter() - began > _BUILD_TIMEOUT_S:
                raise CannotRun("The workers did not become ready.")
            time.sleep(_COARSE_POLL_S)

    def assert_alive(self) -> None:
        """Raises `CannotRun` if a worker has ended."""
        for worker in self._workers:
            worker.assert_alive()

    def _give_up(self, ref: VersionRef) -> NoReturn:
        self.assert_alive()
        version = self.pipeline.store.version(ref)
        raise CannotRun(f"The build of {ref} is {version.state}. {version.failure or 'It took too long.'}")


@contextmanager
def fleet(*, slots: int = 1, control_slots: int = 0, **knobs: str | float) -> Iterator[Fleet]:
    """Starts workers on keys and queues of their own, and removes all of them at the end.

    Args:
        slots: How many builds the build worker runs at a time; without slots there is none.
        control_slots: How many tasks the control worker runs at a time, as above.
        knobs: Settings that differ from the stack's.

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
                **knobs,
            }
        )
        clients = (
            stack.enter_context(_own_keys(own.store_url.get_secret_value(), prefix)),
            stack.enter_context(_own_keys(own.logs_url.get_secret_value(), prefix, decode_responses=False)),
            stack.enter_context(Redis.from_url(broker)),
        )
        environment = _environment(own, knobs)
        workers = [
            stack.enter_context(_worker(own, queues, count, environment))
            for queues, count in ((_BUILD_QUEUES, slots), (_CONTROL_QUEUES, control_slots))
            if count
        ]
        yield Fleet(Pipeline(own), *clients, environment, workers)


def _environment(settings: Settings, knobs: Iterable[str]) -> dict[str, str]:
    return os.environ | {
        "GALAXY_BROKER_URL": settings.broker_url.get_secret_value(),
        "GALAXY_KEY_PREFIX": settings.key_prefix,
        "GALAXY_NAME": settings.name,
        **{f"GALAXY_{knob.upper()}": str(getattr(settings, knob)) for knob in knobs},
    }


@contextmanager
def _worker(settings: Settings, queues: str, slots: int, environment: Mapping[str, str]) -> Iterator[Worker]:
    command = [sys.executable, "-m", "celery", "--app", "workers", "worker", "-Q", queues]
    options = ["-c", str(slots), "-n", f"{settings.key_prefix}-{queues.partition(',')[0]}@%h", "-l", "INFO"]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [*command, *options], cwd=_ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield Worker(process, output)
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
def _own_keys(url: str, prefix: str, *, decode_responses: bool = True) -> Iterator[Redis]:
    """A client; removes the keys with the prefix at the end."""
    with Redis.from_url(url, decode_responses=decode_responses) as redis:
        try:
            redis.ping()
        except RedisError as error:
            raise CannotRun(f"The store or the logs can't be reached: {error}") from error
        try:
            yield redis
        finally:
            for key in redis.scan_iter(f"{prefix}:*", count=1000):
                redis.unlink(key)
