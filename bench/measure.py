"""Measuring two ways of doing the same thing in pairs, so that a noisy machine disturbs both alike."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class CannotRun(Exception):
    """A benchmark lacks something that it needs, or what it measures went wrong; the message says what."""


@dataclass(frozen=True)
class Pair:
    """One measurement of both ways, taken right after each other. Seconds."""

    ours_s: float
    floor_s: float

    @property
    def ratio(self) -> float:
        """How many times as long ours took."""
        return self.ours_s / self.floor_s


@dataclass(frozen=True)
class Result:
    """What a benchmark found.

    Attributes:
        goal: The median ratio is to be at most this.
    """

    name: str
    goal: float
    pairs: tuple[Pair, ...]

    @property
    def ratio(self) -> float:
        """Median of the pairs' ratios."""
        return median(pair.ratio for pair in self.pairs)

    @property
    def reached(self) -> bool:
        """Whether the goal is reached."""
        return self.ratio <= self.goal

    def line(self) -> str:
        """All of it in one line."""
        ratios = [pair.ratio for pair in self.pairs]
        ours_ms = median(pair.ours_s for pair in self.pairs) * 1000
        floor_ms = median(pair.floor_s for pair in self.pairs) * 1000
        return (
            f"{self.name}: ours {ours_ms:.1f} ms, floor {floor_ms:.1f} ms, ratio {self.ratio:.3f}"
            f" (min {min(ratios):.3f}, max {max(ratios):.3f}, {len(ratios)} pairs),"
            f" goal at most {self.goal:g}: {'pass' if self.reached else 'MISS'}"
        )

    def as_json(self) -> dict[str, object]:
        """All of it, each pair included."""
        return {
            "name": self.name,
            "ratio": self.ratio,
            "goal": self.goal,
            "reached": self.reached,
            "pairs": [asdict(pair) for pair in self.pairs],
        }


def in_pairs(ours: Callable[[], float], floor: Callable[[], float], *, pairs: int) -> tuple[Pair, ...]:
    """Measures both in turn, after one pair that warms up and does not count.

    Args:
        ours: Does it our way once and returns the seconds that it took.
        floor: The same in the least way.
        pairs: How many of them count. Who goes first alternates.
    """
    ours(), floor()
    measured = []
    for number in range(1, pairs + 1):
        if number % 2:
            ours_s, floor_s = ours(), floor()
        else:
            floor_s, ours_s = floor(), ours()
        pair = Pair(ours_s, floor_s)
        measured.append(pair)
        took = f"ours {ours_s * 1000:.1f} ms, floor {floor_s * 1000:.1f} ms, ratio {pair.ratio:.3f}"
        print(f"  pair {number} of {pairs}: {took}", file=sys.stderr)
    return tuple(measured)
