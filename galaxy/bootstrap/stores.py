"""The stores of one process: everything that is kept in Redis."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from galaxy.adapters.logs.stream import LogStream
from galaxy.adapters.redis_client import PATIENT, redis_client
from galaxy.adapters.redis_probe import quick_redis
from galaxy.adapters.store.apps import AppList
from galaxy.adapters.store.base_images import BaseImageStore
from galaxy.adapters.store.dependents import DependentStore
from galaxy.adapters.store.heartbeats import HeartbeatStore
from galaxy.adapters.store.keys import Keys
from galaxy.adapters.store.leases import LeaseStore
from galaxy.adapters.store.outbox import Outbox
from galaxy.adapters.store.updates import UpdateStore
from galaxy.adapters.store.versions import VersionStore
from galaxy.services.doctor import REQUEST_S

if TYPE_CHECKING:
    from redis import Redis
    from redis.retry import Retry

    from galaxy.settings import Settings


@dataclass(frozen=True)
class Stores:
    """Redis clients and what is kept with them; each is made when it is first used."""

    settings: Settings

    @cached_property
    def keys(self) -> Keys:
        """Names of Redis keys."""
        return Keys(self.settings.key_prefix)

    @cached_property
    def store(self) -> VersionStore:
        """The store of apps and versions."""
        return self._store_on(self._store_redis)

    @cached_property
    def leases(self) -> LeaseStore:
        """The store of attempts and the leases on versions."""
        settings = self.settings
        return LeaseStore(
            self._store_redis,
            self.keys,
            lease_s=settings.lease_s,
            requeue_after_s=settings.requeue_after_s,
        )

    @cached_property
    def outbox(self) -> Outbox:
        """The announcements that are not in the apps' logs yet."""
        return Outbox(self._store_redis, self.keys)

    @cached_property
    def heartbeats(self) -> HeartbeatStore:
        """The last signs of life of everything periodic."""
        return HeartbeatStore(self._store_redis, self.keys)

    @cached_property
    def hasty_store(self) -> VersionStore:
        """Apps and versions, for callers that must not block while Redis is down."""
        return self._store_on(self._quick_redis)

    @cached_property
    def hasty_heartbeats(self) -> HeartbeatStore:
        """The heartbeats, for callers that must not block while Redis is down."""
        return HeartbeatStore(self._quick_redis, self.keys)

    @cached_property
    def app_list(self) -> AppList:
        """Reads the list of all apps."""
        return AppList(self._store_redis, self.keys)

    @cached_property
    def logs(self) -> LogStream:
        """The apps' logs, for reading."""
        return self._logs(PATIENT)

    def _logs(self, retry: Retry) -> LogStream:
        settings = self.settings
        return LogStream(
            redis_client(settings.logs_url.get_secret_value(), decode_responses=False, retry=retry),
            self.keys,
            retention_s=settings.log_retention_s,
            max_bytes=settings.log_max_bytes,
        )

    def _store_on(self, redis: Redis) -> VersionStore:
        return VersionStore(redis, self.keys, requeue_after_s=self.settings.requeue_after_s)

    @cached_property
    def _quick_redis(self) -> Redis:
        return quick_redis(self.settings.store_url.get_secret_value(), timeout_s=REQUEST_S)

    @cached_property
    def _store_redis(self) -> Redis:
        return redis_client(self.settings.store_url.get_secret_value())

    @cached_property
    def _base_image_store(self) -> BaseImageStore:
        return self._base_images_of(self._store_redis)

    def _base_images_of(self, redis: Redis) -> BaseImageStore:
        settings = self.settings
        return BaseImageStore(
            redis,
            self.keys,
            # a HEAD and a GET, each as long as it may take, behind others that are as slow
            lease_s=6 * settings.registry_timeout_s,
            requests_per_s=settings.registry_requests_per_s,
        )

    @cached_property
    def _dependent_store(self) -> DependentStore:
        return DependentStore(self._store_redis, self.keys)

    @cached_property
    def _update_store(self) -> UpdateStore:
        settings = self.settings
        return UpdateStore(
            self._store_redis,
            self.keys,
            in_flight=settings.bulk_builds_in_flight,
            requeue_after_s=settings.requeue_after_s,
        )
