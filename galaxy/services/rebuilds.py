"""Automatic versions: made once for each app that needs one, and admitted to the queue a few at a time."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from galaxy.adapters.base_image_store import familiar
from galaxy.adapters.update_store import Made, NotMade
from galaxy.domain.errors import GalaxyError, QueueError

if TYPE_CHECKING:
    from galaxy.adapters.base_image_store import BaseImageStore
    from galaxy.adapters.queue import TaskQueue
    from galaxy.adapters.update_store import UpdateStore
    from galaxy.domain.models import VersionRef
    from galaxy.services.announcer import Announcer
    from galaxy.services.levels import Levels

logger = structlog.get_logger(__name__)

#: With so few apps left handed out, the fan-out is asked for more.
LOW_WATER: Final = 100
#: An app that changes faster than it can be decided about is decided about again when its version is final.
_TRIES: Final = 10
#: How often an update with work left is looked at, should all its messages be lost.
_LOOK_AGAIN_S: Final = 5.0
#: Each round drops as many outdated versions as there are slots; the call stands at a build's end, and has to be short.
_MOST_ROUNDS: Final = 10
_UPDATES_AT_ONCE: Final = 100
_INDEXED_AT_ONCE: Final = 500


class Rebuilds:
    """Makes automatic versions and keeps them moving."""

    def __init__(
        self,
        store: UpdateStore,
        base_images: BaseImageStore,
        levels: Levels,
        queue: TaskQueue,
        announcer: Announcer,
    ) -> None:
        self._store = store
        self._base_images = base_images
        self._indexed = False
        self._levels = levels
        self._queue = queue
        self._announcer = announcer

    def make(self, app: str, image: str, update: int, *, source: int, seen: str) -> str:
        """Makes an app's new version on a changed base image, or finds that it needs none; returns a sentence.

        Args:
            app: It was handed out by the fan-out.
            image: Canonical reference.
            update: The update's number.
            source: The version whose code is rebuilt; 0 when that is not decided.
            seen: Where the app stood when that was decided.
        """
        for _ in range(_TRIES):
            outcome = self._store.new_version(image, update, app, source=source or None, seen=seen)
            if isinstance(outcome, Made):
                return self._made(outcome, image, update, source)
            if isinstance(outcome, NotMade):
                self._ask_for_more(image, update, outcome.left)
                break
            current = self._store.update(image)
            if current is None:
                break
            # with what was not known, the app stands elsewhere
            learned = self._levels.learn(current.wanted, [outcome])
            decision = self._levels.decide(outcome, current.wanted)
            source, seen = decision.source or 0, "" if learned else outcome.seen
        return f"{app} needs no new version for update {update} of {familiar(image)}."

    def go_on(self) -> int:
        """Admits automatic versions while there are slots, and wakes updates that can go on.

        It belongs to the end of a build, to a base image's change, and to the reconciler. Returns how many it admitted.
        """
        admitted = self._admit()
        for image, number in self._store.take_updates(_UPDATES_AT_ONCE, again_in_s=_LOOK_AGAIN_S):
            self._queue.fan_out(image, number)
        return admitted

    def keep_going(self) -> None:
        """As `go_on`, for the reconciler: also indexes some of the apps that are older than the index."""
        self._indexed = self._indexed or not self._base_images.index_some(_INDEXED_AT_ONCE)
        self.go_on()

    def _admit(self) -> int:
        admitted = 0
        for _ in range(_MOST_ROUNDS):
            free = self._store.settle()
            outcomes = [self._admit_one(ref) for ref in free]
            admitted += outcomes.count("admitted")
            if "superseded" not in outcomes:
                break
        return admitted

    def _admit_one(self, ref: VersionRef) -> str:
        outcome = self._store.admit(ref)
        if outcome == "admitted":
            with suppress(QueueError):  # it is due now: the reconciler enqueues it
                self._queue.build(ref, automatic=True)
        return outcome

    def _made(self, made: Made, image: str, update: int, source: int) -> str:
        self._announcer.tell(made.ref.app)
        try:
            self._ask_for_more(image, update, made.left)
            if made.free:
                self._admit()
        except GalaxyError as error:  # the version is recorded, and the reconciler makes up for the rest
            logger.warning(
                "rebuild.not_admitted", app=made.ref.app, version=made.ref.number, error=str(error)
            )
        return f"Made {made.ref}, which builds version {source} on {familiar(image)} at {made.base_digest}."

    def _ask_for_more(self, image: str, update: int, left: int) -> None:
        if left in {LOW_WATER, 0}:
            with suppress(QueueError):  # the reconciler makes up for it
                self._queue.fan_out(image, update)
