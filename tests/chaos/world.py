"""Everything that a run needs, as real processes of its own: Redis, a registry, an engine, bundles, the pipeline."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import docker
from docker.errors import DockerException
from docker.utils import kwargs_from_env
from requests.exceptions import RequestException

from galaxy.bootstrap import Pipeline
from galaxy.settings import Settings
from tests.chaos.crew import BEAT, BUILD, CONTROL, Crew
from tests.chaos.facts import Timing
from tests.chaos.runs import BASE_IMAGE, BundleServer
from tests.chaos.traffic import Traffic
from tests.support.base_images import BaseImages, remove_images
from tests.support.bundles import reachable_from_containers
from tests.support.docker_registry import RegistryProcess
from tests.support.fleet import RedisWithPassword, eventually
from tests.support.own_engine import OwnEngine, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

TIMING: Final = Timing(lease_s=4, reconcile_s=1, reap_s=2, allowance_s=5)

_BROKER_DB, _STORE_DB, _LOGS_DB = range(3)
_OPTIONS: Final = {
    "LEASE_S": f"{TIMING.lease_s:g}",
    "RECONCILE_PERIOD_S": f"{TIMING.reconcile_s:g}",
    "REAP_PERIOD_S": f"{TIMING.reap_s:g}",
    "REQUEUE_AFTER_S": "2",
    "RETRY_BACKOFF_S": "1",
    "RETRY_BACKOFF_MAX_S": "4",
    "BUILD_TIMEOUT_S": "60",
    "BUILD_NETWORK": "bridge",
    "LOG_ATTEMPT_MAX_BYTES": "400000",  # so that the loud scripts print more than is kept
}


class World:
    """See `world`, which makes and ends it.

    Attributes:
        own_engine: None when the machine's engine has to do.
        base_images: Ids of the images that the run's base image is made of.
        keep: Leaves the output of all processes in `folder`.
    """

    broker_db: Final = _BROKER_DB
    store_db: Final = _STORE_DB
    logs_db: Final = _LOGS_DB
    timing: Final = TIMING

    def __init__(self, folder: Path, rng: Random, *, workers: int, apps: int) -> None:
        self.folder = folder
        self.keep = False
        self.name = f"chaos-{uuid4().hex[:12]}"
        self._ends = ExitStack()
        try:
            self._start(rng, workers=workers, apps=apps)
        except BaseException:
            self._ends.close()
            raise

    def _start(self, rng: Random, *, workers: int, apps: int) -> None:
        self.own_engine = self._engine()
        self.docker = _client(self.own_engine)
        self._ends.callback(self.docker.close)
        address = self.own_engine.address if self.own_engine else reachable_from_containers(self.docker)
        self.registry = RegistryProcess(self._made("registry"), address if self.own_engine else "127.0.0.1")
        self._ends.callback(self.registry.kill)
        self.redis = RedisWithPassword(self._made("redis"), persistent=True)
        self._ends.callback(self.redis.stop)
        self.bundles = BundleServer(address, self._name_of)
        self._ends.callback(self.bundles.close)
        base = self._base_image()
        env = self._env(base)
        self.settings = Settings.model_validate(
            {key.removeprefix("GALAXY_").lower(): value for key, value in env.items()}
        )
        self.pipeline = Pipeline(self.settings)
        self.traffic = Traffic(self.pipeline, self.bundles, rng, apps)
        self.crew = Crew(env | self._docker_host(), self._made("output"))
        self._ends.callback(self.crew.stop)
        for role in (*(BUILD,) * workers, CONTROL, BEAT, BEAT):
            self.crew.add(role)
        for member in self.crew.members:
            eventually(f"{member.name} is ready", partial(getattr, member, "ready"))

    def running(self) -> set[str]:
        """The hostnames of the containers that run now."""
        return {container["Id"][:12] for container in self.docker.containers()}

    def close(self) -> None:
        self._ends.close()

    def _engine(self) -> OwnEngine | None:
        if why_not():
            return None
        engine = OwnEngine(self._made("engine"))
        self._ends.callback(engine.stop)
        return engine

    def _base_image(self) -> str:
        images = BaseImages(self.docker, self.name)
        if self.own_engine is None:
            self._ends.callback(images.remove_all)
            self._ends.callback(remove_images, self.docker, f"{self.registry.registry.authority}/")
            self._ends.callback(self._remove_containers)
        repository = f"{self.name}/base"
        images.publish(images.build(BASE_IMAGE), f"{self.registry.registry.authority}/{repository}", "1")
        self.base_images = {image["Id"] for image in self.docker.images(self.name)}
        return f"{repository}:1"

    def _env(self, base: str) -> dict[str, str]:
        registry = self.registry.registry
        own = {
            "BROKER_URL": self.redis.url(_BROKER_DB),
            "STORE_URL": self.redis.url(_STORE_DB),
            "LOGS_URL": self.redis.url(_LOGS_DB),
            "REGISTRY": registry.authority,
            "DOCKER_HUB_MIRROR": registry.url,
            "DEFAULT_BASE_IMAGE": base,
            "NAME": self.name,
            "KEY_PREFIX": self.name,
        }
        return {f"GALAXY_{name}": value for name, value in {**_OPTIONS, **own}.items()}

    def _docker_host(self) -> dict[str, str]:
        return {"DOCKER_HOST": self.own_engine.url} if self.own_engine else {}

    def _name_of(self, container: str) -> str:
        try:
            return str(self.docker.inspect_container(container)["Name"]).removeprefix("/")
        except (DockerException, RequestException, OSError):
            return ""

    def _remove_containers(self) -> None:
        """With their volumes."""
        for container in self.docker.containers(all=True, filters={"name": self.name}):
            self.docker.remove_container(container["Id"], force=True, v=True)
        for volume in self.docker.volumes(filters={"name": self.name})["Volumes"] or ():
            self.docker.remove_volume(volume["Name"])

    def _made(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        return folder


@contextmanager
def world(rng: Random, *, workers: int = 2, apps: int = 4) -> Iterator[World]:
    """A world with everything started, and nothing deployed yet."""
    # the paths of unix sockets have to be short
    folder = Path(tempfile.mkdtemp(prefix="chaos-", dir="/tmp"))
    here = World(folder, rng, workers=workers, apps=apps)
    try:
        yield here
    finally:
        here.close()
        shutil.rmtree(folder / ("engine" if here.keep else ""), ignore_errors=True)


def _client(engine: OwnEngine | None) -> docker.APIClient:
    options = {"base_url": engine.url} if engine else kwargs_from_env()
    return docker.APIClient(**options, version="auto", timeout=60)
