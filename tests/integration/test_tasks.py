"""The fleet's tasks, called as a backend calls them, run by real workers on the real engine."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery

from galaxy.adapters.store.keys import Keys
from galaxy.domain.errors import NotFound
from galaxy.domain.fleet import Queue
from galaxy.domain.models import VersionRef
from galaxy.domain.states import VersionState
from tests.support.fleet import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.bundles import Bundle
    from tests.support.fleet import Fleet


def deploy_call(app: str, bundle: Bundle, **more: object) -> dict[str, Any]:
    return {"task": "tasks.deploy", "kwargs": {"app": app, "settings": {}, "bundle_url": bundle.url, **more}}


def test_a_client_with_nothing_but_celery_deploys_by_name_or_by_position(fleet: Fleet, app: str) -> None:
    bundle = fleet.bundles.add()
    named, positional = fleet.call(
        deploy_call(app, bundle, deployed_by="the backend"),
        {"task": "tasks.deploy", "args": [f"www.{app}", {}, bundle.url, "the backend"]},
    )
    assert named["result"] == {"app": app, "version": 1}
    assert positional["result"] == {"app": f"www.{app}", "version": 1}
    for ref in (VersionRef(app, 1), VersionRef(f"www.{app}", 1)):
        version = fleet.wait_until_final(ref)
        assert (version.state, version.deployed_by) == (VersionState.ACTIVE, "the backend")


def test_the_caller_is_told_every_mistake_and_no_version_is_made(fleet: Fleet, app: str) -> None:
    wrong = {"galaxy.meteor.com": {"baseImage": {"repository": "a/b"}, "env": {"PORT": 80}}}
    (answer,) = fleet.call(
        {"task": "tasks.deploy", "kwargs": {"app": app, "settings": wrong, "bundle_url": "ftp://x"}}
    )
    assert answer["error"] == "InvalidInput"
    places = ("baseImage", "env.PORT", "bundle_url")
    assert [place for place in places if place not in answer["text"]] == []
    assert len(answer["text"].splitlines()) == 3
    with pytest.raises(NotFound):
        fleet.store.versions(app)


def test_a_misspelled_argument_is_told_with_the_right_spelling_and_no_version_is_made(
    fleet: Fleet, app: str
) -> None:
    url = fleet.bundles.add(query="canary").url
    misspelled, too_many = fleet.call(
        {"task": "tasks.deploy", "kwargs": {"app": app, "setings": {"key": "canary"}, "bundel_url": url}},
        {"task": "tasks.deploy", "args": [app, {}, url, None, None, "canary"]},
        {"task": "tasks.build", "kwargs": {"app": app, "verison": "canary"}, "wait": False},
    )
    assert [answer["error"] for answer in (misspelled, too_many)] == ["InvalidInput"] * 2
    lines = misspelled["text"].splitlines()
    assert [line.split(" tasks.deploy takes")[0] for line in lines] == [
        "There is no argument `setings`. Did you mean `settings`?",
        "There is no argument `bundel_url`. Did you mean `bundle_url`?",
    ]
    eventually("the build is refused", lambda: "Did you mean `version`? tasks.build takes" in fleet.outputs())
    assert "canary" not in misspelled["text"] + too_many["text"] + fleet.outputs()
    with pytest.raises(NotFound):
        fleet.store.versions(app)


def test_a_deploy_that_is_delivered_twice_makes_one_version(fleet: Fleet, app: str) -> None:
    call = deploy_call(app, fleet.bundles.add()) | {"task_id": f"twice-{app}"}
    first, second = fleet.call(call, call)
    assert first["result"] == second["result"] == {"app": app, "version": 1}
    assert len(fleet.store.versions(app)) == 1


def test_an_idempotency_key_makes_one_version_and_refuses_other_content(fleet: Fleet, app: str) -> None:
    bundle, other = fleet.bundles.add(), fleet.bundles.add()
    first, again = fleet.call(*[deploy_call(app, bundle, idempotency_key="release-7")] * 2)
    assert first["result"] == again["result"]
    (conflict,) = fleet.call(deploy_call(app, other, idempotency_key="release-7"))
    assert conflict["error"] == "IdempotencyConflict"
    assert "Use a new key" in conflict["text"]


def test_a_build_that_fails_twice_is_active_after_the_third_run(fleet: Fleet, app: str) -> None:
    bundle = fleet.bundles.add("exit 1", "exit 1", "true")
    version = fleet.wait_until_final(fleet.deploy(app, bundle.url))
    assert (version.state, version.attempt, bundle.asked) == (VersionState.ACTIVE, 3, 3)


def test_the_fourth_failure_is_the_last_and_no_run_was_in_vain(fleet: Fleet, app: str) -> None:
    bundle = fleet.bundles.add("exit 7")
    version = fleet.wait_until_final(fleet.deploy(app, bundle.url))
    assert (version.state, version.attempt, bundle.asked) == (VersionState.BUILD_FAILED, 4, 4)
    # a run before the moment that the store recorded would find nothing to do, and be a fifth
    named = re.findall(rf"tasks\.build\[(\S+)\] .*version 1 of {re.escape(app)}", fleet.outputs())
    (task_id,) = set(named)
    received = f"Task tasks.build[{task_id}] received"
    assert fleet.outputs().count(received) == 4


@pytest.fixture
def busy(own_fleet: Fleet) -> Iterator[Bundle]:
    """A build that holds the only slot of a fleet until it is released."""
    own_fleet.start(slots=1, beat=False)  # without hints from the reconciler
    bundle = own_fleet.bundles.add()
    bundle.hold()
    own_fleet.deploy("busy.example.com", bundle.url)
    eventually("the slot is taken", lambda: bundle.asked)
    yield bundle
    bundle.release()


def test_a_users_deploy_overtakes_rebuilds_and_nothing_waits_in_a_busy_worker(
    own_fleet: Fleet, busy: Bundle
) -> None:
    with Celery(broker=own_fleet.broker_url, set_as_current=False) as client:
        for app, queue in (("rebuild.example.com", Queue.BULK_BUILDS), ("user.example.com", Queue.BUILDS)):
            own_fleet.record(app, own_fleet.bundles.add().url)
            client.send_task("tasks.build", kwargs={"app": app, "version": 1}, queue=queue)
        reserved = client.control.inspect(timeout=2, limit=1, destination=["build@fleet"]).reserved()
    assert reserved == {"build@fleet": []}
    with own_fleet.redis.client(own_fleet.broker_db) as broker:
        assert (broker.llen(Queue.BUILDS), broker.llen(Queue.BULK_BUILDS)) == (1, 1)
    busy.release()
    rebuild, user = (
        own_fleet.wait_until_final(VersionRef(f"{name}.example.com", 1)) for name in ("rebuild", "user")
    )
    assert user.steps[0].started_at_ms < rebuild.steps[0].started_at_ms


def test_a_broken_store_is_told_to_the_caller_without_what_was_asked(fleet: Fleet, app: str) -> None:
    with fleet.redis.client(fleet.store_db) as store:
        store.set(Keys("galaxy").app(app), "no hash")
    (answer,) = fleet.call(deploy_call(app, fleet.bundles.add(query="canary")))
    assert answer["error"] == "StoreError"
    assert "canary" not in answer["text"]
