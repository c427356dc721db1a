"""Brings what happened to versions from the store to the apps' logs, whichever process dies on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from galaxy.domain.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galaxy.adapters.store.versions import VersionStore
    from galaxy.services.logbook import Logbook

logger = structlog.get_logger(__name__)

_APPS_AT_ONCE: Final = 25
_PAGE: Final = 100


class Announcer:
    """Tells the logs of moves: at once by whoever made the move, and later by the reconciler.

    An announcement is in the store from the very move on, and is forgotten there once the log has it. Several may
    deliver the same one: the log takes it once.
    """

    def __init__(self, store: VersionStore, logs: Logbook) -> None:
        self._store = store
        self._logs = logs

    def tell(self, *apps: str) -> None:
        """Brings the apps' logs up to date. Raises nothing: what fails now is told later."""
        try:
            self._deliver(apps)
        except StoreError as error:
            logger.warning("announcement.delayed", apps=apps, error=str(error))

    def announce_all(self) -> None:
        """Brings all logs up to date, for whoever died before it could.

        Raises:
            StoreError: One of the two can't be reached; the rest is told next time.
        """
        while apps := self._store.outbox_apps(_APPS_AT_ONCE):
            self._deliver(apps)

    def _deliver(self, apps: Sequence[str]) -> None:
        while apps:
            outbox = self._store.outbox(apps, _PAGE)
            announcements = [each for of_app in outbox.values() for each in of_app]
            self._logs.announce(announcements)
            self._store.mark_announced(announcements)
            apps = [app for app, of_app in outbox.items() if len(of_app) == _PAGE]
