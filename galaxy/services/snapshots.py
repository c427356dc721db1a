"""Where apps stand, with everything known that decides whether they need a new version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from galaxy.domain.base_images.image_reference import ImageReference
from galaxy.domain.base_images.updates import AppSnapshot, Compare, VersionSnapshot, Wanted, decide
from galaxy.domain.errors import BaseImageNotFound

if TYPE_CHECKING:
    from collections.abc import Iterable

    from galaxy.adapters.store.base_images import BaseImageStore
    from galaxy.adapters.store.dependents import DependentStore
    from galaxy.domain.base_images.fan_out import LatePage
    from galaxy.domain.base_images.updates import Decision
    from galaxy.services.throttled_registry import ThrottledRegistry


class Platforms:
    """Which manifest of an index is ours. It never changes, so it is asked once for each digest, by one GET.

    Args:
        platform: `os/architecture` or `os/architecture/variant`, as build workers' engines are.
    """

    def __init__(self, store: BaseImageStore, registry: ThrottledRegistry, platform: str) -> None:
        self._store = store
        self._registry = registry
        self._os, self._architecture, self._variant = (*platform.split("/"), "")[:3]

    def find(self, image: str, digest: str) -> tuple[str | None, int]:
        """The platform's manifest digest, None if there is none; and how many requests that took.

        Raises:
            RegistryError: It can't be found out now.
        """
        if known := self._store.platform_digest(digest):
            return known, 0
        manifest = self._registry.manifest(ImageReference.parse(image).at(digest))
        found = manifest.for_platform(self._os, self._architecture, self._variant)
        if found:
            self._store.record_platform_digest(digest, found)
        return found, 1

    def learn(self, image: str, digest: str) -> None:
        """Makes sure that the store knows the platform's manifest of something that was built on.

        What the registry does not have any more, or what is no digest, counts as something else than whatever it has.

        Raises:
            RegistryError: It can't be found out now.
        """
        try:
            found, _ = self.find(image, digest)
        except (BaseImageNotFound, ValueError):
            found = None
        if found is None:
            self._store.record_platform_digest(digest, digest)


class SnapshotReader:
    """Reads pages of apps and decides about them."""

    def __init__(self, store: DependentStore, platforms: Platforms, compare: Compare) -> None:
        self._store = store
        self._platforms = platforms
        self._compare = compare

    def decide(self, snapshot: AppSnapshot, wanted: Wanted) -> Decision:
        """See `galaxy.domain.base_images.updates.decide`."""
        return decide(snapshot, wanted, self._compare)

    def dependents(self, wanted: Wanted, *, after: str, limit: int) -> tuple[str, tuple[AppSnapshot, ...]]:
        """See `DependentStore.dependents`. Raises as `learn`."""

        def read() -> tuple[str, tuple[AppSnapshot, ...]]:
            return self._store.dependents(wanted.image, wanted.content, after=after, limit=limit)

        page = read()
        return read() if self.learn(wanted, page[1]) else page

    def late(self, wanted: Wanted, *, limit: int) -> LatePage:
        """See `DependentStore.late`. Raises as `learn`."""

        def read() -> LatePage:
            return self._store.late(wanted.image, wanted.content, limit=limit)

        page = read()
        return read() if self.learn(wanted, page.snapshots) else page

    def learn(self, wanted: Wanted, snapshots: Iterable[AppSnapshot]) -> bool:
        """Finds out what is not known about the apps' base images; returns whether there was such a thing.

        Raises:
            RegistryError: It can't be found out now.
        """
        if self._compare is Compare.TAG:
            return False
        unknown = {
            version.base_digest
            for snapshot in snapshots
            for version in (snapshot.newest, snapshot.active)
            if version and _matters(version, wanted)
        }
        for digest in unknown - {None}:
            self._platforms.learn(wanted.image, str(digest))
        return bool(unknown)


def _matters(version: VersionSnapshot, wanted: Wanted) -> bool:
    return (
        version.base_image == wanted.image
        and version.base_digest not in {None, wanted.digest}
        and version.platform_digest is None
    )
