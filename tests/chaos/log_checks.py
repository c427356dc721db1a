"""Checks of the apps' logs: every line once and in order, and every end with its reason."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from galaxy.domain.states import VersionState
from tests.chaos import sentences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from galaxy.domain.log import LogLine
    from galaxy.domain.models import VersionRef
    from tests.chaos.facts import Facts, Run

_PRINTED: Final = re.compile(r"^run (\d+) (stdout|stderr) (\d+)/(\d+)(?: x{40})?$")


class _Printed(NamedTuple):
    """What the log has of one run and one stream. `left_out`: it says so, and how much of the whole run."""

    numbers: list[int]
    of: int
    left_out: int | None


def garbled(facts: Facts) -> Iterator[str]:
    """Lines that are missing, doubled or out of order; attempts whose end the log tells twice, or never."""
    for ref, version in facts.versions.items():
        lines = facts.lines_of(ref)
        yield from _strange_lines(facts, ref, lines)
        yield from _ended_twice(ref, lines)
        why = sentences.failures(lines)
        # the newest attempt's end is told by other sentences if it is not a failure
        if silent := [number for number in range(1, version.attempt) if number not in why]:
            yield f"{ref}: the log does not say how attempts {silent} ended"
        if version.state is VersionState.BUILD_FAILED and not sentences.count_for_good(lines):
            yield f"{ref}: the log does not say that its build has failed for good"
        for number, reason in why.items():
            if sentences.UNEXPECTED in reason:
                yield f"{ref}: attempt {number}: {reason}"
            if sentences.ON_PURPOSE in reason:
                yield from _torn(facts, ref, number, lines)
    for run in facts.runs:
        yield from _out_of_order(facts, run)


def is_complete(facts: Facts, run: Run) -> bool:
    """Every line of the run is in the log, or is said to be left out."""
    plan = next((deployed.plan for deployed in facts.deployed if deployed.ref == run.ref), None)
    if plan is None:  # another check tells
        return False
    found = _printed(facts.lines_of(run.ref), run.number)
    present = sum(len(stream.numbers) for stream in found.values())
    missing = next((stream.left_out for stream in found.values() if stream.left_out is not None), 0)
    return present + missing == plan.lines + plan.error_lines


def _torn(facts: Facts, ref: VersionRef, attempt: int, lines: list[LogLine]) -> Iterator[str]:
    """An attempt whose script came to its end is in the log from its first line to its last."""
    numbers = [
        int(found[1]) for line in lines if line.attempt == attempt and (found := _PRINTED.match(line.text))
    ]
    run = next((run for run in facts.runs if numbers and run.number == max(numbers)), None)
    if run and not is_complete(facts, run):
        yield f"{ref}: lines of run {run.number} are missing, and its script came to its end"


def _out_of_order(facts: Facts, run: Run) -> Iterator[str]:
    for stream, (numbers, _, left_out) in _printed(facts.lines_of(run.ref), run.number).items():
        if left_out is None and numbers != [*range(1, len(numbers) + 1)]:
            yield f"{run.ref}: {stream} of run {run.number} is not 1 to {len(numbers)}"
        elif numbers != sorted(set(numbers)):
            yield f"{run.ref}: {stream} of run {run.number} has lines twice or out of order"


def _strange_lines(facts: Facts, ref: VersionRef, lines: list[LogLine]) -> Iterator[str]:
    """Pieces of lines. Only the very last one that came of a script may be one, if the script was ended."""
    ended = {run.number for run in facts.runs if run.ended_at is not None}
    for at, line in enumerate(lines):
        if not line.text.startswith("run ") or _PRINTED.match(line.text):
            continue
        before, after = (_numbers_of_runs(line, some) for some in (lines[:at], lines[at + 1 :]))
        run = before[-1] if before else None
        if run is None or run in ended or run in after:
            yield f"{ref}: a line was torn: {line.text[:60]!r}"


def _numbers_of_runs(torn: LogLine, lines: list[LogLine]) -> list[int]:
    """Whose lines these are, of the same attempt and stream."""
    same = (line for line in lines if (line.attempt, line.stream) == (torn.attempt, torn.stream))
    return [int(found[1]) for line in same if (found := _PRINTED.match(line.text))]


def _ended_twice(ref: VersionRef, lines: list[LogLine]) -> Iterator[str]:
    for number, times in Counter(sentences.all_failures(lines)).items():
        if times > 1:
            yield f"{ref}: the log says {times} times that attempt {number} failed"
    if sentences.count_for_good(lines) > 1:
        yield f"{ref}: the log says more than once that its build has failed for good"


def _printed(lines: list[LogLine], run: int) -> dict[str, _Printed]:
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    of: dict[str, int] = {}
    attempts = set()
    for line in lines:
        found = _PRINTED.match(line.text)
        if found and int(found[1]) == run:
            numbers[found[2]].append(int(found[3]))
            of[found[2]] = int(found[4])
            attempts.add(line.attempt)
    left_out = None
    for line in lines:
        missing = sentences.left_out(line)
        if missing is not None and line.attempt in attempts:
            left_out = missing
    return {stream: _Printed(found, of[stream], left_out) for stream, found in numbers.items()}
