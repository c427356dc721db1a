"""Automatic versions: made once for each app that needs one, and admitted to the queue a few at a time."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from galaxy.adapters.base_image_store import familiar
from galaxy.adapters.update_store import Made, NotMade
from galaxy.domain.errors import GalaxyError, QueueError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from galaxy.adapters.base_image_store import BaseImageStore
    from galaxy.adapters.queue import NewVersionCall, TaskQueue
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
#: Each round drops as many outdated versions as there are slots. At a build's end this has to be short.
_MOST_ROUNDS: Final = 10
_MOST_ROUNDS_OF_RECONCILER: Final = 300
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

    def make(self, image: str, update: int, calls: Iterable[NewVersionCall]) -> str:
        """Makes each app's new version on a changed base image, unless it needs none; returns a sentence.

        Args:
            image: Canonical reference.
            update: The update's number.
            calls: Apps that the fan-out handed out.
        """
        made: list[Made] = []
        needless: list[str] = []
        for call in calls:
            outcome = self._make_one(image, update, call)
            if isinstance(outcome, Made):
                made.append(outcome)
                self._announcer.tell(call.app)
            else:
                needless.append(call.app)
            if isinstance(outcome, Made | NotMade) and outcome.left in {LOW_WATER, 0}:
                with suppress(QueueError):  # the reconciler makes up for it
                    self._queue.fan_out(image, update)
        if made and made[-1].free:
            with suppress(GalaxyError):  # as above
                self._admit()
        told = [
            *(f"Made {each.ref}." for each in made),
            *(f"{app} needs no new version." for app in needless),
        ]
        return f"Update {update} of {familiar(image)}: {' '.join(told)}"

    def _make_one(self, image: str, update: int, call: NewVersionCall) -> Made | NotMade | None:
        """One app's version. None: the update is over, or the app is decided about again when its version is final."""
        _, source, seen = call
        for _ in range(_TRIES):
            outcome = self._store.new_version(image, update, call.app, source=source or None, seen=seen)
            if isinstance(outcome, Made | NotMade):
                return outcome
            current = self._store.update(image)
            if current is None:
                break
            # with what was not known, the app stands elsewhere
            learned = self._levels.learn(current.wanted, [outcome])
            decision = self._levels.decide(outcome, current.wanted)
            source, seen = decision.source or 0, "" if learned else outcome.seen
        return None

    def go_on(self) -> int:
        """Admits automatic versions while there are slots, and wakes updates that can go on.

        It belongs to the end of a build, to a base image's change, and to the reconciler. Returns how many it admitted.
        """
        return self._go_on(_MOST_ROUNDS)

    def keep_going(self) -> None:
        """As `go_on`, for the reconciler, also indexes some of the apps that are older than the index."""
        self._indexed = self._indexed or not self._base_images.index_some(_INDEXED_AT_ONCE)
        self._go_on(_MOST_ROUNDS_OF_RECONCILER)

    def _go_on(self, most_rounds: int) -> int:
        admitted = self._admit(most_rounds)
        for image, number in self._store.take_updates(_UPDATES_AT_ONCE, again_in_s=_LOOK_AGAIN_S):
            self._queue.fan_out(image, number)
        return admitted

    def _admit(self, most_rounds: int = _MOST_ROUNDS) -> int:
        admitted = 0
        for _ in range(most_rounds):
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
