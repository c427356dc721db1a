"""Names of environment variables that look like settings and are not.

It needs nothing but the standard library: the local stack asks it, too.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

PREFIX: Final = "GALAXY_"
"""How the names of all settings begin."""
NOT_SETTINGS: Final = frozenset(
    {"GALAXY_BUNDLE_URL", "GALAXY_BUNDLES_DIR", "GALAXY_BUNDLES_URL", "GALAXY_VERSION"}
)
"""Variables of the command line, the local stack and docker-compose.yml, which no process of the fleet reads."""


class Unknown(NamedTuple):
    """A variable that means nothing, as it was written, and the setting whose name is nearest to it, if one is near."""

    name: str
    near: str | None


def unknown_variables(given: Collection[str], known: Collection[str]) -> Iterator[Unknown]:
    """Those of the `given` names that begin like a setting and are none, in alphabetical order.

    Args:
        given: Names of the environment's variables. Settings are read whatever their case.
        known: Names of all settings' variables, in capitals.
    """
    for name in sorted(given):
        written = name.upper()
        if not written.startswith(PREFIX) or written in known or written in NOT_SETTINGS:
            continue
        near = difflib.get_close_matches(written, known, n=1, cutoff=0.8)
        yield Unknown(name, near[0] if near else None)
