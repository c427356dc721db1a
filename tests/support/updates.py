"""Base images and their dependents with a real store, a registry whose tags tests move, and a queue that they empty."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, cast

from fakeredis import FakeRedis
from redis import ConnectionPool, Redis, UnixDomainSocketConnection

from galaxy.adapters.logs.stream import LogStream
from galaxy.adapters.logs.writer import LogWriter
from galaxy.adapters.registry import Manifest
from galaxy.adapters.registry.manifest import OCI_INDEX, OCI_MANIFEST, PlatformManifest
from galaxy.adapters.store.base_images import BaseImageStore
from galaxy.adapters.store.dependents import DependentStore
from galaxy.adapters.store.keys import Keys
from galaxy.adapters.store.updates import UpdateStore
from galaxy.domain.base_images.image_reference import ImageReference
from galaxy.domain.base_images.updates import Compare, Waves
from galaxy.domain.errors import BaseImageNotFound, RegistryDenied
from galaxy.domain.models import Attempt, BuiltImage, VersionRef
from galaxy.domain.states import Step, VersionState
from galaxy.services.announcer import Announcer
from galaxy.services.base_images import BaseImages
from galaxy.services.fan_out import FanOut
from galaxy.services.logbook import Logbook
from galaxy.services.rebuilds import Rebuilds
from galaxy.services.snapshots import Platforms, SnapshotReader
from galaxy.services.throttled_registry import ThrottledRegistry
from galaxy.settings import Settings
from tests.support.fake_redis import same_server
from tests.support.stores import RAINED, deploy, make_store

if TYPE_CHECKING:
    from galaxy.adapters.queue import TaskQueue
    from galaxy.adapters.registry import RegistryClient
    from galaxy.domain.base_images.fan_out import NewVersionCall
    from galaxy.domain.models import Version

IMAGE = "docker.io/meteor/galaxy-app:latest"


def digest(name: str) -> str:
    return f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


class Tags:
    """A registry. `put` moves a tag; `fault`: what every call raises; `denied`: digests that are refused; `asked`."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.denied: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        self._tags: dict[str, str] = {}
        self._manifests: dict[str, Manifest] = {}

    def put(self, name: str, image: str = IMAGE) -> str:
        """A tag now points to a single image."""
        return self._put(image, Manifest(OCI_MANIFEST, digest(name), b""))

    def put_index(self, name: str, ours: str, image: str = IMAGE) -> str:
        """A tag now points to an index that holds this image for our platform."""
        images = (PlatformManifest("linux", "amd64", "", digest(ours)),)
        return self._put(image, Manifest(OCI_INDEX, digest(name), b"", images))

    def resolve(self, reference: ImageReference, **_: object) -> str:
        self._ask("HEAD", reference)
        if reference.canonical not in self._tags:
            raise BaseImageNotFound(f"There is no image {reference}.")
        return self._tags[reference.canonical]

    def manifest(self, reference: ImageReference) -> Manifest:
        self._ask("GET", reference)
        if reference.digest in self.denied:
            raise RegistryDenied(f"Access to {reference} was refused.")
        if reference.digest not in self._manifests:
            raise BaseImageNotFound(f"There is no image {reference}.")
        return self._manifests[reference.digest]

    def _put(self, image: str, manifest: Manifest) -> str:
        self._tags[image] = manifest.digest
        self._manifests[manifest.digest] = manifest
        return manifest.digest

    def _ask(self, method: str, reference: ImageReference) -> None:
        self.asked.append((method, str(reference)))
        if self.fault:
            raise self.fault


class Messages:
    """The queues. Nothing is done before a test takes the messages out; those that it drops are lost."""

    def __init__(self) -> None:
        self.builds: list[VersionRef] = []
        self.rebuilds: list[VersionRef] = []
        self.fan_outs: list[tuple[str, int]] = []
        self.calls: list[tuple[str, int, NewVersionCall]] = []
        self.away: Exception | None = None

    def build(self, ref: VersionRef, *, retries: int = 0, automatic: bool = False) -> None:  # noqa: ARG002 - as TaskQueue
        self._fail_if_away()
        (self.rebuilds if automatic else self.builds).append(ref)

    def roll_out(self, ref: VersionRef) -> None:
        """The tests of updates roll out themselves."""

    def fan_out(self, image: str, update: int) -> None:
        self._fail_if_away()
        self.fan_outs.append((image, update))

    def new_versions(self, image: str, update: int, calls: list[NewVersionCall]) -> None:
        self._fail_if_away()
        self.calls += [(image, update, call) for call in calls]

    def _fail_if_away(self) -> None:
        if self.away:
            raise self.away


def _raw_client(redis: Redis) -> Redis:
    """A client of the same server that does not decode."""
    if isinstance(redis, FakeRedis):
        return same_server(redis)
    path = redis.connection_pool.connection_kwargs["path"]
    return Redis(connection_pool=ConnectionPool(connection_class=UnixDomainSocketConnection, path=path))


