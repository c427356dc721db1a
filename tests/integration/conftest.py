"""Fixtures that start the fleet's processes."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.conftest import unavailable
from tests.support.base_images import remove_images
from tests.support.bundles import OBEDIENT, bundle_server, reachable_from_containers
from tests.support.fleet import Around, Fleet, Flower, RedisWithPassword
from tests.support.shut_in import operators_network

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    import docker

    from tests.support.base_images import BaseImages
    from tests.support.docker_registry import DockerRegistry


#: Characters of a fleet's output that are shown when a test fails that had the fleet.
_SHOWN = 6_000


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows with a failure what the processes of the test's fleets have said."""
    report = yield
    fleets = [each for each in getattr(item, "funcargs", {}).values() if isinstance(each, Fleet)]
    if report.failed:
        report.sections += [("what the fleet said", fleet.last_words(_SHOWN)) for fleet in fleets]
    return report


@pytest.fixture(scope="session")
def around_fleets(
    docker_api: docker.APIClient,
    base_images: BaseImages,
    app_registry: DockerRegistry,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Around]:
    """What all fleets share; ends by removing the containers and images of their builds."""
    if not shutil.which("redis-server"):
        unavailable("redis-server is not installed")
    name = f"galaxy-fleet-{uuid4().hex[:12]}"
    base = f"{app_registry.authority}/{name}/base"
    base_images.publish(base_images.build(OBEDIENT), base, "1")
    redis = RedisWithPassword(tmp_path_factory.mktemp("redis"))
    with bundle_server(reachable_from_containers(docker_api)) as bundles:
        yield Around(redis, app_registry.authority, f"{name}/base:1", bundles, name)
    redis.stop()
    for container in docker_api.containers(all=True, filters={"name": name}):
        docker_api.remove_container(container["Id"], force=True, v=True)
    for volume in docker_api.volumes(filters={"name": name})["Volumes"] or ():
        docker_api.remove_volume(volume["Name"])
    for repository in ("apps", name):
        remove_images(docker_api, f"{app_registry.authority}/{repository}/")


@pytest.fixture(scope="session")
def fleet(around_fleets: Around, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A whole fleet that tests may use and must not harm."""
    fleet = Fleet(around_fleets, tmp_path_factory.mktemp("fleet"), 0)
    fleet.start()
    yield fleet
    fleet.stop()


@pytest.fixture(scope="session")
def flower(fleet: Fleet) -> Iterator[Flower]:
    """The operators' view of `fleet`."""
    flower = Flower(fleet)
    yield flower
    flower.close()


@pytest.fixture
def own_fleet(around_fleets: Around, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet of this test alone, with nothing started yet."""
    fleet = Fleet(around_fleets, tmp_path_factory.mktemp("own-fleet"), 1)
    for database in (fleet.broker_db, fleet.store_db, fleet.logs_db):
        with around_fleets.redis.client(database) as client:
            client.flushdb()
    yield fleet
    fleet.stop()


@pytest.fixture
def build_network(docker_api: docker.APIClient) -> Iterator[str]:
    """A network of this test's on the engine, with the rules of production."""
    with operators_network() as name:
        yield name
    assert docker_api.networks(names=[f"^{name}$"]) == []


@pytest.fixture
def app() -> str:
    """The name of an app that no other test uses."""
    return f"{uuid4().hex}.example.com"
