"""Where apps stand, as `lua/snapshot.lua` writes it into the replies of scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from galaxy.domain.base_images.updates import AppSnapshot, Updates, VersionSnapshot
from galaxy.domain.states import VersionState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Strings of an app and of a version in replies.
_PER_VERSION: Final = 9
_PER_APP: Final = 3 + 2 * _PER_VERSION


def read_snapshots(flat: Sequence[str]) -> tuple[AppSnapshot, ...]:
    """What `snapshot.lua` wrote."""
    return tuple(_snapshot(group) for group in zip(*(iter(flat),) * _PER_APP, strict=True))


def _snapshot(group: Sequence[str]) -> AppSnapshot:
    app, updates, seen, *rest = group
    newest = _version_snapshot(rest[:_PER_VERSION])
    active: VersionSnapshot | None = None
    if rest[_PER_VERSION]:
        active = newest if rest[_PER_VERSION] == rest[0] else _version_snapshot(rest[_PER_VERSION:])
    return AppSnapshot(app, Updates(updates), newest, active, seen)


def _version_snapshot(group: Iterable[str]) -> VersionSnapshot:
    number, state, automatic, image, digest, resolved_at, platform, made, made_state = group
    return VersionSnapshot(
        number=int(number),
        state=VersionState(state),
        automatic=automatic == "1",
        base_image=image,
        base_digest=digest or None,
        resolved_at_ms=int(resolved_at) if resolved_at else None,
        platform_digest=platform or None,
        made=int(made) if made else None,
        made_state=VersionState(made_state) if made_state else None,
    )
