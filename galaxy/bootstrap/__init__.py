"""The one place where things are put together."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache, cached_property, partial

from galaxy.adapters.addresses import addresses_of, own_addresses
from galaxy.adapters.engine.docker.disk_watch import DiskLimits
from galaxy.adapters.engine.docker.engine import DockerEngine
from galaxy.adapters.engine.docker.isolation import Isolation
from galaxy.adapters.engine.docker.probe import look_at_engine, look_at_registry
from galaxy.adapters.fingerprint import code_fingerprint
from galaxy.adapters.logs.writer import LogWriter
from galaxy.adapters.queue import TaskQueue
from galaxy.adapters.redis_client import BRIEF, COMMAND_TIMEOUT_S
from galaxy.adapters.redis_probe import look_at_redis, quick_redis
from galaxy.adapters.registry import RegistryClient
from galaxy.adapters.store.leader import LeaderLock
from galaxy.bootstrap.stores import Stores
from galaxy.domain.base_images.image_reference import ImageReference
from galaxy.domain.base_images.updates import Compare, Waves
from galaxy.domain.deploys.app_settings import DeployRules
from galaxy.services.announcer import Announcer
from galaxy.services.base_images import BaseImages
from galaxy.services.build import BuildStage
from galaxy.services.doctor import REQUEST_S, Doctor, Probes
from galaxy.services.fan_out import FanOut
from galaxy.services.logbook import Logbook
from galaxy.services.probe import IsolationProbe
from galaxy.services.queries import Queries
from galaxy.services.reaper import Reaper
from galaxy.services.rebuilds import Rebuilds
from galaxy.services.reconcile import Reconciler
from galaxy.services.releases import Releases
from galaxy.services.rollout import Rollout
from galaxy.services.snapshots import Platforms, SnapshotReader
from galaxy.services.throttled_registry import ThrottledRegistry
from galaxy.settings import current


@dataclass(frozen=True)
class Pipeline(Stores):
    """Services and adapters of one process; each is made when it is first used."""

    @cached_property
    def logbook(self) -> Logbook:
        """How services write to the apps' logs."""
        return Logbook(self._logs(BRIEF), LogWriter, attempt_max_bytes=self.settings.log_attempt_max_bytes)

    @cached_property
    def announcer(self) -> Announcer:
        """Writes what happened to versions into the apps' logs."""
        return Announcer(self.outbox, self.logbook)

    @cached_property
    def queue(self) -> TaskQueue:
        """The fleet's queues."""
        return TaskQueue(self.settings.broker_url.get_secret_value())

    @cached_property
    def engine(self) -> DockerEngine:
        """The container engine of this worker."""
        settings = self.settings
        isolation = Isolation(
            network=settings.build_network,
            memory_bytes=settings.build_memory_bytes,
            cpus=settings.build_cpus,
            pids=settings.build_pids,
            runtime=settings.build_runtime,
            disk=DiskLimits(
                max_bytes=settings.build_disk_bytes, reserve_bytes=settings.build_disk_reserve_bytes
            ),
        )
        return DockerEngine(isolation=isolation, timeout_s=settings.engine_timeout_s)

    @cached_property
    def registry(self) -> RegistryClient:
        """The client of the registries that base images come from."""
        return RegistryClient(
            docker_hub_mirror=self.settings.docker_hub_mirror,
            timeout_s=self.settings.registry_timeout_s,
            # what the operator names may be inside the operator's network
            internal_hosts=self.settings.allowed_registries,
        )

    @cached_property
    def releases(self) -> Releases:
        """Checks deploys and makes versions of them."""
        settings = self.settings
        rules = DeployRules(
            section=settings.settings_section,
            settings_max_bytes=settings.settings_max_bytes,
            default_base_image=ImageReference.parse(
                settings.default_base_image, path="GALAXY_DEFAULT_BASE_IMAGE"
            ),
            allowed_registries=settings.allowed_registries,
        )
        return Releases(
            self.store,
            self.queue,
            self.logbook,
            self.announcer,
            rules=rules,
            retention_s=settings.idempotency_retention_s,
        )

    @cached_property
    def queries(self) -> Queries:
        """What people read of apps, versions, history and logs."""
        return Queries(
            self.store,
            self.app_list,
            self.logs,
            self.announcer,
            self._quick_queue,
        )

    @cached_property
    def build_stage(self) -> BuildStage:
        """The build stage, with the engine of this process."""
        return BuildStage(
            leases=self.leases,
            queue=self.queue,
            engine=self.engine,
            registry=self._registries,
            logs=self.logbook,
            announcer=self.announcer,
            settings=self.settings,
        )

    @cached_property
    def base_images(self) -> BaseImages:
        """Checks base images for changes."""
        return BaseImages(
            store=self._base_image_store,
            dependents=self._dependent_store,
            updates=self._update_store,
            heartbeats=self.heartbeats,
            registry=self.registry,
            platforms=self._platforms,
            snapshots=self._snapshots,
            rebuilds=self.rebuilds,
            settings=self.settings,
        )

    @cached_property
    def fan_out(self) -> FanOut:
        """Hands out the apps that depend on a changed base image."""
        settings = self.settings
        return FanOut(
            self._update_store,
            self._snapshots,
            self.queue,
            waves=Waves.parse(settings.update_waves),
            failure_allowance=settings.update_failure_allowance,
        )

    @cached_property
    def rebuilds(self) -> Rebuilds:
        """Makes automatic versions and admits them to the queue."""
        return Rebuilds(
            self._update_store, self._dependent_store, self._snapshots, self.queue, self.announcer
        )

    @cached_property
    def reaper(self) -> Reaper:
        """Removes what dead attempts left on the engine of this process."""
        return Reaper(
            self.store,
            self.leases,
            self.engine,
            name=self.settings.name,
            registry=self.settings.registry,
        )

    @cached_property
    def isolation_probe(self) -> IsolationProbe:
        """Tries what build containers on the engine of this process can reach."""
        return self._isolation_probe(self.registry)

    @cached_property
    def rollout(self) -> Rollout:
        """Makes built versions active."""
        return Rollout(self.store, self.announcer)

    @cached_property
    def reconciler(self) -> Reconciler:
        """Ends lost attempts and enqueues what waits."""
        return Reconciler(self.store, self.leases, self.heartbeats, self.queue, self.announcer)

    @cached_property
    def leadership(self) -> LeaderLock:
        """The lock of the beat that leads; its client gives up soon, because beat asks again soon."""
        redis = quick_redis(self.settings.store_url.get_secret_value(), timeout_s=COMMAND_TIMEOUT_S)
        return LeaderLock(redis, self.keys, lock_s=self.settings.beat_lock_s)

    @cached_property
    def doctor(self) -> Doctor:
        """Finds out what is wrong, with clients that give up soon."""
        settings = self.settings
        registry = RegistryClient(
            docker_hub_mirror=settings.docker_hub_mirror,
            timeout_s=REQUEST_S,
            internal_hosts=settings.allowed_registries,
        )
        probes = Probes(
            engine=partial(look_at_engine, settings.registry, os.environ, timeout_s=REQUEST_S),
            registry=partial(look_at_registry, settings.registry, timeout_s=REQUEST_S),
            redis=partial(look_at_redis, timeout_s=REQUEST_S),
            code=code_fingerprint,
        )
        return Doctor(
            settings,
            os.environ,
            probes=probes,
            store=self.hasty_store,
            heartbeats=self.hasty_heartbeats,
            queue=self._quick_queue,
            registry=registry,
            base_images=self._base_images_of(self._quick_redis),
            builds=self._isolation_probe(registry),
        )

    def _isolation_probe(self, registry: RegistryClient) -> IsolationProbe:
        return IsolationProbe(
            self.engine, registry, self.settings, addresses_of=addresses_of, own_addresses=own_addresses
        )

    @cached_property
    def _quick_queue(self) -> TaskQueue:
        return TaskQueue(self.settings.broker_url.get_secret_value(), timeout_s=REQUEST_S)

    @cached_property
    def _platforms(self) -> Platforms:
        return Platforms(self._base_image_store, self._registries, self.settings.build_platform)

    @cached_property
    def _registries(self) -> ThrottledRegistry:
        return ThrottledRegistry(self.registry, self._base_image_store)

    @cached_property
    def _snapshots(self) -> SnapshotReader:
        return SnapshotReader(
            self._dependent_store, self._platforms, Compare(self.settings.base_image_compare)
        )


@cache
def pipeline() -> Pipeline:
    """This process's pipeline, from the environment. Never called before a fork."""
    return Pipeline(current())
