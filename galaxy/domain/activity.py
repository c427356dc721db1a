"""The app's history in sentences."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict

#: What each event of the store means; the keys are `deployed` and the states that the store notes.
_SENTENCES: Final = {
    "deployed": "{by} deployed version {version}",
    "rebuild": "version {version} was made by a {by}",
    "built": "version {version} was built",
    "retrying": "an attempt to build version {version} failed",
    "build_failed": "version {version} could not be built",
    "active": "version {version} became active",
    "retired": "version {version} was retired",
    "rollout_failed": "version {version} could not be rolled out",
    "cancelled": "version {version} was cancelled",
    "superseded": "version {version} was superseded",
}


class ActivityEntry(BaseModel):
    """One event of an app. `detail` is a sentence of its own, or empty."""

    model_config = ConfigDict(frozen=True)

    at_ms: int
    app: str
    event: str
    version: int
    by: str
    detail: str = ""

    @property
    def sentence(self) -> str:
        """What happened, for people."""
        told = _SENTENCES.get(self.event, self.event + " version {version}")
        told = told.format(by=self.by, version=self.version)
        return f"{told}: {self.detail}" if self.detail else f"{told}."
