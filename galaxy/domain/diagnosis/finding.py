"""One thing that the doctor found, and what to do about it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import Field

from galaxy.domain.models import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable


class Severity(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """It works now, and will not always."""
    PROBLEM = "problem"
    """Something is lost, stands still, or soon will."""


class Finding(Frozen):
    """One line of the doctor's report. Holds no secret.

    Attributes:
        subject: What was looked at, such as `redis: store`.
        found: What is the case, as a sentence.
        advice: What to do, as a sentence; empty when there is nothing to do.
        unreachable: A service that the pipeline needs can't be reached or does not let us in.
        code: Names the finding for faces that advise with commands or pages of their own; empty for most.
        facts: What such advice needs to know, by name. Neither is part of the finding's JSON.
    """

    level: Severity
    subject: str
    found: str
    advice: str = ""
    unreachable: bool = False
    code: str = Field(default="", exclude=True)
    facts: dict[str, str] = Field(default_factory=dict, exclude=True)


def fine(subject: str, found: str) -> Finding:
    """Nothing has to be done."""
    return Finding(level=Severity.OK, subject=subject, found=found)


def warning(subject: str, found: str, advice: str, *, code: str = "", **facts: str) -> Finding:
    """Something should be done."""
    return Finding(
        level=Severity.WARNING, subject=subject, found=found, advice=advice, code=code, facts=facts
    )


def problem(subject: str, found: str, advice: str) -> Finding:
    """Something has to be done."""
    return Finding(level=Severity.PROBLEM, subject=subject, found=found, advice=advice)


def unreachable(subject: str, found: str, advice: str) -> Finding:
    """A service has to be brought back, or its address mended."""
    return Finding(level=Severity.PROBLEM, subject=subject, found=found, advice=advice, unreachable=True)


def any_unreachable(findings: Iterable[Finding]) -> bool:
    """Whether a service could not be reached."""
    return any(finding.unreachable for finding in findings)


def any_problem(findings: Iterable[Finding]) -> bool:
    """Whether something has to be done."""
    return any(finding.level is Severity.PROBLEM for finding in findings)
