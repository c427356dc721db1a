"""The app's history in sentences."""

from __future__ import annotations

from typing import Final

from pydantic import Field, computed_field

from galaxy.domain.models import Frozen
from galaxy.domain.reasons import Reason

#: What each event means; the keys are `deployed`, `rebuild` and the states that the store records.
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


class ActivityEntry(Frozen):
    """One event of an app. `reason`: why it happened, if it was recorded; programs read `detail`."""

    at_ms: int
    app: str
    event: str
    version: int
    by: str
    reason: Reason | None = Field(default=None, exclude=True)

    @computed_field  # type: ignore[prop-decorator] # mypy knows no decorated properties
    @property
    def detail(self) -> str:
        """Why it happened, as a sentence of its own; or empty."""
        return self.reason.sentence if self.reason else ""

    @property
    def sentence(self) -> str:
        """What happened, for people."""
        template = _SENTENCES.get(self.event, self.event + " version {version}")
        event = template.format(by=self.by, version=self.version)
        return f"{event}: {self.detail}" if self.detail else f"{event}."
