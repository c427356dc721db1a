"""A Redis that hangs, dies or is full while builds print: real workers, a real engine."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from galaxy.bootstrap import Pipeline
from galaxy.domain.heartbeats import RECONCILE
from galaxy.domain.models import VersionRef
from galaxy.domain.states import VersionState
from galaxy.settings import Settings
from tests.support.fleet import Fleet, RedisWithPassword, eventually
from tests.support.stores import BY_BOB

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import docker

    from tests.support.fleet import Around


#: A renewal of the lease, a look whether to go on, and the removal.
GONE_S = 3


def talk(lines: int) -> str:
    """Prints a number about every 15 ms."""
    return f"for ((i = 0; i < {lines}; i++)); do echo $i; sleep 0.01; done"


def numbers(fleet: Fleet, ref: VersionRef, attempt: int) -> list[int]:
    """What the log has of the printed numbers of an attempt."""
    settings = Settings(logs_url=SecretStr(fleet.env["GALAXY_LOGS_URL"]))
    return [
        int(line.text)
        for page in Pipeline(settings).logs.pages(ref.app)
        for line in page.lines
        if line.attempt == attempt and line.text.isdecimal()
    ]


def sentences(fleet: Fleet, app: str) -> list[str]:
    """What the log has of the app's deploys."""
    settings = Settings(logs_url=SecretStr(fleet.env["GALAXY_LOGS_URL"]))
    lines = [line.text for page in Pipeline(settings).logs.pages(app) for line in page.lines]
    return [line for line in lines if "deployed version 1" in line]


def last_line(fleet: Fleet, app: str) -> str:
    settings = Settings(logs_url=SecretStr(fleet.env["GALAXY_LOGS_URL"]))
    return Pipeline(settings).logs.tail(app, 1).lines[0].text


@contextmanager
def full(redis: RedisWithPassword) -> Iterator[None]:
    """Redis takes no writes."""
    with redis.client(0) as client:
        client.config_set("maxmemory", 1)
        yield
        client.config_set("maxmemory", 0)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisWithPassword]:
    """A server of this test alone, with an append-only file."""
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisWithPassword(folder, persistent=True)
    yield server
    server.kill()


def test_a_build_goes_on_and_loses_no_line_while_the_redis_of_the_logs_hangs_is_full_or_dies(
    around_fleets: Around, redis: RedisWithPassword, tmp_path: Path, app: str
) -> None:
    fleet = Fleet(around_fleets, tmp_path, 2, GALAXY_LOGS_URL=redis.url(0))
    fleet.start()
    try:
        ref = fleet.deploy(app, fleet.bundles.add(talk(400)).url)
        eventually("it prints", lambda: len(numbers(fleet, ref, 1)) > 10)
        redis.freeze()
        time.sleep(2.5)  # longer than a command may take
        redis.thaw()
        seen = len(numbers(fleet, ref, 1))
        eventually("lines come again", lambda: len(numbers(fleet, ref, 1)) > seen)
        with full(redis):
            time.sleep(0.5)
        redis.kill()
        redis.start()
        version = fleet.wait_until_final(ref)
        assert (version.state, version.attempt) == (VersionState.ACTIVE, 1), version.failure
        assert numbers(fleet, ref, 1) == [*range(400)]
    finally:
        fleet.stop()


def test_the_container_of_a_cancelled_build_is_gone_soon_while_the_redis_of_the_logs_hangs(
    around_fleets: Around,
    docker_api: docker.APIClient,
    redis: RedisWithPassword,
    tmp_path: Path,
    app: str,
) -> None:
    # all that is printed has to be kept, so what waits reaches its limit
    fleet = Fleet(
        around_fleets, tmp_path, 2, GALAXY_LOGS_URL=redis.url(0), GALAXY_LOG_ATTEMPT_MAX_BYTES="1000000000"
    )
    fleet.start()

    def containers() -> object:
        return docker_api.containers(all=True, filters={"name": f"{around_fleets.name}-build-{app}"})

    try:
        endless = f"echo 1; line={'x' * 1000}; while :; do echo $line; done"
        ref = fleet.deploy(app, fleet.bundles.add(endless).url)
        eventually("it prints", lambda: numbers(fleet, ref, 1))
        assert containers()
        redis.freeze()
        time.sleep(2)  # it prints more than can wait
        fleet.store.cancel(ref, BY_BOB)
        eventually("the container is gone", lambda: not containers(), GONE_S)
        redis.thaw()
        why = f"Attempt 1 was stopped. Version {ref.number} of {app} was cancelled."
        eventually("the log says why", lambda: why in last_line(fleet, app))
    finally:
        redis.thaw()
        fleet.stop()


def test_a_version_reaches_its_end_although_the_store_was_full_for_longer_than_a_lease(
    around_fleets: Around, redis: RedisWithPassword, tmp_path: Path, app: str
) -> None:
    fleet = Fleet(around_fleets._replace(redis=redis), tmp_path, 0)
    fleet.start(slots=1)  # a slot that is lost for good is noticed
    try:
        ref = fleet.deploy(app, fleet.bundles.add(talk(150)).url)
        eventually("it prints", lambda: len(numbers(fleet, ref, 1)) > 10)
        with full(redis):
            time.sleep(1.5 * float(fleet.env["GALAXY_LEASE_S"]))
        version = fleet.wait_until_final(ref, timeout_s=60)
        assert version.state is VersionState.ACTIVE, version.failure
        assert numbers(fleet, ref, version.attempt) == [*range(150)]
        for attempt in range(1, version.attempt):
            told = numbers(fleet, ref, attempt)
            assert told == [*range(len(told))], "what there is of a lost attempt is in order, and once"
    finally:
        fleet.stop()


def test_deploys_go_on_while_the_redis_of_the_logs_hangs_and_are_told_when_it_is_back(
    around_fleets: Around, redis: RedisWithPassword, docker_api: docker.APIClient, tmp_path: Path, app: str
) -> None:
    logs = RedisWithPassword(tmp_path)
    fleet = Fleet(around_fleets._replace(redis=redis), tmp_path, 0, GALAXY_LOGS_URL=logs.url(0))
    fleet.start()
    names = [f"{number}.{app}" for number in range(6)]
    try:
        eventually("the reconciler has run", lambda: RECONCILE in fleet.store.heartbeats())
        logs.freeze()
        took_s: list[float] = []
        for name in names:
            began = time.monotonic()
            # no build ends while the logs are away: that would take its own time
            fleet.deploy(name, fleet.bundles.add("sleep 1000").url)
            took_s.append(time.monotonic() - began)
        age_s = fleet.store.heartbeats()[RECONCILE].age_s
        logs.thaw()
        told = eventually(
            "all logs tell of their deploys",
            lambda: all(found := [sentences(fleet, it) for it in names]) and found,
        )
        for name in names:
            fleet.store.cancel(VersionRef(name, 1), BY_BOB)
        ours = {"name": around_fleets.name}
        eventually("its containers are gone", lambda: not docker_api.containers(all=True, filters=ours))
    finally:
        fleet.stop()
        logs.stop()
    assert max(took_s) < 5, "two seconds for a Redis that hangs, and the client's own start"
    assert sum(took_s) < 3 * len(names), "not each of them waits"
    assert age_s < 5
    assert [len(sentences) for sentences in told] == [1] * len(names)
