from __future__ import annotations

import pytest

from galaxy.domain.diagnosis.choices import Choices, judge_choices
from galaxy.domain.diagnosis.finding import Finding, Severity
from galaxy.domain.diagnosis.words import counted, duration, size
from galaxy.settings import Settings

DEFAULTS = Choices(**{name: Settings.model_fields[name].default for name in Choices._fields})


def judged(choices: Choices = DEFAULTS, given: tuple[str, ...] = ()) -> list[Finding]:
    return list(judge_choices(choices, given=given, known=Settings.variables()))


def test_the_defaults_are_fine() -> None:
    assert [finding.level for finding in judged()] == [Severity.OK]


@pytest.mark.parametrize(
    ("differing", "told"),
    [
        ({"lease_s": 5.0}, "GALAXY_LEASE_S is 5:"),
        ({"lease_s": 600.0}, "stand still for up to 10 min"),
        ({"requeue_after_s": 1.0}, "GALAXY_REQUEUE_AFTER_S"),
        ({"retry_backoff_s": 301.0}, "GALAXY_RETRY_BACKOFF_MAX_S"),
        ({"outage_backoff_s": 5.0}, "away for 18 s can fail a version"),
        ({"retry_backoff_max_s": 30.0}, "away for 40 s can fail a version"),
        ({"build_timeout_s": 60.0}, "GALAXY_BUILD_TIMEOUT_S (60)"),
        ({"log_max_bytes": 12 * 1024**2}, "4 attempts may print 48.0 MiB"),
        ({"build_memory_bytes": 0, "build_pids": 0}, "GALAXY_BUILD_MEMORY_BYTES and GALAXY_BUILD_PIDS"),
    ],
)
def test_weak_combinations_are_warnings(differing: dict[str, float], told: str) -> None:
    (finding,) = judged(DEFAULTS._replace(**differing))
    assert finding.level is Severity.WARNING
    assert told in finding.found
    assert finding.advice


def test_a_variable_that_means_nothing_is_told_with_what_was_meant() -> None:
    (near, far) = judged(given=("GALAXY_LEASES", "GALAXY_XYZZY", "HOME", "GALAXY_LEASE_S", "galaxy_name"))
    assert (near.found, near.advice) == (
        "GALAXY_LEASES is no setting and has no effect.",
        "Did you mean GALAXY_LEASE_S?",
    )
    assert "docs/settings.md" in far.advice
    assert {near.level, far.level} == {Severity.WARNING}


def test_variables_of_the_command_line_the_local_stack_and_the_compose_file_are_known() -> None:
    (finding,) = judged(given=("GALAXY_BUNDLES_DIR", "GALAXY_BUNDLE_URL", "GALAXY_VERSION", "GALAXY_NAME"))
    assert finding.found.startswith("1 of ")


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (3 * 1024**4, "3.0 TiB")]
)
def test_sizes_are_said_in_binary_units(count: int, said: str) -> None:
    assert size(count) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (119, "119 s"), (121, "2 min"), (7300, "2 h"), (200_000, "2 days")]
)
def test_durations_are_said_roughly(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_nouns_follow_their_number() -> None:
    assert (counted(1, "key"), counted(2, "key"), counted(2, "entry", "entries")) == (
        "1 key",
        "2 keys",
        "2 entries",
    )
