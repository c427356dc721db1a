"""From when on the doctor says that an engine's disk is full."""

from __future__ import annotations

import pytest

from galaxy.domain.diagnosis.engine import BuildNeeds, EngineFacts, judge_engine
from galaxy.domain.diagnosis.finding import Severity

GIB = 1024**3
NEEDS = BuildNeeds(network="builds", runtime=None, memory_bytes=GIB)


@pytest.mark.parametrize(
    ("free", "severity"),
    [
        (20 * GIB, Severity.OK),
        (20 * GIB - 1, Severity.WARNING),
        (5 * GIB, Severity.WARNING),
        (5 * GIB - 1, Severity.PROBLEM),
    ],
)
def test_below_twenty_gibibytes_it_warns_and_below_five_it_complains(free: int, severity: Severity) -> None:
    facts = EngineFacts(
        address="unix:///var/run/docker.sock", version="20.10.24", api="1.41", driver="overlay2",
        root="/var/lib/docker", memory_bytes=2 * GIB, disk_free_bytes=free, networks=("builds",), runtimes=("runc",),
    )  # fmt: skip
    assert [each.level for each in judge_engine(facts, NEEDS)][1:] == [severity] * (
        severity is not Severity.OK
    )
