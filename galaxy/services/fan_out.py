"""From a changed base image to the apps that depend on it: page by page, wave by wave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from galaxy.domain.base_images.fan_out import HandOut, NewVersionCall
from galaxy.domain.base_images.image_reference import familiar_name
from galaxy.domain.base_images.updates import UpdateState, Verdict, too_many_failed
from galaxy.services.rebuilds import LOW_WATER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galaxy.adapters.queue import TaskQueue
    from galaxy.adapters.store.updates import UpdateStore
    from galaxy.domain.base_images.updates import AppSnapshot, Update, Waves
    from galaxy.services.snapshots import SnapshotReader

logger = structlog.get_logger(__name__)

#: How many apps one script reads: well below a millisecond.
_PAGE: Final = 20
#: Never more apps are handed out and not done: so the queue stays short, however many there are.
_HIGH_WATER: Final = 2 * LOW_WATER
#: A message that was not done for this long is taken for lost.
_FORGOTTEN_S: Final = 10.0


class FanOut:
    """Hands apps out to `tasks.new_version`. Several may run at once, and end anywhere: the store keeps the place."""

    def __init__(
        self,
        store: UpdateStore,
        snapshots: SnapshotReader,
        queue: TaskQueue,
        *,
        waves: Waves,
        failure_allowance: float,
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._queue = queue
        self._waves = waves
        self._failure_allowance = failure_allowance

    def run(self, image: str, number: int) -> str:
        """Goes on with an update until enough is handed out, or it has to wait; returns what it did, as a sentence."""
        handed_out = 0
        while True:
            update = self._store.update(image)
            if update is None or update.number != number or update.state is UpdateState.PAUSED:
                break
            more = update.late or (update.state is UpdateState.RUNNING and not update.walked)
            limit = self._waves.limit(update.wave, update.dependents)
            if (more or update.state is UpdateState.RUNNING) and update.wave_is_over(limit):
                if not self._end_wave(update):
                    break
                continue
            room = int(min(update.room(limit), _HIGH_WATER - update.handed_out, _PAGE))
            if room <= 0 or not more:
                self._ask_again(update)
                break
            handed_out += self._latecomers(update, room) if update.late else self._walk(update, room)
        return f"Update {number} of {familiar_name(image)}: handed {handed_out} apps out."

    def _walk(self, update: Update, room: int) -> int:
        """One page of dependents."""
        last, snapshots = self._snapshots.dependents(update.wanted, after=update.cursor, limit=_PAGE)
        chosen, ahead, looked_at = self._choose(update, snapshots, room)
        complete = looked_at == len(snapshots)
        cursor = last if complete else snapshots[looked_at - 1].app
        skipped, walked = looked_at - len(chosen), complete and not last
        page = HandOut([*chosen], cursor or update.cursor, walked, skipped, ahead)
        return self._hand_out(update, chosen, page)

    def _latecomers(self, update: Update, room: int) -> int:
        """Apps about which the walk could not decide, or that it had passed."""
        page = self._snapshots.late(update.wanted, limit=_PAGE)
        chosen, ahead, looked_at = self._choose(update, page.snapshots, room)
        undecided = {snapshot.app for snapshot in page.snapshots[looked_at:]}
        decided = {app: score for app, score in page.scores.items() if app not in undecided}
        done = HandOut([*chosen], update.cursor, update.walked, ahead=ahead, late=decided)
        return self._hand_out(update, chosen, done)

    def _choose(
        self, update: Update, snapshots: Sequence[AppSnapshot], room: int
    ) -> tuple[dict[str, NewVersionCall], list[str], int]:
        """Who needs a new version, as far as there is room; who is ahead; and how many apps were looked at."""
        chosen: dict[str, NewVersionCall] = {}
        ahead: list[str] = []
        for position, snapshot in enumerate(snapshots):
            decision = self._snapshots.decide(snapshot, update.wanted)
            if decision.verdict is Verdict.AHEAD:
                ahead.append(snapshot.app)
            if decision.verdict is not Verdict.REBUILD:
                continue
            if len(chosen) == room:
                return chosen, ahead, position
            chosen[snapshot.app] = NewVersionCall(snapshot.app, decision.source or 0, snapshot.seen)
        return chosen, ahead, len(snapshots)

    def _hand_out(self, update: Update, chosen: dict[str, NewVersionCall], page: HandOut) -> int:
        apps = self._store.hand_out(update, page)
        self._ask_for(update, [chosen[app] for app in apps])
        return len(apps)

    def _ask_again(self, update: Update) -> None:
        forgotten = self._store.take_forgotten(update.image, after_s=_FORGOTTEN_S, limit=LOW_WATER)
        for first in range(0, len(forgotten), _PAGE):
            self._ask_for(update, [NewVersionCall(app) for app in forgotten[first : first + _PAGE]])

    def _ask_for(self, update: Update, calls: Sequence[NewVersionCall]) -> None:
        self._queue.new_versions(update.image, update.number, calls)

    def _end_wave(self, update: Update) -> bool:
        """All versions of the wave are final: on, or stop. Returns whether there is more to do now.

        The last wave never stops: nobody is left who could be spared.
        """
        fields = {
            "image": familiar_name(update.image), "digest": update.digest, "wave": update.wave,
            "created": update.created, "built": update.built, "failed": update.failed,
        }  # fmt: skip
        if update.walked and not update.late:
            if self._store.advance(update, UpdateState.DONE) and update.created:
                logger.info("update.done", **fields)
            return False
        if not too_many_failed(update, self._failure_allowance):
            return self._store.advance(update, UpdateState.RUNNING, next_wave=True)
        reason = (
            f"In wave {update.wave}, {update.wave_failed} of {update.wave_created} builds failed, of apps that could"
            " be built before. No more apps are rebuilt: mend the base image and publish it again, or have the update"
            " go on."
        )
        if self._store.advance(update, UpdateState.PAUSED, reason=reason):
            logger.warning("update.paused", reason=reason, **fields)
        return False
