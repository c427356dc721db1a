"""What a worker serves unasked, and what kombu makes of how long a message may stay away."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery

from galaxy.settings import Settings
from workers.serving import add_companion_queues, shorten_visibility_timeout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RedisServer

LONG_S = 2 * Settings.model_fields["build_timeout_s"].default
SOON_S = Settings.model_fields["redeliver_after_s"].default


@contextmanager
def worker(server: RedisServer, queues: str) -> Iterator[Celery]:
    """A worker's app, as it is when the worker is about to connect."""
    with Celery("galaxy", broker=f"redis+socket://{server.socket}", set_as_current=False) as app:
        app.config_from_object("celeryconfig")
        app.conf.broker_url = f"redis+socket://{server.socket}"
        app.amqp.queues.select(queues.split(","))
        instance: Any = SimpleNamespace(app=app)
        add_companion_queues(instance)
        shorten_visibility_timeout(instance)
        yield app


def channel_of(app: Celery) -> dict[str, Any]:
    """What decides about lost messages, where kombu looks it up."""
    names = (
        "visibility_timeout", "unacked_key", "unacked_index_key", "unacked_mutex_key", "unacked_mutex_expire",
        "unacked_restore_interval", "unacked_restore_throttle", "queue_order_strategy",
    )  # fmt: skip
    with app.connection_for_read() as connection:
        channel: Any = connection.channel()
        return {name: getattr(channel, name) for name in names}


@pytest.mark.parametrize("queues", ["control,base-images,rollouts", "rollouts"])
def test_what_a_worker_without_builds_keeps_is_given_to_another_one_soon(
    redis_server: RedisServer, queues: str
) -> None:
    with worker(redis_server, queues) as app:
        channel = channel_of(app)
    assert channel["visibility_timeout"] == channel["unacked_mutex_expire"] == SOON_S
    looks_every_s = channel["unacked_restore_interval"] * channel["unacked_restore_throttle"]
    assert looks_every_s <= SOON_S / 4
    keys = [channel[name] for name in channel if name.endswith("_key")]
    assert len({*keys, "unacked", "unacked_index", "unacked_mutex"}) == 6
    assert all(key.startswith("unacked") for key in keys), (
        "users of Redis may read names that begin like this"
    )
    assert channel["queue_order_strategy"] == "priority"


@pytest.mark.parametrize("queues", ["builds,builds.bulk", "builds.bulk", "control,builds"])
def test_builds_are_left_to_whoever_has_them(redis_server: RedisServer, queues: str) -> None:
    with worker(redis_server, queues) as app:
        channel = channel_of(app)
    assert (channel["visibility_timeout"], channel["unacked_key"]) == (LONG_S, "unacked")


@pytest.mark.parametrize(
    "told",
    ["control,base-images,rollouts", "base-images,control,rollouts", "base-images,rollouts,celery,control"],
)
def test_control_workers_serve_the_reconciler_first_and_clients_that_were_told_no_queue(
    redis_server: RedisServer, told: str
) -> None:
    with worker(redis_server, told) as app:
        served = [*app.amqp.queues.consume_from]
    assert served == ["reconcile", "control", "celery", "base-images", "rollouts"]


def test_who_serves_no_control_serves_what_it_was_told(redis_server: RedisServer) -> None:
    with worker(redis_server, "rollouts,base-images") as app:
        assert [*app.amqp.queues.consume_from] == ["rollouts", "base-images"]
