"""Every Redis key of the project, spelled once."""

from __future__ import annotations

from hashlib import sha256


class Keys:
    """Names of keys below one prefix. Lifetimes not mentioned: for ever."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def apps(self) -> str:
        """Sorted set, all scores 0: the names of all apps, read in alphabetical pages."""
        return f"{self._prefix}:apps"

    def app(self, app: str) -> str:
        """Hash. `last`: highest version number; `active`: number of the active version."""
        return f"{self._prefix}:app:{app}"

    def all_versions(self) -> str:
        """Prefix of all version keys; `APP:NUMBER` makes it a key."""
        return f"{self._prefix}:version:"

    def versions(self, app: str) -> str:
        """Prefix of the app's version keys; a number makes it a key."""
        return f"{self.all_versions()}{app}:"

    def version(self, app: str, number: int) -> str:
        """Hash. A version: what was recorded for it, its state, its lease. Holds secrets."""
        return f"{self.versions(app)}{number}"

    def unfinished(self, app: str) -> str:
        """Sorted set, scored by number: the app's versions that are neither active nor final."""
        return f"{self._prefix}:unfinished:{app}"

    def due(self) -> str:
        """Sorted set of `APP NUMBER`, scored by the time (ms) at which the reconciler has to look at it."""
        return f"{self._prefix}:due"

    def ticks(self) -> str:
        """Hash. When (ms) each periodic piece of work was last done, by its name in `galaxy/domain/ticks.py`."""
        return f"{self._prefix}:ticks"

    def activity(self, app: str) -> str:
        """Stream: what happened to the app; the newest thousand entries or so."""
        return f"{self._prefix}:activity:{app}"

    def idempotency(self, app: str, key: str) -> str:
        """String `NUMBER FINGERPRINT`. Lives for `idempotency_retention_s`."""
        return f"{self._prefix}:idempotency:{app}:{sha256(key.encode()).hexdigest()}"

    def log(self, app: str) -> str:
        """Stream. One entry holds several lines; the entry id is the cursor. See `log_retention_s`."""
        return f"{self._prefix}:log:{app}"

    def log_size(self, app: str) -> str:
        """Bookkeeping of the log's size in bytes. Lives as long as the log."""
        return f"{self._prefix}:log-size:{app}"

    def log_writer(self, app: str, writer: str) -> str:
        """String. Number of the writer's last batch that is in the log. Lives for an hour after it."""
        return f"{self._prefix}:log-writer:{app}:{writer}"
