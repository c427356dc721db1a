"""What operators see: Flower over HTTP, with a login, and never a secret."""

from __future__ import annotations

import json
import secrets
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
import requests
from celery import Celery

from galaxy.adapters.store.keys import Keys
from galaxy.domain.fleet import Queue
from tests.support.fleet import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from galaxy.domain.models import VersionRef
    from tests.support.fleet import Fleet, Flower


def wait_for_task(flower: Flower, ref: VersionRef, state: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        task = flower.task_of(ref)
        return task if task and task["state"] == state else None

    return eventually(f"Flower shows {ref} as {state}", look)


def test_a_running_build_shows_its_step_and_stays_among_the_started_ones(
    fleet: Fleet, flower: Flower, app: str
) -> None:
    bundle = fleet.bundles.add()
    bundle.hold()
    ref = fleet.deploy(app, bundle.url)
    step = f"{app} version 1, attempt 1 of 4: setup"
    eventually("the step", lambda: step in str((flower.task_of(ref) or {}).get("result")))
    task = wait_for_task(flower, ref, "STARTED")
    assert task["uuid"] in {started["uuid"] for started in flower.tasks(state="STARTED")}
    page = flower.get(f"/task/{task['uuid']}")
    assert step in page
    assert "Terminate" in page
    bundle.release()
    done = wait_for_task(flower, ref, "SUCCESS")
    assert f"Built version 1 of {app}" in done["result"]
    assert f"galaxy logs {app} --version 1" in done["result"]
    assert done["started"] == task["started"]


def test_a_failed_build_names_app_version_and_log_and_counts_as_the_store_does(
    fleet: Fleet, flower: Flower, app: str
) -> None:
    ref = fleet.deploy(app, fleet.bundles.add("exit 3").url)
    seen = wait_for_task(flower, ref, "RETRY")
    assert f"Building version 1 of {app}: Attempt 1 of 4 failed" in seen["exception"]
    fleet.wait_until_final(ref)
    failed = wait_for_task(flower, ref, "FAILURE")
    assert f"The build of version 1 of {app} has failed for good" in failed["exception"]
    assert f"galaxy logs {app} --version 1" in failed["exception"]
    assert failed["retries"] == fleet.store.version(ref).attempt - 1 == 3


def test_retries_are_counted_as_attempts_also_when_the_store_was_away_before(
    fleet: Fleet, flower: Flower, app: str
) -> None:
    bundle = fleet.bundles.add("exit 3")
    ref = fleet.record(app, bundle.url)
    with Celery(broker=fleet.broker_url, set_as_current=False) as client:
        client.send_task("tasks.build", kwargs={"app": app, "version": 1}, queue=Queue.BUILDS, retries=2)
    fleet.wait_until_final(ref)
    failed = wait_for_task(flower, ref, "FAILURE")
    assert ("BuildFailed" in failed["exception"], failed["retries"], bundle.asked) == (True, 3, 4)


def test_operators_see_all_queues_and_no_ticks(flower: Flower) -> None:
    broker = flower.get("/broker")
    queues = ("builds", "builds.bulk", "reconcile", "control", "celery", "base-images", "rollouts")
    assert [queue for queue in queues if f">{queue}<" not in "".join(broker.split())] == []
    assert flower.tasks(taskname="tasks.reconcile") == []


@pytest.mark.parametrize(
    "path", ["/", "/tasks", "/broker", "/worker/build@fleet", "/api/tasks", "/api/workers"]
)
def test_nothing_is_shown_without_the_login(flower: Flower, path: str) -> None:
    assert requests.get(flower.url + path, timeout=10).status_code == requests.codes.unauthorized


@pytest.mark.parametrize("login", [{}, {"FLOWER_BASIC_AUTH": ""}, {"FLOWER_BASIC_AUTH": "operator:"}])
def test_flower_does_not_start_without_a_login(own_fleet: Fleet, login: dict[str, str]) -> None:
    flower = own_fleet.celery("refusing", "flower", "--conf=flowerconfig.py", "--port=0", env=login)
    assert flower.wait() == 1
    assert "set FLOWER_BASIC_AUTH=user:password" in flower.output


@contextmanager
def captured_events(broker_url: str, exchange: str) -> Iterator[list[dict[str, Any]]]:
    """Everything that is published to an exchange for events, while the block runs."""
    events: list[dict[str, Any]] = []
    with Celery(broker=broker_url, set_as_current=False) as client, client.connection() as connection:
        client.conf.event_exchange = exchange
        receiver = client.events.Receiver(connection, handlers={"*": events.append})
        thread = Thread(target=receiver.capture, kwargs={"limit": None, "timeout": None, "wakeup": False})
        thread.start()
        yield events
        receiver.should_stop = True
        thread.join(10)


def inspected(fleet: Fleet, *questions: str) -> str:
    """What remote control tells of both workers."""
    with Celery(broker=fleet.broker_url, set_as_current=False) as client:
        inspect = client.control.inspect(timeout=2, limit=2)
        return json.dumps([getattr(inspect, question)() for question in questions], default=str)


def test_no_secret_is_shown_anywhere(fleet: Fleet, flower: Flower, app: str) -> None:
    """Settings, env values and bundle URLs, of a client that does all it can to show them."""
    canary = f"canary-{secrets.token_hex(8)}"
    settings = {"key": canary, "galaxy.meteor.com": {"env": {"TOKEN": canary}}}
    held, failing = fleet.bundles.add(query=canary), fleet.bundles.add("exit 1", query=canary)
    held.hold()

    def call(name: str, task: str = "tasks.deploy", **more: object) -> dict[str, Any]:
        kwargs = {"app": f"{name}.{app}", "settings": settings, "bundle_url": failing.url}
        return {"task": task, "kwargs": kwargs | more}

    with fleet.redis.client(fleet.store_db) as store:
        store.set(Keys("galaxy").app(f"broken.{app}"), "no hash")
    wrong = {"x": canary, "galaxy.meteor.com": {"env": {"A": [canary]}}}
    with (
        captured_events(fleet.broker_url, "galaxy.events") as ours,
        captured_events(fleet.broker_url, "celeryev") as theirs,
    ):
        calls = [
            call("held", bundle_url=held.url), call("failing"), *[call("broken")] * 3,
            call("mistyped", task="tasks.deplyo"), call("misled", task="tasks.roll_out") | {"wait": False},
            call("unknown-argument", setings=settings),
            call("invalid", app=canary + "!", settings=wrong),
            {"task": "tasks.deploy", "args": [f"position.{app}", settings, held.url]},
        ]  # fmt: skip
        answering = Thread(target=lambda: answers.extend(fleet.call(*calls, events=True)))
        answers: list[dict[str, Any]] = []
        answering.start()
        eventually(
            "a retry is scheduled, a build runs",
            lambda: held.asked and "tasks.deploy" in inspected(fleet, "scheduled"),
        )
        seen = [inspected(fleet, "active", "reserved", "scheduled", "conf"), flower.everything()]
        answering.join(60)
        held.release()
        eventually(
            "the failing build has failed", lambda: f"failing.{app} has failed for good" in fleet.outputs()
        )
        seen += [flower.everything(), fleet.outputs(), json.dumps(ours, default=str), json.dumps(answers)]
    with fleet.redis.client(fleet.broker_db) as backend:
        seen += [backend.get(key) for key in backend.scan_iter("celery-task-meta-*")]

    told = "\n".join(seen)
    assert canary in json.dumps(theirs), "the client did not even try"
    assert all(f"{name}.{app}" in told for name in ("held", "failing", "position"))
    assert "tasks.deplyo" in told
    for secret in (canary, fleet.redis.password):
        where = told.find(secret)
        assert where < 0, told[max(0, where - 1500) : where + 200]
