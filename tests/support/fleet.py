"""The fleet as real processes: Redis with a password, workers, beat and Flower, each with its output in a file."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import pytest
import requests
from pydantic import SecretStr
from redis import Redis
from redis.exceptions import RedisError

from galaxy.adapters.store.keys import Keys
from galaxy.domain.models import NewVersion, VersionRef
from galaxy.domain.states import UNFINISHED, VersionState
from tests.support.stores import AllStores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from galaxy.domain.models import Version
    from tests.support.bundles import Bundles

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
BARE_CLIENT = Path(__file__).with_name("bare_client.py")

_START_TIMEOUT_S = 30.0


def eventually(what: str, look: Callable[[], T], timeout_s: float = 30.0) -> T:
    """Looks until it sees something true, and returns that; fails after the deadline."""
    deadline = time.monotonic() + timeout_s
    while not (seen := look()):
        if time.monotonic() > deadline:
            pytest.fail(f"After {timeout_s:g} s still not: {what}. Seen last: {seen!r}")
        time.sleep(0.05)
    return seen


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """A process in a group of its own, so that it can be killed with its children."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], output: Path) -> None:
        self._output = output
        # what a running stack tells its own processes is not for this one
        inherited = {
            name: it for name, it in os.environ.items() if not name.startswith(("GALAXY_", "FLOWER_"))
        }
        with output.open("ab") as file:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env={**inherited, **env}, stdout=file, stderr=file, start_new_session=True
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        return self._output.read_text(errors="replace")

    def wait_for(self, text: str) -> None:
        """Waits until the process has said something."""
        eventually(f"{text!r} in {self.output[-2000:]}", lambda: text in self.output or self._died())

    def kill_all(self) -> None:
        """As the machine's end would: with every child, and without a chance to tidy up."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Signals the process alone, not its children."""
        self._process.send_signal(number)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def wait(self) -> int:
        return self._process.wait(_START_TIMEOUT_S)

    def _died(self) -> bool:
        if self._process.poll() is not None:
            pytest.fail(f"A process ended at its start: {self.output[-2000:]}")
        return False


class RedisWithPassword:
    """A redis-server on a port of its own, that tests may harm. The password is long enough to be searched for.

    Args:
        persistent: With an append-only file, as in production: a killed server comes back with everything.
    """

    def __init__(self, folder: Path, *, persistent: bool = False) -> None:
        self.port, self.password = free_port(), f"redis-{secrets.token_hex(12)}"
        options = f"--port {self.port} --bind 127.0.0.1 --requirepass {self.password} --dir {folder} --save"
        self._command = ["redis-server", *options.split(), "", "--appendonly", "yes" if persistent else "no"]
        self._log = folder / "redis.log"
        self.start()

    def start(self) -> None:
        self._process = Process(self._command, {}, self._log)
        eventually("Redis answers", self._answers)

    def kill(self) -> None:
        """As a crash would."""
        self._process.kill_all()

    def shut_down(self) -> None:
        """As an operator would."""
        with self.client(0) as client:
            client.shutdown()
        self._process.wait()

    def freeze(self) -> None:
        """It keeps its connections, takes new ones, and answers nothing."""
        self._process.send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send(signal.SIGCONT)

    def url(self, database: int) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def client(self, database: int) -> Iterator[Redis]:
        with Redis.from_url(self.url(database), decode_responses=True) as client:
            yield client

    def stop(self) -> None:
        self._process.kill_all()

    def _answers(self) -> bool:
        if not self._process.alive:
            pytest.fail("redis-server ended at its start")
        try:
            with self.client(0) as client:
                return bool(client.ping())
        except RedisError:
            return False


class Around(NamedTuple):
    """What fleets share: the world outside, and a name for the containers."""

    redis: RedisWithPassword
    registry: str
    base_image: str
    bundles: Bundles
    name: str


