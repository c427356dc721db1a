from __future__ import annotations

import pytest

from galaxy.domain.diagnosis.engine import (
    BuildNeeds,
    EngineFacts,
    RegistryFacts,
    judge_engine,
    judge_registry,
)
from galaxy.domain.diagnosis.finding import Finding, Severity

GIB = 1024**3
NEEDS = BuildNeeds(network="builds", runtime=None, memory_bytes=4 * GIB)
ENGINE = EngineFacts(
    address="unix:///var/run/docker.sock", version="20.10.24", api="1.41", driver="overlay2", root="/var/lib/docker",
    memory_bytes=16 * GIB, disk_free_bytes=50 * GIB, networks=("bridge", "builds"), runtimes=("runc",),
)  # fmt: skip


def judged(needs: BuildNeeds = NEEDS, **differing: object) -> list[Finding]:
    return list(judge_engine(ENGINE.model_copy(update=differing), needs))


def test_a_good_engine_is_told_in_one_line() -> None:
    (finding,) = judged()
    assert finding.level is Severity.OK
    assert "50.0 GiB free" in finding.found


def test_what_can_not_be_known_of_the_disk_is_not_told() -> None:
    (finding,) = judged(disk_free_bytes=None)
    assert "free" not in finding.found


@pytest.mark.parametrize(
    ("differing", "level", "told"),
    [
        ({"disk_free_bytes": 19 * GIB}, Severity.WARNING, "19.0 GiB are free"),
        ({"disk_free_bytes": 4 * GIB}, Severity.PROBLEM, "4.0 GiB are free"),
        ({"networks": ("bridge",)}, Severity.PROBLEM, "no network builds"),
        ({"api": "1.39"}, Severity.PROBLEM, "too old"),
        ({"memory_bytes": 2 * GIB}, Severity.WARNING, "more than the machine's"),
    ],
)
def test_what_is_wrong_is_told_with_advice(differing: dict[str, object], level: Severity, told: str) -> None:
    (finding,) = [each for each in judged(**differing) if each.level is not Severity.OK]
    assert finding.level is level
    assert told in finding.found
    assert finding.advice


def test_the_open_network_and_a_missing_runtime_are_problems() -> None:
    _, network = judged(BuildNeeds(network="bridge", runtime="runc", memory_bytes=0))
    assert (network.level, "GALAXY_BUILD_NETWORK" in network.advice) == (Severity.PROBLEM, True)
    _, runtime = judged(BuildNeeds(network="builds", runtime="runsc", memory_bytes=0))
    assert (runtime.level, "no runtime runsc" in runtime.found) == (Severity.PROBLEM, True)


def test_the_machines_own_network_is_as_open_as_the_engines() -> None:
    _, network = judged(BuildNeeds(network="host", runtime=None, memory_bytes=0), networks=("bridge", "host"))
    assert (network.level, "own network host" in network.found) == (Severity.PROBLEM, True)


def test_a_machine_without_an_engine_is_a_warning_and_one_whose_engine_is_away_a_problem() -> None:
    (nothing,) = judged(here=False)
    assert (nothing.level, "No engine here" in nothing.found) == (Severity.WARNING, True)
    (away,) = judged(failure="It is away.", advice="Start it.")
    assert (away.level, away.unreachable) == (Severity.PROBLEM, True)


NOT_HERE = EngineFacts(here=False)


@pytest.mark.parametrize(
    ("registry", "engine", "level", "unreachable"),
    [
        (RegistryFacts(address="r"), ENGINE, Severity.OK, False),
        # a container can't reach the host's loopback, but its engine can
        (RegistryFacts(address="r", failure="Refused.", loopback=True), ENGINE, Severity.OK, False),
        (
            RegistryFacts(address="r"),
            ENGINE.model_copy(update={"registry_failure": "x509"}),
            Severity.PROBLEM,
            True,
        ),
        (RegistryFacts(address="r"), NOT_HERE, Severity.OK, False),
        (RegistryFacts(address="r", failure="Refused.", loopback=True), NOT_HERE, Severity.WARNING, False),
        (RegistryFacts(address="r", failure="Refused."), NOT_HERE, Severity.PROBLEM, True),
    ],
)
def test_the_engines_word_on_the_registry_counts(
    registry: RegistryFacts, engine: EngineFacts, level: Severity, *, unreachable: bool
) -> None:
    (finding,) = judge_registry(registry, engine)
    assert (finding.level, finding.unreachable) == (level, unreachable)