class Harbour:
    """All parts, and the shortest way from a moved tag to what came of it."""

    def __init__(
        self,
        redis: Redis,
        prefix: str,
        registry: RegistryClient | None = None,
        **options: Any,  # noqa: ANN401 - of Settings
    ) -> None:
        given: dict[str, Any] = {
            "base_image_poll_s": 0.001,
            "update_waves": "100%",
            "registry_requests_per_s": 10**6,
        }
        self.settings = settings = Settings(**{**given, **options})
        self.redis, self.keys = redis, Keys(prefix)
        self.store = make_store(redis, prefix)
        self.tags, self.queue = Tags(), Messages()
        self._logs_redis = _raw_client(redis)
        self.logs = LogStream(self._logs_redis, self.keys, retention_s=3600, max_bytes=10**7)
        self.announcer = Announcer(self.store, Logbook(self.logs, LogWriter, attempt_max_bytes=10**6))
        queue, registry = cast("TaskQueue", self.queue), registry or cast("RegistryClient", self.tags)
        self.registry = registry
        rate = settings.registry_requests_per_s
        self.images = BaseImageStore(redis, self.keys, lease_s=60, requests_per_s=rate)
        self.dependents = DependentStore(redis, self.keys)
        self.updates = UpdateStore(
            redis, self.keys, in_flight=settings.bulk_builds_in_flight, requeue_after_s=60
        )
        self.registries = ThrottledRegistry(registry, self.images)
        platforms = Platforms(self.images, self.registries, settings.build_platform)
        self.snapshots = SnapshotReader(self.dependents, platforms, Compare(settings.base_image_compare))
        self.rebuilds = Rebuilds(self.updates, self.dependents, self.snapshots, queue, self.announcer)
        self.fan_out = FanOut(
            self.updates,
            self.snapshots,
            queue,
            waves=Waves.parse(settings.update_waves),
            failure_allowance=settings.update_failure_allowance,
        )
        self.base_images = BaseImages(
            store=self.images,
            dependents=self.dependents,
            updates=self.updates,
            heartbeats=self.store,
            registry=registry,
            platforms=platforms,
            snapshots=self.snapshots,
            rebuilds=self.rebuilds,
            settings=settings,
            sleep=lambda _: None,
        )

    def close(self) -> None:
        self._logs_redis.close()
        self._logs_redis.connection_pool.disconnect()

    # -- what happens

    def check(self, image: str = IMAGE) -> None:
        """Asks the registry now."""
        self.base_images.check(image)

    def deploy(self, app: str) -> VersionRef:
        return deploy(self.store, app)

    def pull(self, ref: VersionRef, base_digest: str | None = None) -> Attempt:
        """Begins an attempt, as far as the base image."""
        attempt = self.store.claim(ref)
        assert isinstance(attempt, Attempt), attempt
        found = attempt.wanted_digest or base_digest or self.registry.resolve(ImageReference.parse(IMAGE))
        self.store.record_progress(attempt, step=Step.PULL, base_digest=found)
        return attempt

    def finish(self, attempt: Attempt) -> None:
        """Makes what was pulled active."""
        used = self.store.version(attempt.ref).base_digest
        assert used
        built = BuiltImage(image="registry.test/apps/x:1", image_digest=digest("app"), base_digest=used)
        assert self.store.finish(attempt, built, ()) is None
        self.store.begin_rollout(attempt.ref)
        self.store.activate(attempt.ref)

    def fail(self, ref: VersionRef) -> None:
        """All attempts fail."""
        for _ in range(4):
            self.store.fail(self.pull(ref), RAINED, retry_in_s=0, steps=())

    def run_app(self, app: str) -> VersionRef:
        """A person's version of the app is active."""
        ref = self.deploy(app)
        self.finish(self.pull(ref))
        return ref

    # -- what the fleet does

    def make(self, image: str, update: int, call: NewVersionCall) -> None:
        self.rebuilds.make(image, update, [call])

    def deliver(self) -> None:
        """Takes all messages of the control workers out of their queue, and what follows, until there are none."""
        self.rebuilds.catch_up()
        while self.queue.fan_outs or self.queue.calls:
            while self.queue.calls:
                self.make(*self.queue.calls.pop(0))
            if self.queue.fan_outs:
                self.fan_out.run(*self.queue.fan_outs.pop(0))

    def settle(self, *, failing: frozenset[str] = frozenset()) -> None:
        """Everything runs until nothing is left to do: messages, admissions, builds. Some apps' builds fail."""
        self.deliver()
        while self.queue.rebuilds:
            ref = self.queue.rebuilds.pop(0)
            if self.store.version(ref).state is not VersionState.QUEUED:
                continue
            if ref.app in failing:
                self.fail(ref)
            else:
                self.finish(self.pull(ref))
            self.deliver()

    # -- what came of it

    def versions(self, app: str) -> list[Version]:
        """Oldest first."""
        return self.store.versions(app)[::-1]

    def automatic(self, app: str) -> list[Version]:
        return [version for version in self.versions(app) if version.automatic]

    def active(self, app: str) -> Version:
        number = self.store.active_version(app)
        assert number
        return self.store.version(VersionRef(app, number))

    def log(self, app: str) -> str:
        self.announcer.announce_all()
        return "\n".join(line.text for line in self.logs.tail(app, 1000).lines)
