"""Measuring two ways of doing the same thing in the same run, so that a noisy machine disturbs both alike."""

from __future__ import annotations

import math
import sys
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class CannotRun(Exception):
    """A benchmark lacks something that it needs, or what it measures went wrong; the message says what."""


class Finding(Protocol):
    """One line of what a benchmark found."""

    @property
    def reached(self) -> bool:
        """Whether the goal is reached."""
        ...

    def line(self) -> str:
        """All of it in one line."""
        ...

    def as_json(self) -> dict[str, object]:
        """All of it, each measurement included."""
        ...


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
    """How many times as long ours takes.

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
            f" goal at most {self.goal:g}: {_verdict(reached=self.reached)}"
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


@dataclass(frozen=True)
class Throughput:
    """How much ours gets done in the time of the floor.

    Attributes:
        goal: The median of the ratios of both rates is to be at least this.
        pairs: Each way did `count` things at a time.
        per_s: In which the line counts them: a minute or a second.
    """

    name: str
    goal: float
    count: int
    pairs: tuple[Pair, ...]
    per_s: Literal[60, 1] = 60

    @property
    def ratio(self) -> float:
        """Median of the pairs' ratios of rates."""
        return median(1 / pair.ratio for pair in self.pairs)

    @property
    def reached(self) -> bool:
        """Whether the goal is reached."""
        return self.ratio >= self.goal

    def line(self) -> str:
        """All of it in one line."""
        ratios = [1 / pair.ratio for pair in self.pairs]
        each = "minute" if self.per_s > 1 else "second"
        ours = median(self.per_s * self.count / pair.ours_s for pair in self.pairs)
        floor = median(self.per_s * self.count / pair.floor_s for pair in self.pairs)
        return (
            f"{self.name}: ours {ours:.1f} a {each}, floor {floor:.1f}, ratio {self.ratio:.3f}"
            f" (min {min(ratios):.3f}, max {max(ratios):.3f}, {len(ratios)} pairs),"
            f" goal at least {self.goal:g}: {_verdict(reached=self.reached)}"
        )

    def as_json(self) -> dict[str, object]:
        """All of it, each pair included."""
        return {
            "name": self.name,
            "ratio": self.ratio,
            "goal": self.goal,
            "reached": self.reached,
            "count": self.count,
            "pairs": [asdict(pair) for pair in self.pairs],
        }


@dataclass(frozen=True)
class Latencies:
    """How much later than the floor ours is, at the 99th percentile of each. Seconds.

    Attributes:
        goal_s: The difference is to be at most this.
    """

    name: str
    goal_s: float
    ours_s: tuple[float, ...]
    floor_s: tuple[float, ...]

    @property
    def above_floor_s(self) -> float:
        """Ours less the floor, both at their 99th percentile."""
        return percentile(self.ours_s, 99) - percentile(self.floor_s, 99)

    @property
    def reached(self) -> bool:
        """Whether the goal is reached."""
        return self.above_floor_s <= self.goal_s

    def line(self) -> str:
        """All of it in one line."""
        ours, floor = (
            f"{percentile(seen, 99) * 1000:.1f} ms (median {percentile(seen, 50) * 1000:.1f}, {len(seen)} lines)"
            for seen in (self.ours_s, self.floor_s)
        )
        return (
            f"{self.name}: p99 ours {ours}, floor {floor}, {self.above_floor_s * 1000:.1f} ms above the floor,"
            f" goal at most {self.goal_s * 1000:g}: {_verdict(reached=self.reached)}"
        )

    def as_json(self) -> dict[str, object]:
        """All of it, each measurement included."""
        return {**asdict(self), "above_floor_s": self.above_floor_s, "reached": self.reached}


@dataclass(frozen=True)
class Quantity:
    """One number that is to be at most `goal`.

    Attributes:
        detail: What it is made of.
    """

    name: str
    value: float
    unit: str
    goal: float
    detail: str = ""

    @property
    def reached(self) -> bool:
        """Whether the goal is reached."""
        return self.value <= self.goal

    def line(self) -> str:
        """All of it in one line."""
        detail = f" ({self.detail})" if self.detail else ""
        verdict = _verdict(reached=self.reached)
        return f"{self.name}: {self.value:.4g} {self.unit}{detail}, goal at most {self.goal:g}: {verdict}"

    def as_json(self) -> dict[str, object]:
        """All of it."""
        return {**asdict(self), "reached": self.reached}


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that so many percent of all are not above."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def in_pairs(
    ours: Callable[[], float], floor: Callable[[], float], *, pairs: int, quiet: bool = False
) -> tuple[Pair, ...]:
    """Measures both in turn, after one pair that warms up and does not count.

    Args:
        ours: Does it our way once and returns the seconds that it took.
        floor: The same in the least way.
        pairs: How many of them count. Who goes first alternates.
        quiet: Says nothing about single pairs.
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
        if not quiet:
            took = f"ours {ours_s * 1000:.1f} ms, floor {floor_s * 1000:.1f} ms, ratio {pair.ratio:.3f}"
            print(f"  pair {number} of {pairs}: {took}", file=sys.stderr)
    return tuple(measured)


def _verdict(*, reached: bool) -> str:
    return "pass" if reached else "MISS"
