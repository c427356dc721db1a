"""Where apps stand, as `lua/level.lua` writes it into the replies of scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from galaxy.domain.states import VersionState
from galaxy.domain.updates import AppLevel, Updates, VersionLevel

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Strings of an app and of a version in replies.
_VERSION_LEVEL: Final = 9
_LEVEL: Final = 3 + 2 * _VERSION_LEVEL


def read_levels(flat: Sequence[str]) -> tuple[AppLevel, ...]:
    """What `level.lua` wrote."""
    return tuple(_level(group) for group in zip(*(iter(flat),) * _LEVEL, strict=True))


def _level(group: Sequence[str]) -> AppLevel:
    app, updates, seen, *rest = group
    newest = _version_level(rest[:_VERSION_LEVEL])
    active: VersionLevel | None = None
    if rest[_VERSION_LEVEL]:
        active = newest if rest[_VERSION_LEVEL] == rest[0] else _version_level(rest[_VERSION_LEVEL:])
    return AppLevel(app, Updates(updates), newest, active, seen)


def _version_level(group: Iterable[str]) -> VersionLevel:
    number, state, automatic, image, digest, resolved_at, platform, made, made_state = group
    return VersionLevel(
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
