"""How long to wait before the next try of something that failed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def backoff_s(
    failures: int, *, first_s: float, longest_s: float, chance: Callable[[], float] = random.random
) -> float:
    """Seconds to wait after so many failures in a row: exponential, with jitter.

    The jitter covers the upper half of the wait, so that many who failed together do not come back together.

    Args:
        failures: How many there were, this one included; at least 1.
        first_s: The longest wait after the first failure. It doubles with each further one.
        longest_s: No wait is longer.
        chance: Gives a number from 0 to 1. 1 stands for the longest wait.
    """
    return shortest_backoff_s(failures, first_s=first_s, longest_s=longest_s) * (1 + chance())


def shortest_backoff_s(failures: int, *, first_s: float, longest_s: float) -> float:
    """The shortest wait that `backoff_s` may give."""
    doublings = min(failures - 1, 63)  # a float has room for no end of them, but not for 2**1024
    return min(longest_s, first_s * 2.0**doublings) / 2
