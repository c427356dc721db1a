"""Sizes and durations as people say them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_KIB: Final = 1024
_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400


def size(count: float) -> str:
    """A number of bytes: `3.1 MiB`."""
    power = 0
    while count >= _KIB and power < len(_UNITS) - 1:
        count /= _KIB
        power += 1
    return f"{count:.1f} {_UNITS[power]}" if power else counted(round(count), "byte")


def duration(seconds: float) -> str:
    """A number of seconds: `40 s`, `12 min`, `3 h`, `2 days`."""
    if seconds < 2 * _MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    if seconds < 2 * _DAY_S:
        return f"{seconds / _HOUR_S:.0f} h"
    return f"{seconds / _DAY_S:.0f} days"


def listed(names: Sequence[str]) -> str:
    """`one`, `one and two`, `one, two and three`."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 version`, `3 versions`."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"
