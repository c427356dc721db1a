"""Redis crashes, is restarted or drops its connections: every process comes back by itself, and builds go on."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from galaxy.domain.states import VersionState
from tests.support.fleet import Fleet, Flower, RedisWithPassword, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.fleet import Around

SOON_S = 15.0


@pytest.fixture(scope="module")
def shaken(around_fleets: Around, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet with a Redis of its own, which keeps its data as in production."""
    redis = RedisWithPassword(tmp_path_factory.mktemp("shaken-redis"), persistent=True)
    around = around_fleets._replace(redis=redis)
    # the lease outlives each fault here: a build that is begun again would hide that it was interrupted
    fleet = Fleet(around, tmp_path_factory.mktemp("shaken"), 0, GALAXY_LEASE_S="20")
    fleet.start(slots=2)
    yield fleet
    fleet.stop()
    redis.stop()


@pytest.fixture(scope="module")
def watching(shaken: Fleet) -> Iterator[Flower]:
    flower = Flower(shaken)
    yield flower
    flower.close()


def crash(redis: RedisWithPassword) -> None:
    redis.kill()
    redis.start()


def restart(redis: RedisWithPassword) -> None:
    redis.shut_down()
    redis.start()


def drop_connections(redis: RedisWithPassword) -> None:
    with redis.client(0) as client:
        assert client.client_kill_filter(_type="normal")


def drop_subscriptions(redis: RedisWithPassword) -> None:
    with redis.client(0) as client:
        assert client.client_kill_filter(_type="pubsub")


@pytest.mark.parametrize("fault", [crash, restart, drop_connections, drop_subscriptions])
def test_builds_go_on_and_new_ones_begin(
    shaken: Fleet, watching: Flower, fault: Callable[[RedisWithPassword], None]
) -> None:
    app = f"{uuid4().hex}.example.com"
    bundle = shaken.bundles.add()
    bundle.hold()
    running = shaken.deploy(app, bundle.url)
    eventually("setup.sh runs", lambda: bundle.asked)

    fault(shaken.redis)
    bundle.release()

    version = shaken.wait_until_final(running, SOON_S)
    assert (version.state, version.attempt, bundle.asked) == (VersionState.ACTIVE, 1, 1)

    def shown() -> object:
        """Another build, because what happens while Flower is away it never sees."""
        new = shaken.deploy(f"{uuid4().hex}.example.com", shaken.bundles.add().url)
        assert shaken.wait_until_final(new, SOON_S).state is VersionState.ACTIVE
        return watching.task_of(new)

    eventually("Flower shows a new build", shown, SOON_S)
    with shaken.redis.client(shaken.broker_db) as broker:
        unacked = ("unacked", "unacked.control")
        eventually("every message is acknowledged", lambda: not any(map(broker.hlen, unacked)), SOON_S)
    assert shaken.ended() == []


def test_nobody_had_an_error_that_was_not_foreseen(shaken: Fleet) -> None:
    """After the tests above."""
    told = shaken.outputs()
    assert "Connection to broker lost" in told
    assert [
        bad for bad in ("Unrecoverable", "Error on ", "not_tidied", "AttributeError") if bad in told
    ] == []
