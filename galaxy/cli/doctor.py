"""`galaxy doctor`: what is wrong with the services around us, and what to do."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

import click

from galaxy.cli.render import visible, wants_colour

if TYPE_CHECKING:
    from galaxy.domain.diagnosis.finding import Finding

EXIT_PROBLEM = 1
EXIT_UNREACHABLE = 3

_COLOURS: Final = {"ok": "green", "warning": "yellow", "problem": "red"}
_LEVEL_WIDTH: Final = 7
_SUBJECT_WIDTH: Final = 13


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a finding.")
def doctor(as_json: bool) -> None:
    """Look for what is wrong, and say what to do.

    Looks at settings, Redis, engine, registries, workers, queues, waiting versions and periodic work. Run it on build
    workers too: only they have an engine. Exit codes: 0 no problem (warnings allowed), 1 a problem, 3 a service can't
    be reached.
    """
    from galaxy.bootstrap import pipeline
    from galaxy.cli.advice import advised
    from galaxy.domain.diagnosis.finding import Severity, any_problem, any_unreachable
    from galaxy.domain.diagnosis.words import counted

    findings = []
    colours = wants_colour(sys.stdout, os.environ)
    for finding in map(advised, pipeline().doctor.examine()):
        findings.append(finding)
        click.echo(finding.model_dump_json() if as_json else _shown(finding, colours=colours), color=colours)
    counts = {level: sum(finding.level is level for finding in findings) for level in Severity}
    problems, warnings = (
        counted(counts[level], level.value) for level in (Severity.PROBLEM, Severity.WARNING)
    )
    click.echo(f"{problems}, {warnings}, {counts[Severity.OK]} fine.", err=True)
    if any_unreachable(findings):
        sys.exit(EXIT_UNREACHABLE)
    if any_problem(findings):
        sys.exit(EXIT_PROBLEM)


def _shown(finding: Finding, *, colours: bool) -> str:
    """`LEVEL SUBJECT FOUND`, and the advice below it."""
    level = f"{finding.level:<{_LEVEL_WIDTH}}"
    marked = click.style(level, fg=_COLOURS[finding.level]) if colours else level
    line = f"{marked}  {finding.subject:<{_SUBJECT_WIDTH}}  {visible(finding.found)}"
    if not finding.advice:
        return line
    indent = " " * (_LEVEL_WIDTH + _SUBJECT_WIDTH + 4)
    return f"{line}\n{indent}-> {visible(finding.advice)}"
