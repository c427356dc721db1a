"""Brings what happened to versions from the store to the apps' logs, whichever process dies on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from galaxy.domain.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galaxy.adapters.store.outbox import Outbox
    from galaxy.services.logbook import Logbook

logger = structlog.get_logger(__name__)

_APPS_AT_ONCE: Final = 25
_PAGE: Final = 100


class Announcer:
    """Writes moves into the logs: at once for whoever made the move, and later for the reconciler.

    An announcement is in the store from the very move on, and is forgotten there once the log has it. Several may
    deliver the same one: the log takes it once.
    """

    def __init__(self, outbox: Outbox, logs: Logbook) -> None:
        self._outbox = outbox
        self._logs = logs

    def announce(self, *apps: str) -> None:
        """Brings the apps' logs up to date. Raises nothing: what fails now is announced later."""
        try:
            self._deliver(apps)
        except StoreError as error:
            logger.warning("announcement.delayed", apps=apps, error=str(error))

    def announce_all(self) -> None:
        """Brings all logs up to date, for whoever died before it could.

        Raises:
            StoreError: One of the two can't be reached; the rest is announced next time.
        """
        while apps := self._outbox.outbox_apps(_APPS_AT_ONCE):
            self._deliver(apps)

    def _deliver(self, apps: Sequence[str]) -> None:
        while apps:
            announced = self._outbox.outbox(apps, _PAGE)
            announcements = [each for of_app in announced.values() for each in of_app]
            self._logs.announce(announcements)
            self._outbox.mark_announced(announcements)
            apps = [app for app, of_app in announced.items() if len(of_app) == _PAGE]
