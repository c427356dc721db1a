"""What must be true after a run, whatever went wrong in it. Each check takes facts and tells every violation."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from galaxy.domain.models import MAX_ATTEMPTS
from galaxy.domain.states import UNFINISHED, VersionState
from tests.chaos import sentences
from tests.chaos.log_checks import garbled, is_complete
from tests.chaos.recovery import late

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from galaxy.domain.models import VersionRef
    from tests.chaos.facts import Deployed, Facts, Run

_SERVED: Final = frozenset({VersionState.ACTIVE, VersionState.RETIRED})


def lost(facts: Facts) -> Iterator[str]:
    """Versions that did not reach the end that they should have reached, and whatever still waits."""
    for deployed in facts.deployed:
        version = facts.versions.get(deployed.ref)
        if version is None:
            yield f"{deployed.ref} was deployed, and the store does not know it"
        elif version.state in UNFINISHED:
            yield f"{deployed.ref} is still {version.state}"
        else:
            yield from _wrong_end(facts, deployed)
    for app, active in facts.active.items():
        newest = max((ref.number for ref in _served(facts) if ref.app == app), default=None)
        if newest != active:
            yield f"{app}: version {active} is active, and not version {newest}"
    yield from (f"{count} left in {place}" for place, count in facts.waiting.items() if count)
    yield from (f"{ref} still has a lease" for ref in facts.leases)


def _wrong_end(facts: Facts, deployed: Deployed) -> Iterator[str]:
    ref, plan = deployed.ref, deployed.plan
    state = facts.versions[ref].state
    if state in _SERVED:
        if plan.never_works:
            yield f"{ref} is {state}, though its setup.sh never works"
    elif state is VersionState.CANCELLED:
        if not deployed.cancelled:
            yield f"{ref} is cancelled, and nobody asked for that"
    elif state is VersionState.SUPERSEDED:
        if not any(other.app == ref.app and other.number > ref.number for other in facts.versions):
            yield f"{ref} is superseded, and there is no newer version"
    elif state is VersionState.BUILD_FAILED:
        reasons = sentences.failures(facts.lines_of(ref))
        if missing := [number for number in range(1, MAX_ATTEMPTS + 1) if number not in reasons]:
            yield f"{ref} has failed, and the log does not say why attempts {missing} did"
        if not plan.fails and any(sentences.ON_PURPOSE in reason for reason in reasons.values()):
            yield f"{ref} failed in a setup.sh that works"
    else:
        yield f"{ref} is {state}, which nothing here leads to"


def doubled(facts: Facts) -> Iterator[str]:
    """Versions that were made, built, recorded or activated twice, or by two attempts at once."""
    for app in {*facts.active, *(deployed.ref.app for deployed in facts.deployed)}:
        numbers = sorted(ref.number for ref in facts.versions if ref.app == app)
        deploys = sum(deployed.ref.app == app for deployed in facts.deployed)
        if numbers != [*range(1, deploys + 1)]:
            yield f"{app} was deployed {deploys} times and has versions {numbers}"
        states = [facts.versions[ref].state for ref in facts.versions if ref.app == app]
        if states.count(VersionState.ACTIVE) > 1:
            yield f"{app} has several active versions"
        yield from _history(facts, app)
    for ref in facts.versions:
        built = sentences.count_built(facts.lines_of(ref))
        if built > 1:
            yield f"{ref}: the log says {built} times that it is built"
        yield from _two_runs(facts, ref)
        yield from _image(facts, ref)


def _history(facts: Facts, app: str) -> Iterator[str]:
    entries = facts.activity.get(app, ())
    for event in ("deployed", "built", "active", "build_failed", "cancelled", "superseded"):
        counted = Counter(entry.version for entry in entries if entry.event == event)
        yield from (f"{app}: version {one} was {event} {n} times" for one, n in counted.items() if n > 1)
    activated = [entry.version for entry in entries if entry.event == "active"]
    if any(later < earlier for earlier, later in pairwise(activated)):
        yield f"{app}: the active version moved backwards: {activated}"


def _two_runs(facts: Facts, ref: VersionRef) -> Iterator[str]:
    runs = [run for run in facts.runs if run.ref == ref]
    tokens = Counter(run.token for run in runs if run.token is not None)
    yield from (f"{ref}: claim {token} ran setup.sh {n} times" for token, n in tokens.items() if n > 1)
    for first, second in combinations(runs, 2):
        overlap_s = first.seen_at - second.started_at
        if overlap_s > _longest_overlap_s(facts, first, second):
            yield f"{ref}: runs {first.number} and {second.number} went on side by side for {overlap_s:.1f} s"


def _longest_overlap_s(facts: Facts, first: Run, second: Run) -> float:
    """A worker that was stopped or killed can't end its container: a reaper does, once somebody's goes round again."""
    timing = facts.timing
    broken_s = sum(
        fault.until - fault.at + timing.allowance_s
        for fault in facts.faults
        if fault.aim != "nuisance" and fault.at < first.seen_at and fault.until > second.started_at
    )
    return timing.lease_s + 2 * timing.reap_s + timing.allowance_s + broken_s


def _image(facts: Facts, ref: VersionRef) -> Iterator[str]:
    version, pushed = facts.versions[ref], facts.pushed.get(ref)
    if pushed is None:
        if version.state in _SERVED:
            yield f"{ref} is {version.state}, and has no image"
        return
    if not pushed.recorded:
        yield f"{ref}: the registry does not have the recorded digest {version.image_digest}"
        return
    if pushed.tag_digest != version.image_digest:
        yield f"{ref}: the tag leads to {pushed.tag_digest}, and not to the recorded {version.image_digest}"
    label = pushed.labels.get("org.opencontainers.image.version")
    if label != str(ref.number):
        yield f"{ref}: the label of its image says version {label}"
    run = next((run for run in facts.runs if run.number == pushed.run), None)
    if run is None or run.ref != ref:
        yield f"{ref}: its image was made by run {pushed.run}, which is not one of its own"
    elif run.ended_at is None:
        yield f"{ref}: its image was made by run {run.number}, which never came to its end"
    elif not is_complete(facts, run):
        yield f"{ref}: lines of run {run.number} are missing in the log, and it made the image"


def over_budget(facts: Facts) -> Iterator[str]:
    """Versions with more attempts than there may be, or with one that two workers began."""
    replaced = {fault.member for fault in facts.faults if fault.name == "replace-worker"}
    for ref, version in facts.versions.items():
        began = sorted((began for began in facts.began if began.ref == ref), key=lambda one: one.at)
        highest = max([version.attempt, *(one.attempt for one in began)])
        if highest > MAX_ATTEMPTS:
            yield f"{ref} had {highest} attempts"
        for one, again in pairwise(began):
            # a worker that is told to end gives its attempt back, unused
            if again.attempt <= one.attempt and one.member not in replaced:
                yield f"{ref}: attempt {again.attempt} began on {again.member} after {one.attempt} on {one.member}"


def leaked(facts: Facts) -> Iterator[str]:
    """What belongs to nobody and is still there."""
    yield from facts.left


def exposed(facts: Facts) -> Iterator[str]:
    """Secrets in places where none may be. The secret itself is not repeated."""
    for place, text in facts.texts.items():
        found = sum(secret in text for secret in facts.secrets)
        if found:
            yield f"{found} secrets in {place}"


def crashed(facts: Facts) -> Iterator[str]:
    """Processes that ended by themselves, or did not end when they were told to."""
    yield from facts.accidents


def _served(facts: Facts) -> list[VersionRef]:
    return [ref for ref, version in facts.versions.items() if version.state in _SERVED]


class Check(NamedTuple):
    """One line of the report.

    Attributes:
        find: Yields a sentence for each violation.
        counts: What the line counts, for the report's readers.
    """

    find: Callable[[Facts], Iterator[str]]
    counts: str


#: In the order of the report.
CHECKS: Final[dict[str, Check]] = {
    "lost": Check(lost, "versions that did not end as they should have, and work or leases that are left"),
    "doubled": Check(
        doubled, "versions made, built or activated twice, and active versions that moved backwards"
    ),
    "leaked": Check(leaked, "containers, volumes, networks, images and processes that belong to nobody"),
    "over budget": Check(over_budget, "versions with more attempts than are allowed"),
    "garbled": Check(garbled, "log lines that are missing, doubled or out of order"),
    "exposed": Check(exposed, "secrets in messages, results, logs, output or images"),
    "crashed": Check(crashed, "processes that ended by themselves, or did not end when they had to"),
    "late": Check(late, "attempts that began later after a lost worker than the bound allows"),
}


def violations(facts: Facts) -> dict[str, list[str]]:
    """What each check found."""
    return {name: [*check.find(facts)] for name, check in CHECKS.items()}