class Fleet:
    """Processes that form one pipeline, with three databases of their own.

    Args:
        number: Tells fleets that share a Redis apart, from 0 to 4.
        options: `GALAXY_*` settings.
    """

    def __init__(self, around: Around, folder: Path, number: int, **options: str) -> None:
        self.redis, self.bundles = around.redis, around.bundles
        self.folder = folder
        self.broker_db, self.store_db, self.logs_db = range(3 * number, 3 * number + 3)
        self.broker_url = self.redis.url(self.broker_db)
        self.env = {
            "GALAXY_BROKER_URL": self.broker_url,
            "GALAXY_STORE_URL": self.redis.url(self.store_db),
            "GALAXY_LOGS_URL": self.redis.url(self.logs_db),
            "GALAXY_REGISTRY": around.registry,
            "GALAXY_DOCKER_HUB_MIRROR": f"http://{around.registry}",
            "GALAXY_DEFAULT_BASE_IMAGE": around.base_image,
            "GALAXY_NAME": around.name,
            "GALAXY_RETRY_BACKOFF_S": "0.5",
            "GALAXY_RETRY_BACKOFF_MAX_S": "0.5",
            "GALAXY_LEASE_S": "2",
            "GALAXY_RECONCILE_PERIOD_S": "0.5",
            "GALAXY_REQUEUE_AFTER_S": "2",
            **options,
        }
        self.celery_app = "workers"
        self._store_redis = Redis.from_url(self.redis.url(self.store_db), decode_responses=True)
        self.store = AllStores(self._store_redis, Keys("galaxy"), lease_s=2, requeue_after_s=2)
        self._processes: list[Process] = []

    # -- processes

    def celery(self, name: str, *arguments: str, env: Mapping[str, str] | None = None) -> Process:
        """Starts `celery -A workers ...`; the name is the output file's."""
        command = [sys.executable, "-m", "celery", "-A", self.celery_app, *arguments]
        process = Process(command, {**self.env, **(env or {})}, self.folder / f"{name}.log")
        self._processes.append(process)
        return process

    def worker(self, name: str, queues: str, slots: int, *, env: Mapping[str, str] | None = None) -> Process:
        options = ["-Q", queues, "-c", str(slots), "-n", f"{name}@fleet", "-l", "info"]
        return self.celery(name, "worker", *options, env=env)

    def build_worker(self, *, slots: int = 2, name: str = "build") -> Process:
        return self.worker(name, "builds,builds.bulk", slots)

    def start(self, *, slots: int = 2, beat: bool = True) -> Process:
        """Starts a build worker, a control worker and beat, and returns the first when all are ready."""
        build, control = (
            self.build_worker(slots=slots),
            self.worker("control", "control,rollouts,base-images", 2),
        )
        if beat:
            self.celery("beat", "beat", "-l", "info").wait_for("beat: Starting")
        build.wait_for("ready.")
        control.wait_for("ready.")
        return build

    def ended(self) -> list[str]:
        """The end of what each process has said that runs no more."""
        return [process.output[-2000:] for process in self._processes if not process.alive]

    def outputs(self) -> str:
        """Everything that all processes have said."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))

    def last_words(self, characters: int) -> str:
        """The end of what each process has said."""
        paths = sorted(self.folder.glob("*.log"))
        return "\n".join(f"{path.name}: {path.read_text(errors='replace')[-characters:]}" for path in paths)

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.kill_all()
        self._store_redis.close()

    # -- what a backend does

    def call(self, *calls: dict[str, Any], events: bool = False) -> list[dict[str, Any]]:
        """Makes task calls from a process that has only Celery; see `bare_client`."""
        asked = json.dumps({"url": self.broker_url, "events": events, "calls": calls})
        done = subprocess.run(
            [sys.executable, str(BARE_CLIENT)],
            input=asked, cwd=self.folder, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        answers: list[dict[str, Any]] = json.loads(done.stdout)
        return answers

    def deploy(self, app: str, bundle_url: str, settings: object = None) -> VersionRef:
        """Deploys as a backend does."""
        kwargs = {"app": app, "settings": settings or {}, "bundle_url": bundle_url}
        (answer,) = self.call({"task": "tasks.deploy", "kwargs": kwargs})
        return VersionRef(answer["result"]["app"], answer["result"]["version"])

    def record(self, app: str, bundle_url: str) -> VersionRef:
        """Records a version without telling anybody."""
        new = NewVersion(
            app=app,
            bundle_url=SecretStr(bundle_url),
            settings=SecretStr("{}"),
            env={},
            base_image=self.env["GALAXY_DEFAULT_BASE_IMAGE"],
            deployed_by="a test",
        )
        created = self.store.create_version(new, idempotency_key=app, fingerprint="", retention_s=60)
        return VersionRef(app, created.number)

    # -- what comes of it

    def wait_until(self, ref: VersionRef, *states: VersionState, timeout_s: float = 30.0) -> Version:
        def look() -> Version | None:
            version = self.store.version(ref)
            return version if version.state in states else None

        return eventually(f"{ref} is {' or '.join(states)}", look, timeout_s)

    def wait_until_final(self, ref: VersionRef, timeout_s: float = 30.0) -> Version:
        return self.wait_until(ref, *(set(VersionState) - UNFINISHED), timeout_s=timeout_s)


class Flower:
    """Flower over HTTP, with the login."""

    LOGIN = ("operator", "let-me-in")

    def __init__(self, fleet: Fleet) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        options = [f"--port={port}", "--address=127.0.0.1", "--inspect-timeout=500"]
        login = {"FLOWER_BASIC_AUTH": ":".join(self.LOGIN)}
        fleet.celery("flower", "flower", "--conf=flowerconfig.py", *options, env=login)
        self._session = requests.Session()
        self._session.auth = self.LOGIN
        eventually("Flower answers", self._answers)

    def get(self, path: str, **query: str) -> str:
        response = self._session.get(self.url + path, params=query, timeout=20)
        assert response.status_code == requests.codes.ok, (
            f"{path}: {response.status_code} {response.text[:500]}"
        )
        return response.text

    def tasks(self, **query: str) -> list[dict[str, Any]]:
        """What the JSON API knows of tasks, in the order in which they were sent."""
        found = json.loads(self.get("/api/tasks", **query))
        return sorted(found.values(), key=lambda task: task["received"] or 0)

    def task_of(self, ref: VersionRef) -> dict[str, Any] | None:
        """The build of a version as Flower shows it; None while it shows none. Retries are the same task."""
        shown = repr({"app": ref.app, "version": ref.number})
        found = [task for task in self.tasks(taskname="tasks.build") if task["kwargs"] == shown]
        assert len(found) <= 1, f"{ref} was built by several tasks: {found}"
        return found[0] if found else None

    def everything(self) -> str:
        """Every page and every answer of the API that shows anything."""
        columns = {
            "draw": "1",
            "start": "0",
            "length": "1000",
            "order[0][column]": "0",
            "columns[0][data]": "name",
        }
        pages = [
            self.get("/"), self.get("/workers", json="1"), self.get("/tasks"), self.get("/broker"),
            self.get("/tasks/datatable", **columns), self.get("/api/tasks"), self.get("/api/queues/length"),
            self.get("/api/task/types"), self.get("/metrics"),
        ]  # fmt: skip
        for worker in json.loads(self.get("/api/workers", status="1")):
            pages += [self.get(f"/worker/{worker}"), self.get("/api/workers", refresh="1", workername=worker)]
        for task in self.tasks():
            pages += [
                self.get(f"/{path}/{task['uuid']}") for path in ("task", "api/task/info", "api/task/result")
            ]
        return "\n".join(pages)

    def close(self) -> None:
        self._session.close()

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/healthcheck", timeout=2).ok
        except requests.RequestException:
            return False
