"""Values of the fan-out of an update: pages of dependents, apps that were handed out, versions that were made."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from galaxy.domain.base_images.updates import AppSnapshot
    from galaxy.domain.models import VersionRef


class LatePage(NamedTuple):
    """Apps to decide about again, with the scores that say whether something has happened to them since."""

    snapshots: tuple[AppSnapshot, ...]
    scores: dict[str, str]


class HandOut(NamedTuple):
    """What was decided about a page of apps.

    Attributes:
        apps: Those that need a new version.
        cursor: Where the walk goes on.
        walked: The walk has come to its end.
        skipped: How many apps of the page need none.
        ahead: Those that are decided about after the next check.
        late: Instead of a page of the walk: the latecomers that were decided about, with their scores.
    """

    apps: Sequence[str]
    cursor: str
    walked: bool
    skipped: int = 0
    ahead: Sequence[str] = ()
    late: Mapping[str, str] = MappingProxyType({})


class Made(NamedTuple):
    """An automatic version was made.

    Attributes:
        base_digest: What it is built on.
        left: How many apps of the update are handed out and not done.
        free: How many slots of automatic builds are free.
        superseded: Earlier automatic versions that are not built.
    """

    ref: VersionRef
    base_digest: str
    left: int
    free: int
    superseded: tuple[int, ...]


class NotMade(NamedTuple):
    """Nothing had to be made; `left` apps of the update are handed out and not done."""

    left: int


class NewVersionCall(NamedTuple):
    """An app that needs an automatic version.

    Attributes:
        source: The version whose code is rebuilt; 0 when that is not decided.
        seen: Where the app stood when that was decided; empty when it was not.
    """

    app: str
    source: int = 0
    seen: str = ""
