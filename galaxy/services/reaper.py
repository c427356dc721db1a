"""Removes what dead attempts left on a worker's engine. What is not ours is never touched."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from galaxy.domain.base_images.image_config import labelled_version
from galaxy.domain.errors import EngineError
from galaxy.domain.models import LeaseState
from galaxy.domain.names import (
    app_image,
    attempt_tag,
    parse_attempt_tag,
    parse_container_name,
    parse_volume_name,
)
from galaxy.domain.work import WorkKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from galaxy.adapters.engine.ports import Engine, TaggedImage
    from galaxy.adapters.store.leases import LeaseStore
    from galaxy.adapters.store.versions import VersionStore
    from galaxy.domain.names import LeaseRef

logger = structlog.get_logger(__name__)


class Reaper:
    """Looks through one engine. The engine is asked first and the store afterwards: what begins in between lives.

    Ours is what bears the name of a lease that the store gave: build containers and their volumes by their name,
    committed images by a tag that they have on their engine alone.

    Args:
        name: The pipeline's name, first part of its containers' names.
        registry: Host and port of the registry for app images.
    """

    def __init__(
        self, store: VersionStore, leases: LeaseStore, engine: Engine, *, name: str, registry: str
    ) -> None:
        self._store = store
        self._leases = leases
        self._engine = engine
        self._name = name
        self._registry = registry

    def run(self) -> int:
        """Removes containers, volumes and images of dead attempts; returns how many things that were.

        Raises:
            EngineError: The engine can't be reached, or did not remove something; all others were looked at.
            StoreError: The store can't be reached; what was found is found again next time.
        """
        left: list[str] = []
        removed = self._containers(left) + self._images(left) + self._volumes(left)
        if left:
            raise EngineError(
                f"Not removed from the engine: {'; '.join(left)}.", "It is tried again with each sweep."
            )
        return removed

    def _containers(self, left: list[str]) -> int:
        removed = 0
        for container in self._engine.containers(f"{self._name}-build-"):
            lease = parse_container_name(self._name, container.name)
            if lease and self._has_ended(lease):
                with _refusal_noted(left, f"container {container.name}"):
                    self._engine.remove_container(container.id)
                    logger.warning("container.reaped", container=container.name)
                    removed += 1
        return removed

    def _volumes(self, left: list[str]) -> int:
        """An engine that died may have left them without their container."""
        removed = 0
        for volume in self._engine.volumes(f"{self._name}-build-"):
            lease = parse_volume_name(self._name, volume)
            if lease and self._has_ended(lease):
                with _refusal_noted(left, f"volume {volume}"):
                    self._engine.remove_volume(volume)
                    logger.warning("volume.reaped", volume=volume)
                    removed += 1
        return removed

    def _images(self, left: list[str]) -> int:
        removed = 0
        for image in self._engine.tagged_images(f"{self._registry}/apps/"):
            lease = self._lease_of(image)
            if lease and self._has_ended(lease):
                with _refusal_noted(left, f"image {self._own_name(lease)}"):
                    removed += self._remove_unless_wanted(lease)
        return removed

    def _has_ended(self, lease: LeaseRef) -> bool:
        return self._leases.lease_state(lease.version, lease.token, WorkKind.BUILD) is LeaseState.ENDED

    def _lease_of(self, image: TaggedImage) -> LeaseRef | None:
        ref = labelled_version(image.labels)
        if ref is None:
            return None
        repository, _ = app_image(self._registry, ref)
        tags = (tag.removeprefix(f"{repository}:") for tag in image.tags if tag.startswith(f"{repository}:"))
        return next(filter(None, (parse_attempt_tag(self._name, ref, tag) for tag in tags)), None)

    def _own_name(self, lease: LeaseRef) -> str:
        repository, _ = app_image(self._registry, lease.version)
        return f"{repository}:{attempt_tag(self._name, lease)}"

    def _remove_unless_wanted(self, lease: LeaseRef) -> int:
        """Looks again, now that nothing more can happen to the image: it may have been pushed since the first look."""
        repository, tag = app_image(self._registry, lease.version)
        of_lease = self._own_name(lease)
        digest = self._store.version(lease.version).image_digest
        for image in self._engine.tagged_images(of_lease):
            if of_lease not in image.tags:
                continue  # a longer one begins like it
            # the lease's comes last: by it, the image is found again if one of them can't be removed
            ours = [name for name in (f"{repository}:{tag}", of_lease) if name in image.tags]
            if digest and f"{repository}@{digest}" in image.digests:
                ours = [
                    of_lease
                ]  # it became the version's: its worker died before it took the lease's tag away
            elif len(ours) == len(image.tags) and self._remove_whole(image):
                return 1
            for name in ours:
                self._engine.remove_image(name)
                logger.warning("tag.reaped", image=name)
        return 0

    def _remove_whole(self, image: TaggedImage) -> bool:
        """By id: by now, the version's tag may name the image of another attempt."""
        try:
            self._engine.remove_image(image.id)
        except EngineError as error:  # somebody runs it: so somebody wants it, but not by our names
            logger.warning("image.not_reaped", image=image.tags, error=str(error))
            return False
        logger.warning("image.reaped", image=image.tags)
        return True


@contextmanager
def _refusal_noted(left: list[str], what: str) -> Iterator[None]:
    """Goes on with the next thing when the engine does not remove this one."""
    try:
        yield
    except EngineError as error:
        left.append(f"{what} ({error.message.rstrip('.')})")
