"""Removes what dead attempts left on a worker's engine. What is not ours is never touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from galaxy.domain.errors import EngineError, NotFound
from galaxy.domain.names import parse_app_image, parse_container_name
from galaxy.domain.states import VersionState

if TYPE_CHECKING:
    from galaxy.adapters.engine import Engine, TaggedImage
    from galaxy.adapters.store import RedisStore
    from galaxy.domain.models import Version

logger = structlog.get_logger(__name__)


class Reaper:
    """Looks through one engine. The engine is asked first and the store afterwards: what begins in between lives.

    Args:
        name: The pipeline's name, first part of its containers' names.
        registry: Host and port of the registry for app images.
    """

    def __init__(self, store: RedisStore, engine: Engine, *, name: str, registry: str) -> None:
        self._store = store
        self._engine = engine
        self._name = name
        self._registry = registry

    def run(self) -> int:
        """Removes containers, volumes and images of dead attempts; returns how many things that were.

        Raises:
            EngineError, StoreError: One of them can't be reached; what was found is found again next time.
        """
        return self._containers() + self._images()

    def _containers(self) -> int:
        removed = 0
        for container in self._engine.containers(f"{self._name}-build-"):
            claim = parse_container_name(self._name, container.name)
            if claim is None or self._store.holds_lease(claim.version, claim.token):
                continue
            logger.warning("container.reaped", container=container.name)
            self._engine.remove_container(container.id)
            removed += 1
        return removed

    def _images(self) -> int:
        removed = 0
        for image in self._engine.tagged_images(f"{self._registry}/apps/"):
            version = self._version_of(image)
            if version is None or not _is_dead(image, version) or not self._is_still_dead(image, version):
                continue
            logger.warning("image.reaped", image=image.reference)
            try:
                # by id: by now the tag may name the image of another attempt
                self._engine.remove_image(image.id)
            except EngineError as error:  # it has another tag, or somebody runs it: so somebody wants it
                logger.warning("image.not_reaped", image=image.reference, error=str(error))
                continue
            removed += 1
        return removed

    def _is_still_dead(self, image: TaggedImage, version: Version) -> bool:
        """Looks again: the image may have been pushed between the two looks that called it dead."""
        return any(
            now.id == image.id and now.reference == image.reference and _is_dead(now, version)
            for now in self._engine.tagged_images(image.reference)
        )

    def _version_of(self, image: TaggedImage) -> Version | None:
        ref = parse_app_image(self._registry, image.reference)
        try:
            return self._store.version(ref) if ref else None
        except NotFound:
            return None  # another pipeline's, in the same registry


def _is_dead(image: TaggedImage, version: Version) -> bool:
    """An attempt committed it, and another one's image, or none, came to be the version's."""
    if version.state is VersionState.BUILDING:
        return False  # the attempt that runs may be about to push it
    pushed = f"{image.reference.rpartition(':')[0]}@{version.image_digest}"
    return version.image_digest is None or pushed not in image.digests
