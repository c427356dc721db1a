"""What to do about an error or a finding, in commands that people can type. No other package names commands."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from galaxy.domain.diagnosis.finding import Finding
    from galaxy.domain.errors import GalaxyError

#: By `GalaxyError.code`, with the names of the error's facts; takes the place of its `suggestion`.
_OF_ERRORS: Final = MappingProxyType(
    {
        "app_not_found": "`galaxy apps` lists all apps; `galaxy deploy` makes a new one.",
        "version_not_found": "`galaxy versions {app}` lists its versions.",
        "base_image_not_watched": "`galaxy base-images` lists those that apps depend on; only they are checked.",
        "base_image_not_checked": "`galaxy base-images check {image}` checks it now.",
        "no_paused_update": "`galaxy base-images` shows how its newest update stands.",
        "idempotency_conflict": (
            "`galaxy show {app} {version}` shows that version. Use a new key for a new deploy, or repeat the call with"
            " exactly the same content."
        ),
        "store_unavailable": "Check {setting} and that Redis runs.",
        "store_login_refused": "Mend user and password in {setting}.",
        "queue_error": "Check {setting} and that Redis runs.",
    }
)

#: By `Finding.code`, with the names of the finding's facts; takes the place of its `advice`.
_OF_FINDINGS: Final = MappingProxyType(
    {
        "base_image_not_checked": "When that is mended: galaxy base-images check {image}",
        "update_paused": "To go on: galaxy base-images resume {image}",
    }
)


def what_to_do(error: GalaxyError) -> str:
    """What to do about an error, as a sentence; empty when there is nothing to do."""
    return _worded(_OF_ERRORS.get(error.code), error.facts) or error.suggestion


def advised(finding: Finding) -> Finding:
    """The finding, with advice that names commands where there are some."""
    advice = _worded(_OF_FINDINGS.get(finding.code), finding.facts)
    return finding.model_copy(update={"advice": advice}) if advice else finding


def _worded(sentence: str | None, facts: Mapping[str, object]) -> str:
    """The sentence with its facts; empty when one is missing, as it is after a trip through Celery's JSON."""
    try:
        return (sentence or "").format_map(facts)
    except KeyError:
        return ""
