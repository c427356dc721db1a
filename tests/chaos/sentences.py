"""What the pipeline says in an app's log, as far as the checks read it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from galaxy.domain.log import LogLine

_FAILED: Final = re.compile(r"^Attempt (\d) of \d failed: (.*)")
_BUILT: Final = re.compile(r"^Version \d+ is built: ")
_LEFT_OUT: Final = re.compile(r"^Left out here: (\d+) lines")
_FOR_GOOD: Final = re.compile(r"^The build of version \d+ has failed for good")

#: In the reason of an attempt whose setup.sh failed.
ON_PURPOSE: Final = "exit code 7"
#: In the reason of an attempt whose worker was lost.
LOST: Final = "was lost"
#: In the reason of an attempt that met an error that nobody thought of.
UNEXPECTED: Final = "Unexpected "


def failures(lines: Iterable[LogLine]) -> dict[int, str]:
    """Why each attempt failed."""
    return {int(found[1]): found[2] for line in lines if (found := _FAILED.match(line.text))}


def all_failures(lines: Iterable[LogLine]) -> list[int]:
    """Numbers of the attempts whose failure the log tells, once for each time."""
    return [int(found[1]) for line in lines if (found := _FAILED.match(line.text))]


def count_built(lines: Iterable[LogLine]) -> int:
    """How often the log says that the version is built."""
    return sum(bool(_BUILT.match(line.text)) for line in lines)


def count_for_good(lines: Iterable[LogLine]) -> int:
    """How often the log says that the build has failed for good."""
    return sum(bool(_FOR_GOOD.match(line.text)) for line in lines)


def left_out(line: LogLine) -> int | None:
    """How many lines this one says are missing; None if it says no such thing."""
    found = _LEFT_OUT.match(line.text)
    return int(found[1]) if found else None
