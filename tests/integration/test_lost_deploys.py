"""A control worker that dies or hangs with a deploy in its hands: another one makes the version, soon and once."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest
from celery import Celery

from tests.support.bundles import Bundles
from tests.support.fleet import Around, Fleet, RedisWithPassword, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from celery.result import AsyncResult

    from tests.support.fleet import Process

QUEUES: Final = "control,base-images,rollouts"
REDELIVER_S: Final = 3.0
#: With the look for lost messages, a sixth of it, and some patience with a busy machine.
REDELIVERED_S: Final = 3 * REDELIVER_S


class Desk:
    """Control workers, a broker, and a store of its own that can hold up whoever works for it."""

    def __init__(self, fleet: Fleet, store: RedisWithPassword) -> None:
        self.fleet, self.store = fleet, store

    def worker(self, name: str) -> Process:
        worker = self.fleet.worker(name, QUEUES, 1)
        worker.wait_for("ready.")
        return worker

    @contextmanager
    def held_deploy(self, app: str) -> Iterator[AsyncResult[dict[str, object]]]:
        """A worker has a deploy in its hands, until the store thaws."""
        self.store.freeze()
        kwargs = {"app": app, "settings": {}, "bundle_url": "https://bundles.example.com/x.tgz"}
        url = self.fleet.broker_url
        with Celery(broker=url, backend=url, set_as_current=False) as client:
            deploy = client.send_task("tasks.deploy", kwargs=kwargs, queue="control")
            eventually("a worker has begun", lambda: deploy.state == "STARTED")
            yield deploy

    def taken(self) -> int:
        """How many messages a control worker has that it has not done."""
        with self.fleet.redis.client(self.fleet.broker_db) as broker:
            return int(broker.hlen("unacked.control"))


@pytest.fixture
def desk(redis_server: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    del redis_server  # only asked for because it skips where there is none
    broker, store = (RedisWithPassword(tmp_path_factory.mktemp(name)) for name in ("broker", "store"))
    around = Around(broker, "registry.invalid", "none:1", Bundles("bundles.invalid"), "galaxy-desk")
    options = {"GALAXY_STORE_URL": store.url(0), "GALAXY_REDELIVER_AFTER_S": str(REDELIVER_S)}
    fleet = Fleet(around, tmp_path_factory.mktemp("desk"), 0, **options)
    yield Desk(fleet, store)
    fleet.stop()
    for redis in (broker, store):
        redis.stop()


def kill(worker: Process) -> None:
    worker.kill_all()


def freeze(worker: Process) -> None:
    os.killpg(worker.pid, signal.SIGSTOP)


@pytest.mark.parametrize("stop", [kill, freeze])
def test_another_worker_makes_the_version_once(desk: Desk, app: str, stop: Callable[[Process], None]) -> None:
    first = desk.worker("first")
    with desk.held_deploy(app) as deploy:
        second = desk.worker("second")
        stop(first)
        desk.store.thaw()
        assert deploy.get(timeout=REDELIVERED_S) == {"app": app, "version": 1}

    if stop is freeze:  # it still has the deploy, and goes on with it
        os.killpg(first.pid, signal.SIGCONT)
        first.wait_for("Task tasks.deploy")
        eventually("it has done it", lambda: first.output.count("succeeded") == 1)
    eventually("nothing is left to do", lambda: not desk.taken())
    assert second.output.count("succeeded") == 1
    with desk.store.client(0) as store:
        assert store.hget(f"galaxy:app:{app}", "last") == "1"


def test_a_worker_that_is_told_to_stop_comes_to_the_end_of_its_deploy(desk: Desk, app: str) -> None:
    worker = desk.worker("only")
    with desk.held_deploy(app) as deploy:
        worker.send(signal.SIGTERM)
        worker.wait_for("Warm shutdown")
        desk.store.thaw()
        assert deploy.get(timeout=REDELIVERED_S) == {"app": app, "version": 1}
    eventually("its message is done with", lambda: not desk.taken())
