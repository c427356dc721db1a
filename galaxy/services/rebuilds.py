"""Automatic versions: made once for each app that needs one, and admitted to the queue a few at a time."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from galaxy.domain.base_images.fan_out import Made, NewVersionCall, NotMade
from galaxy.domain.base_images.image_reference import familiar_name
from galaxy.domain.base_images.updates import AppSnapshot
from galaxy.domain.errors import GalaxyError, QueueError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galaxy.adapters.queue import TaskQueue
    from galaxy.adapters.store.dependents import DependentStore
    from galaxy.adapters.store.updates import UpdateStore
    from galaxy.services.announcer import Announcer
    from galaxy.services.snapshots import SnapshotReader

logger = structlog.get_logger(__name__)

#: With so few apps left handed out, the fan-out is asked for more.
LOW_WATER: Final = 200
#: An app that changes faster than it can be decided about is decided about again when its version is final.
_TRIES: Final = 10
#: How often an update with work left is looked at, should all its messages be lost.
_LOOK_AGAIN_S: Final = 5.0
#: Outdated versions are dropped in rounds of so many. At a build's end this has to be short.
_ROUND: Final = 25
_MOST_ROUNDS: Final = 10
_MOST_ROUNDS_OF_RECONCILER: Final = 200
_UPDATES_AT_ONCE: Final = 100
_INDEXED_AT_ONCE: Final = 500


class Rebuilds:
    """Makes automatic versions and keeps them moving."""

    def __init__(
        self,
        store: UpdateStore,
        dependents: DependentStore,
        snapshots: SnapshotReader,
        queue: TaskQueue,
        announcer: Announcer,
    ) -> None:
        self._store = store
        self._dependents = dependents
        self._indexed = False
        self._snapshots = snapshots
        self._queue = queue
        self._announcer = announcer

    def make(self, image: str, update: int, calls: Sequence[NewVersionCall]) -> str:
        """Makes each app's new version on a changed base image, unless it needs none; returns a sentence.

        Args:
            image: Canonical reference.
            update: The update's number.
            calls: Apps that the fan-out handed out.
        """
        made: list[Made] = []
        again = calls
        for _ in range(_TRIES):
            outcomes = self._store.new_versions(image, update, again)
            made += (each for each in outcomes if isinstance(each, Made))
            done = [each for each in outcomes if isinstance(each, Made | NotMade)]
            if any(each.left in {LOW_WATER, 0} for each in done):
                with suppress(QueueError):  # the reconciler makes up for it
                    self._queue.fan_out(image, update)
            again = self._decide_again(image, [each for each in outcomes if isinstance(each, AppSnapshot)])
            if not again:
                break
        self._announcer.announce(*(each.ref.app for each in made))
        if made and made[-1].free:
            with suppress(GalaxyError):  # as above
                self._admit_waiting()
        needless = {call.app for call in calls} - {each.ref.app for each in made}
        done_to_apps = [
            *(f"Made {each.ref}." for each in made),
            *(f"{app} needs no new version." for app in sorted(needless)),
        ]
        return f"Update {update} of {familiar_name(image)}: {' '.join(done_to_apps)}"

    def _decide_again(self, image: str, snapshots: Sequence[AppSnapshot]) -> list[NewVersionCall]:
        """About apps to which something happened since they were handed out. None are left if the update is over."""
        if not snapshots or (update := self._store.update(image)) is None:
            return []
        # with what was not known, an app stands elsewhere
        learned = self._snapshots.learn(update.wanted, snapshots)
        decisions = ((snapshot, self._snapshots.decide(snapshot, update.wanted)) for snapshot in snapshots)
        return [
            NewVersionCall(snapshot.app, decision.source or 0, "" if learned else snapshot.seen)
            for snapshot, decision in decisions
        ]

    def admit(self) -> int:
        """Admits automatic versions while there are slots, and wakes updates that can go on.

        It belongs to the end of a build, to a base image's change, and to the reconciler. Returns how many it admitted.
        """
        return self._admit_and_resume(_MOST_ROUNDS)

    def catch_up(self) -> None:
        """Does for the reconciler what `admit` does, and indexes some of the apps that are older than the index."""
        self._indexed = self._indexed or not self._dependents.index_some(_INDEXED_AT_ONCE)
        self._admit_and_resume(_MOST_ROUNDS_OF_RECONCILER)

    def _admit_and_resume(self, most_rounds: int) -> int:
        admitted = self._admit_waiting(most_rounds)
        for image, number in self._store.take_updates(_UPDATES_AT_ONCE, again_in_s=_LOOK_AGAIN_S):
            self._queue.fan_out(image, number)
        return admitted

    def _admit_waiting(self, most_rounds: int = _MOST_ROUNDS) -> int:
        admitted = 0
        at_least = 0
        for _ in range(most_rounds):
            refs = self._store.settle(at_least=at_least)
            outcomes = self._store.admit(refs)
            for ref, outcome in zip(refs, outcomes, strict=True):
                if outcome == "admitted":
                    admitted += 1
                    with suppress(QueueError):  # it is due: the reconciler enqueues it
                        self._queue.build(ref, automatic=True)
            if "superseded" not in outcomes:
                break
            at_least = _ROUND
        return admitted
