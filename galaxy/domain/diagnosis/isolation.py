"""Rules about what a probe container could reach, and what it had."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from galaxy.domain.diagnosis.finding import fine, problem, warning
from galaxy.domain.diagnosis.probe import is_default_network
from galaxy.domain.diagnosis.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from galaxy.domain.diagnosis.finding import Finding
    from galaxy.domain.diagnosis.probe import ProbeReport, Target

SUBJECT: Final = "builds"
_RUNTIME: Final = "Check the engine's OCI runtime."


def judge_isolation(report: ProbeReport) -> Iterator[Finding]:
    """All that build containers have and should not; or that they are shut in."""
    found = [_reached(report, target) for target in report.reached]
    if report.leaked:
        found.append(
            problem(
                SUBJECT,
                f"Build containers get variables that are not their base image's: {', '.join(report.leaked)}.",
                "Look for what adds them in the engine's configuration.",
            )
        )
    if report.excess_capabilities:
        numbers = ", ".join(map(str, report.excess_capabilities))
        found.append(
            problem(
                SUBJECT,
                f"Build containers have capabilities that they must not have: {numbers} (capability(7)).",
                _RUNTIME,
            )
        )
    if not report.no_new_privileges:
        found.append(problem(SUBJECT, "Programs in build containers can gain privileges.", _RUNTIME))
    yield from found
    if not found:
        yield fine(
            SUBJECT,
            f"A build container on {report.network} reached none of {counted(report.tried, 'address', 'addresses')}.",
        )


def _reached(report: ProbeReport, target: Target) -> Finding:
    found = f"A build container on {report.network} reached {target}."
    if target.expected_public:
        return warning(SUBJECT, found, "It is on the internet: see that it asks for a login.")
    if is_default_network(report.network):  # as everybody begins; what it means is the engine's finding
        return warning(
            SUBJECT, found, "Make a network with deploy/build-network; name it in GALAXY_BUILD_NETWORK."
        )
    return problem(SUBJECT, found, "Forbid it with deploy/build-network.")
