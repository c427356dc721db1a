"""Fixtures around the real engine and registry; whatever is missing skips at home and fails in CI."""

from __future__ import annotations

import gc
import warnings
from typing import TYPE_CHECKING
from uuid import uuid4

import docker
import pytest
from docker.errors import DockerException
from docker.utils import kwargs_from_env

from tests.conftest import unavailable
from tests.support.base_images import BASH, BUSYBOX, BaseImages, remove_images
from tests.support.docker_registry import DockerRegistry, docker_registry
from tests.support.engines import DockerUnderTest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def app_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    """One real registry for all tests that need one; they keep apart by repository."""
    with docker_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(scope="session")
def docker_api() -> Iterator[docker.APIClient]:
    """A client of the machine's engine."""
    api = _connected()
    if api is None:
        unavailable("no Docker engine answers")
    yield api
    api.close()


@pytest.fixture(scope="session")
def run_name() -> str:
    """First part of the names of this run's containers and images."""
    return f"galaxy-test-{uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def base_images(docker_api: docker.APIClient, run_name: str) -> Iterator[BaseImages]:
    """Makes base images on the machine's engine."""
    for program in (BASH, BUSYBOX):
        if not program.exists():
            unavailable(f"{program} is not installed")
    images = BaseImages(docker_api, run_name)
    yield images
    images.remove_all()


@pytest.fixture(scope="session")
def docker_under_test(
    docker_api: docker.APIClient, base_images: BaseImages, app_registry: DockerRegistry, run_name: str
) -> Iterator[DockerUnderTest]:
    """The machine's engine. The run ends by asserting that no container or volume of it is left."""
    yield DockerUnderTest(docker_api, base_images, app_registry)
    remove_images(docker_api, f"{app_registry.authority}/")
    left = docker_api.containers(all=True, filters={"name": run_name})
    assert left == [], "containers were left behind"
    volumes = docker_api.volumes(filters={"name": run_name})["Volumes"] or []
    assert volumes == [], "volumes were left behind"


def _connected() -> docker.APIClient | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the SDK forgets a socket that it could not connect
        try:
            return docker.APIClient(**kwargs_from_env(), version="auto", timeout=60)
        except DockerException:
            pass
        gc.collect()
    return None
