"""A whole run, from its choice to what the checks found."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, NamedTuple

from tests.chaos.choice import left_out
from tests.chaos.collect import collect
from tests.chaos.crew import SLOTS
from tests.chaos.drive import Drive
from tests.chaos.invariants import violations
from tests.chaos.report import report
from tests.chaos.world import world

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.choice import Choice
    from tests.chaos.facts import Facts


class Outcome(NamedTuple):
    """What came of a run."""

    facts: Facts
    violations: dict[str, list[str]]

    @property
    def held(self) -> bool:
        """Every invariant held."""
        return not any(self.violations.values())


def perform(choice: Choice, say: Callable[[str], None]) -> Outcome:
    """Runs, checks, and reports.

    Args:
        say: Takes lines of the report.
    """
    say(f"seed         {choice.seed}  (again: {choice.command})")
    if why := left_out():
        say(f"left out     restart-engine: {why}")
    rng = Random(f"{choice.seed} deploys")
    with world(rng, workers=choice.workers, apps=max(2 * SLOTS * choice.workers, choice.builds // 5)) as here:
        here.keep = True  # unless all is well
        drive = Drive(here, choice)
        settled_s = drive.run()
        facts = collect(here, drive.faults)
        outcome = Outcome(facts, violations(facts))
        for line in report(facts, outcome.violations, settled_s=settled_s):
            say(line)
        here.keep = not outcome.held
        if here.keep:
            say(f"output       {here.folder}/output")
    return outcome
