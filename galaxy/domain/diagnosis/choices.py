"""What to think of the operator's settings."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final, NamedTuple

from galaxy.domain.diagnosis.finding import fine, warning
from galaxy.domain.diagnosis.words import duration, size
from galaxy.domain.models import MAX_ATTEMPTS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from galaxy.domain.diagnosis.finding import Finding

SUBJECT: Final = "settings"
PREFIX: Final = "GALAXY_"
#: No settings: read by the command line, by the local stack and by docker-compose.yml.
_NOT_OURS: Final = frozenset(
    {"GALAXY_BUNDLE_URL", "GALAXY_BUNDLES_DIR", "GALAXY_BUNDLES_URL", "GALAXY_VERSION"}
)
_SAFE_LEASE_S: Final = 10.0
_SLOW_RECOVERY_S: Final = 120.0
#: A registry or an engine that is restarted, with its machine.
_SHORT_OUTAGE_S: Final = 60.0


class Choices(NamedTuple):
    """The settings that can be at odds with each other; named as in `galaxy/settings.py`."""

    lease_s: float
    reconcile_period_s: float
    requeue_after_s: float
    build_timeout_s: float
    engine_timeout_s: float
    retry_backoff_s: float
    outage_backoff_s: float
    retry_backoff_max_s: float
    log_max_bytes: int
    log_attempt_max_bytes: int
    build_memory_bytes: int
    build_pids: int


def judge_choices(choices: Choices, *, given: Collection[str], known: Collection[str]) -> Iterator[Finding]:
    """Weak combinations, and variables that mean nothing.

    Args:
        choices: What is in force.
        given: Names of the environment's variables.
        known: Names of all settings' variables.
    """
    findings = [*_weak(choices), *_unknown(given, known)]
    if not findings:
        ours = len({name.upper() for name in given} & set(known))
        findings = [fine(SUBJECT, f"{ours} of {len(known)} settings given, the others at their defaults.")]
    yield from findings


def _weak(its: Choices) -> Iterator[Finding]:
    if its.lease_s < _SAFE_LEASE_S:
        yield warning(
            SUBJECT,
            f"GALAXY_LEASE_S is {its.lease_s:g}: a short pause of Redis or of a worker ends its builds as lost.",
            f"Give it {_SAFE_LEASE_S:g} or more; the default is 20.",
        )
    recovery_s = its.lease_s + its.reconcile_period_s
    if recovery_s > _SLOW_RECOVERY_S:
        yield warning(
            SUBJECT,
            f"After a worker's crash its builds stand still for up to {duration(recovery_s)}.",
            "Lower GALAXY_LEASE_S or GALAXY_RECONCILE_PERIOD_S.",
        )
    if its.requeue_after_s < its.reconcile_period_s:
        yield warning(
            SUBJECT,
            "GALAXY_REQUEUE_AFTER_S is below GALAXY_RECONCILE_PERIOD_S, and waiting versions are looked at too often.",
            "Give it several periods.",
        )
    if its.retry_backoff_max_s < its.retry_backoff_s:
        yield warning(
            SUBJECT,
            "GALAXY_RETRY_BACKOFF_MAX_S is below GALAXY_RETRY_BACKOFF_S, which has no effect then.",
            "Swap them.",
        )
    outlasted_s = _outlasted_s(its)
    if outlasted_s < _SHORT_OUTAGE_S:
        yield warning(
            SUBJECT,
            f"A registry or an engine that is away for {duration(outlasted_s)} can fail a version for good.",
            "Raise GALAXY_OUTAGE_BACKOFF_S, and GALAXY_RETRY_BACKOFF_MAX_S to four times that; the defaults are 20 and"
            " 300.",
        )
    if its.build_timeout_s < its.engine_timeout_s:
        yield warning(
            SUBJECT,
            f"GALAXY_BUILD_TIMEOUT_S ({its.build_timeout_s:g}) ends an attempt before GALAXY_ENGINE_TIMEOUT_S"
            f" ({its.engine_timeout_s:g}) can tell that the engine hangs.",
            "Make the deadline the longer one.",
        )
    if MAX_ATTEMPTS * its.log_attempt_max_bytes > its.log_max_bytes:
        yield warning(
            SUBJECT,
            f"{MAX_ATTEMPTS} attempts may print {size(MAX_ATTEMPTS * its.log_attempt_max_bytes)}, and an app's log"
            f" holds {size(its.log_max_bytes)}: the first attempts' lines would go.",
            f"Make GALAXY_LOG_MAX_BYTES more than {MAX_ATTEMPTS} times GALAXY_LOG_ATTEMPT_MAX_BYTES.",
        )
    unlimited = [
        name
        for name, limit in (
            ("GALAXY_BUILD_MEMORY_BYTES", its.build_memory_bytes),
            ("GALAXY_BUILD_PIDS", its.build_pids),
        )
        if not limit
    ]
    if unlimited:
        yield warning(
            SUBJECT,
            f"{' and '.join(unlimited)} set no limit, so one build can stop the machine.",
            "Set a limit; the defaults are in docs/settings.md.",
        )


def _outlasted_s(its: Choices) -> float:
    """From the end of the first attempt to the beginning of the last, if all waits between them are the shortest."""
    waits = (its.outage_backoff_s * 2.0**retry for retry in range(MAX_ATTEMPTS - 1))
    return sum(min(wait, its.retry_backoff_max_s) for wait in waits) / 2


def _unknown(given: Collection[str], known: Collection[str]) -> Iterator[Finding]:
    for name in sorted(given):
        written = name.upper()  # settings are read whatever their case
        if not written.startswith(PREFIX) or written in known or written in _NOT_OURS:
            continue
        like = difflib.get_close_matches(written, known, n=1, cutoff=0.8)
        yield warning(
            SUBJECT,
            f"{name} is no setting and has no effect.",
            f"Did you mean {like[0]}?" if like else "docs/settings.md lists all settings.",
        )
