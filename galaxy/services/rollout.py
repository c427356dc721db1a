"""From a built version to the active one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from galaxy.domain.states import VersionState

if TYPE_CHECKING:
    from galaxy.adapters.store.versions import VersionStore
    from galaxy.domain.models import VersionRef
    from galaxy.services.announcer import Announcer


class Rollout:
    """Makes built versions active. Containers are not replaced yet: that goes between the two moves below."""

    def __init__(self, store: VersionStore, announcer: Announcer) -> None:
        self._store = store
        self._announcer = announcer

    def run(self, ref: VersionRef) -> str:
        """Rolls a version out, or finds that there is nothing to do; returns what happened, as a sentence."""
        state = self._store.begin_rollout(ref)
        if state is not VersionState.ROLLING_OUT:
            return f"Nothing to do: {ref} is {state}."
        activation = self._store.activate(ref)
        self._announcer.announce(ref.app)
        if activation.newer:
            return f"Version {ref.number} was built, but version {activation.newer} is active already."
        retired = f"; version {activation.previous} is retired" if activation.previous else ""
        return f"Version {ref.number} is active now{retired}."
