"""The reconciler keeps its pace, whatever else the control workers have to do; beat and a worker as processes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import pytest
from celery import Celery

from galaxy.domain.fleet import Queue
from galaxy.domain.heartbeats import RECONCILE
from tests.support.bundles import Bundles
from tests.support.fleet import Around, Fleet, RedisWithPassword

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Four times the reconciler's period, and some patience with a busy machine.
PACE_S: Final = 2.0
DEPLOYS: Final = 600


@pytest.fixture
def fleet(redis_server: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Nothing started yet, and nobody to build."""
    del redis_server  # only asked for because it skips where there is none
    redis = RedisWithPassword(tmp_path_factory.mktemp("pace-redis"))
    around = Around(redis, "registry.invalid", "none:1", Bundles("bundles.invalid"), "galaxy-pace")
    fleet = Fleet(around, tmp_path_factory.mktemp("pace"), 0)
    yield fleet
    fleet.stop()
    redis.stop()


def test_a_long_queue_of_deploys_does_not_hold_up_the_reconciler(fleet: Fleet) -> None:
    with Celery(broker=fleet.broker_url, set_as_current=False) as client:
        for number in range(DEPLOYS):
            kwargs = {
                "app": f"www{number}.example.com",
                "settings": {},
                "bundle_url": "https://bundles.example.com/x.tgz",
            }
            client.send_task("tasks.deploy", kwargs=kwargs, queue=Queue.CONTROL, ignore_result=True)
    fleet.celery("beat", "beat", "-l", "info").wait_for("beat: Starting")
    time.sleep(PACE_S)  # heartbeats wait as well: those of a moment in which no worker was there
    fleet.worker("control", "control,base-images,rollouts", 1).wait_for("ready.")

    ready_at = time.monotonic()
    ages: list[float] = []
    with fleet.redis.client(fleet.broker_db) as broker:
        while broker.llen(Queue.CONTROL):
            heartbeat = fleet.store.heartbeats().get(RECONCILE)
            ages.append(heartbeat.age_s if heartbeat else time.monotonic() - ready_at)
            time.sleep(0.05)
    assert len(ages) > 10, "the deploys were done too soon to hold up anybody"
    assert max(ages) < PACE_S
