"""Asking registries as one of many workers: a pause that one of them was asked for is kept by all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from galaxy.domain.cancellation import never_cancelled
from galaxy.domain.errors import RegistryThrottled

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from galaxy.adapters.registry import Manifest, RegistryClient
    from galaxy.adapters.store.base_images import BaseImageStore
    from galaxy.domain.base_images.image_reference import ImageReference

    T = TypeVar("T")


class ThrottledRegistry:
    """The registry client, for whoever has no turn from `BaseImageStore.take_checks`.

    All methods raise what the client's do, and `StoreError`.
    """

    def __init__(self, registry: RegistryClient, store: BaseImageStore) -> None:
        self._registry = registry
        self._store = store

    def resolve(
        self,
        reference: ImageReference,
        *,
        insist: bool = False,
        check_cancelled: Callable[[], None] = never_cancelled,
    ) -> str:
        """See `RegistryClient.resolve`."""

        def resolve() -> str:
            return self._registry.resolve(reference, insist=insist, check_cancelled=check_cancelled)

        return self._heeding(reference, resolve)

    def manifest(self, reference: ImageReference) -> Manifest:
        """See `RegistryClient.manifest`."""
        return self._heeding(reference, lambda: self._registry.manifest(reference))

    def pull_source(self, reference: ImageReference) -> str:
        """See `RegistryClient.pull_source`."""
        return self._registry.pull_source(reference)

    def _heeding(self, reference: ImageReference, ask: Callable[[], T]) -> T:
        pause_s = self._store.pause_s(reference.registry)
        if pause_s > 0:
            error = RegistryThrottled(
                f"{reference.registry} asked for a pause, which lasts another {pause_s:.0f} s, so {reference} could not"
                " be looked up.",
                "If this happens often, ask the operator for a mirror of it.",
            )
            error.retry_after_s = pause_s
            raise error
        try:
            return ask()
        except RegistryThrottled as error:
            self._store.pause(reference.registry, error.retry_after_s)
            raise
