"""Whole builds through a real worker, from the deploy to the recorded digest, against the bare SDK sequence."""

from __future__ import annotations

import os
import tarfile
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import urlsplit
from uuid import uuid4

import docker
from docker.errors import DockerException
from docker.utils import kwargs_from_env

from bench import sdk_build
from bench.fleet import Fleet, fleet
from bench.measure import CannotRun, Result, in_pairs
from galaxy.domain.image_reference import ImageReference
from galaxy.domain.models import VersionRef
from galaxy.domain.states import Step, VersionState
from galaxy.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

GOAL: Final = 1.15
#: On a busy machine single pairs scatter from half to double; fewer of them let the median miss by chance.
PAIRS: Final = 21

#: Fixed, so that repeated runs overwrite the same tags in the registry.
_OURS: Final = "ours.build-overhead.bench"
_FLOOR: Final = "floor.build-overhead.bench"
_BUNDLE: Final = Path(__file__).parent.parent / "examples" / "bundles" / "hello" / "bundle"
_ON_THE_WAY: Final = (VersionState.QUEUED, VersionState.BUILDING)
#: Looking takes time from the build that is looked at: so fine looks only towards its end.
_COARSE_POLL_S: Final = 0.005
_FINE_POLL_S: Final = 0.001
_BUILD_TIMEOUT_S: Final = 60


def run() -> Result:
    """Measures it.

    Raises:
        CannotRun: Redis, the engine, a registry or the served folder is missing, or a build failed.
    """
    settings = Settings()
    apps = f"{settings.registry}/apps"
    with ExitStack() as stack:
        bundle_url = stack.enter_context(_served_bundle())
        api = stack.enter_context(_engine())
        # before the fleet, because its worker ends the build that it is at
        stack.enter_context(_images_removed(api, f"{apps}/{_OURS}", f"{apps}/{_FLOOR}"))
        ours = _Ours(stack.enter_context(fleet()), bundle_url)
        floor = _Floor(api, settings, bundle_url)
        pairs = in_pairs(ours.build_s, floor.build_s, pairs=PAIRS)
    return Result("build_overhead", GOAL, pairs)


@dataclass(frozen=True)
class _Ours:
    """Deploys, and waits for the digest to be recorded."""

    fleet: Fleet
    bundle_url: str

    def build_s(self) -> float:
        """Builds once; returns the seconds that it took."""
        began = time.perf_counter()
        deployed = self.fleet.pipeline.releases.deploy(
            app=_OURS, settings="{}", bundle_url=self.bundle_url, deployed_by="bench"
        )
        ref = VersionRef(deployed.app, deployed.version)
        key = self.fleet.pipeline.keys.version(*ref)
        while True:
            state, step, digest = self.fleet.store.hmget(key, "state", "step", "image_digest")
            if digest:
                return time.perf_counter() - began
            if state not in _ON_THE_WAY or time.perf_counter() - began > _BUILD_TIMEOUT_S:
                self._give_up(ref)
            time.sleep(_FINE_POLL_S if step == Step.PUSH else _COARSE_POLL_S)

    def _give_up(self, ref: VersionRef) -> NoReturn:
        self.fleet.assert_alive()
        version = self.fleet.pipeline.store.version(ref)
        raise CannotRun(f"The build of {ref} is {version.state}. {version.failure or 'It took too long.'}")


@dataclass
class _Floor:
    """Builds from the same base image and bundle into the same registry."""

    api: docker.APIClient
    settings: Settings
    bundle_url: str
    builds: int = 0

    def build_s(self) -> float:
        """Builds once; returns the seconds that it took."""
        base = ImageReference.parse(self.settings.default_base_image)
        mirror = urlsplit(self.settings.docker_hub_mirror or "").netloc
        self.builds += 1
        began = time.perf_counter()
        sdk_build.build(
            self.api,
            base=f"{mirror or 'docker.io'}/{base.repository}:{base.tag}",
            bundle_url=self.bundle_url,
            image=f"{self.settings.registry}/apps/{_FLOOR}:{self.builds}",
        )
        return time.perf_counter() - began


@contextmanager
def _served_bundle() -> Iterator[str]:
    """The sample bundle, where build containers can download it."""
    try:
        folder, url = Path(os.environ["GALAXY_BUNDLES_DIR"]), os.environ["GALAXY_BUNDLES_URL"]
    except KeyError as error:
        raise CannotRun(f"{error} is not set: `make bench` does, or `make up` and `make env`.") from error
    name = f"bench-{uuid4().hex[:8]}.tar.gz"
    with tarfile.open(folder / name, "w:gz") as archive:
        for path in sorted(_BUNDLE.iterdir()):
            archive.add(path, path.name)
    try:
        yield f"{url.rstrip('/')}/{name}"
    finally:
        (folder / name).unlink()


@contextmanager
def _engine() -> Iterator[docker.APIClient]:
    """A client, and the images that it made removed at the end."""
    try:
        with closing(docker.APIClient(**kwargs_from_env(), version="auto", timeout=_BUILD_TIMEOUT_S)) as api:
            yield api
    except DockerException as error:
        raise CannotRun(f"The engine could not do its part: {error}") from error


@contextmanager
def _images_removed(api: docker.APIClient, *repositories: str) -> Iterator[None]:
    try:
        yield
    finally:
        for repository in repositories:
            for image in api.images(repository):
                api.remove_image(image["Id"], force=True)
