"""What follows from a base image that changed: which apps get a new version, why, and in which waves."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Final, NamedTuple

from galaxy.domain.models import Frozen
from galaxy.domain.states import FAILED, UNFINISHED, VersionState

#: Who makes automatic versions, in histories and logs.
AUTOMATIC_BY: Final = "base image update"


class Compare(StrEnum):
    """What counts as a change of a base image."""

    PLATFORM = "platform"
    """The manifest for the platform that is built on. Changes of other platforms are none."""
    TAG = "tag"
    """Whatever the tag points to."""


class Updates(StrEnum):
    """What an app wants of base image updates."""

    ON = "on"
    """It is rebuilt when its base image changes."""
    OFF = "off"
    """It is not rebuilt by itself; a person's deploy uses what the tag points to then."""
    PINNED = "pinned"
    """It stays on the digest that it ran on when it was pinned; deploys on the same tag are built on it, too."""


class Verdict(StrEnum):
    """What a base image's change means for one app."""

    REBUILD = "rebuild"
    """It gets an automatic version."""
    UP_TO_DATE = "up_to_date"
    """It is built on this digest, or is being built on it."""
    RUNS_IT = "runs_it"
    """Its active version is built on this digest; what is being built on another one has lost its reason."""
    RESOLVES_ITSELF = "resolves_itself"
    """Its newest version has not looked the tag up yet."""
    WAITS = "waits"
    """A person's version is being built on an earlier digest: decided again when that is final."""
    AHEAD = "ahead"
    """It looked the tag up after the last check did, and found something else: decided again after the next check."""
    ALREADY_TRIED = "already_tried"
    """There was an automatic version on this digest, and it failed, was cancelled, or a person restored another."""
    UPDATES_OFF = "updates_off"
    """The app's updates are off."""
    PINNED = "pinned"
    """The app is pinned to a digest."""
    OTHER_BASE_IMAGE = "other_base_image"
    """What would be rebuilt is built on another base image."""
    NOTHING_TO_REBUILD = "nothing_to_rebuild"
    """No version was ever active, and the newest one was cancelled, or ended before it looked the tag up."""


class Wanted(NamedTuple):
    """What a base image is now.

    Attributes:
        image: Canonical reference.
        digest: What the tag points to, and what is built.
        content: What is compared: the platform's manifest digest, or `digest` with `Compare.TAG`.
        seen_at_ms: The tag was looked up after this moment, in milliseconds since the epoch.
    """

    image: str
    digest: str
    content: str
    seen_at_ms: float = math.inf


class VersionSnapshot(NamedTuple):
    """What counts of a version.

    Attributes:
        base_image: Canonical reference; empty when the settings named a digest.
        base_digest: None before the tag was looked up.
        resolved_at_ms: When its own build looked the tag up, in milliseconds since the epoch; None if it was told the
            digest.
        platform_digest: The platform's manifest in `base_digest`; None when nobody has looked yet.
        made: Number of the newest automatic version with this version's code on the wanted content, if there is one.
        made_state: Its state.
    """

    number: int
    state: VersionState
    automatic: bool
    base_image: str
    base_digest: str | None
    resolved_at_ms: int | None
    platform_digest: str | None
    made: int | None
    made_state: VersionState | None


class AppSnapshot(NamedTuple):
    """Where an app stands.

    Attributes:
        newest: If that came to nothing while an earlier one is on its way to become active, the earlier one.
        active: None when no version is active.
        seen: Stands for everything here: the store makes a version only if nothing has changed since.
    """

    app: str
    updates: Updates
    newest: VersionSnapshot
    active: VersionSnapshot | None
    seen: str


class Decision(NamedTuple):
    """`source`: number of the version whose code is rebuilt, with `Verdict.REBUILD`."""

    verdict: Verdict
    source: int | None = None


def decide(snapshot: AppSnapshot, wanted: Wanted, compare: Compare) -> Decision:  # noqa: PLR0911 - one guard a verdict
    """Whether the app needs a new version on this base image, by comparing what is with what should be."""
    newest, active = snapshot.newest, snapshot.active
    if snapshot.updates is not Updates.ON:
        return Decision(Verdict.PINNED if snapshot.updates is Updates.PINNED else Verdict.UPDATES_OFF)
    source = source_of(newest, active)
    if source is None:
        return Decision(Verdict.NOTHING_TO_REBUILD)
    if source.base_image != wanted.image:
        return Decision(Verdict.OTHER_BASE_IMAGE)
    if source.base_digest is None:
        in_work = source.state in UNFINISHED
        return Decision(Verdict.RESOLVES_ITSELF if in_work else Verdict.NOTHING_TO_REBUILD)
    if _is_on(source, wanted, compare):
        return Decision(Verdict.UP_TO_DATE)
    if source.state in UNFINISHED and not source.automatic:
        return Decision(Verdict.WAITS)
    if source.state in UNFINISHED and active and _is_on(active, wanted, compare):
        return Decision(Verdict.RUNS_IT)
    if source.resolved_at_ms is not None and source.resolved_at_ms > wanted.seen_at_ms:
        return Decision(Verdict.AHEAD)
    if _had_its_chance(source, active):
        return Decision(Verdict.ALREADY_TRIED)
    return Decision(Verdict.REBUILD, source.number)


def decide_about_next(snapshot: AppSnapshot, image: str, compare: Compare) -> Decision:
    """What the base image's next change would mean for the app, whatever that brings."""

    def untried(version: VersionSnapshot) -> VersionSnapshot:
        return version._replace(made=None, made_state=None)

    active = untried(snapshot.active) if snapshot.active else None
    snapshot = snapshot._replace(newest=untried(snapshot.newest), active=active)
    return decide(snapshot, Wanted(image, digest="", content=""), compare)


def source_of(newest: VersionSnapshot, active: VersionSnapshot | None) -> VersionSnapshot | None:
    """The version whose code an automatic version has: the newest, unless that came to nothing.

    A deploy that failed must not come alive by itself weeks later: then what runs is rebuilt. If nothing ever ran,
    the newest one gets the chance that a changed base image gives it, but not if a person cancelled it.
    """
    if newest.state not in FAILED and newest.state is not VersionState.RETIRED:
        return newest
    if active is not None:
        return active
    return None if newest.state is VersionState.CANCELLED else newest


def _is_on(version: VersionSnapshot, wanted: Wanted, compare: Compare) -> bool:
    if version.base_digest == wanted.digest:
        return True
    return compare is Compare.PLATFORM and version.platform_digest == wanted.content


def _had_its_chance(source: VersionSnapshot, active: VersionSnapshot | None) -> bool:
    """One automatic version for each digest: whatever became of it, short of two things that only tags bring about.

    It was superseded before it was done, or it served and a later version replaced it (not an earlier one, which
    would be a person's restore); then the tag came back to its digest.
    """
    if source.made is None or source.made_state is VersionState.SUPERSEDED:
        return False
    replaced = active is not None and active.number > source.made
    return not (source.made_state is VersionState.RETIRED and replaced)


class UpdateState(StrEnum):
    """How an update stands."""

    RUNNING = "running"
    """Its waves go on."""
    PAUSED = "paused"
    """Too many builds of the last wave failed; a person decides whether it goes on."""
    DONE = "done"
    """All dependents were walked, and all versions it made are final."""


class Update(Frozen):
    """One change of a base image, and the work it causes. The store keeps the newest one of each base image.

    Attributes:
        number: Counts the changes of this base image.
        digest: What the tag pointed to; see `Wanted`.
        cursor: The last dependent that was walked; empty before the first.
        walked: All dependents were walked.
        wave: From 1.
        dependents: How many apps depended on the base image when it changed.
        created: Automatic versions that were made.
        built: Those that became active.
        failed: Those whose build or rollout failed.
        dropped: Those that were cancelled or superseded.
        excused: Those that failed, of apps whose previous build had failed, too.
        skipped: Dependents that needed none.
        wave_created: As `created`, in this wave.
        wave_failed: As `failed`, in this wave, without those that are excused.
        seen_at_ms: See `Wanted`.
        handed_out: Apps whose `tasks.new_version` was sent and has not been done.
        late: Apps that have to be decided about again.
    """

    image: str
    number: int
    state: UpdateState
    digest: str
    content: str
    cursor: str = ""
    walked: bool = False
    wave: int = 1
    dependents: int = 0
    created: int = 0
    built: int = 0
    failed: int = 0
    dropped: int = 0
    excused: int = 0
    skipped: int = 0
    wave_created: int = 0
    wave_failed: int = 0
    reason: str | None = None
    started_at_ms: int
    seen_at_ms: int = 0
    handed_out: int = 0
    late: int = 0

    @property
    def wanted(self) -> Wanted:
        """What the base image is since this change."""
        return Wanted(self.image, self.digest, self.content, self.seen_at_ms)

    @property
    def unfinished(self) -> int:
        """Versions that it made and that are not final."""
        return self.created - self.built - self.failed - self.dropped

    def room(self, wave_limit: float) -> float:
        """How many more apps may be handed out, if the waves up to this one make so many versions together.

        Versions that say nothing about the base image give their places to others: those that were dropped, and those
        that failed as they had before.
        """
        telling = self.created - self.dropped - self.excused
        return wave_limit - telling - self.handed_out

    def wave_is_over(self, wave_limit: float) -> bool:
        """Everything that this wave may make is made and final."""
        nothing_more = self.room(wave_limit) <= 0 or (self.walked and not self.late)
        return nothing_more and not self.handed_out and not self.unfinished


class Waves(tuple[str, ...]):
    """How many apps have a new version after each wave: a number, or a share of all. After the last, all have."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Waves:
        """Reads `1,10%,100%`, as the settings have checked it."""
        return cls(text.split(","))

    def limit(self, wave: int, dependents: int) -> float:
        """How many versions the waves up to this one (from 1) make together."""
        if wave >= len(self):
            return math.inf  # also those who came to depend on it since
        return max(_size(each, dependents) for each in self[:wave])


def _size(wave: str, dependents: int) -> int:
    number = int(wave.rstrip("%"))
    return math.ceil(dependents * number / 100) if wave.endswith("%") else number


def too_many_failed(update: Update, allowance: float) -> bool:
    """Whether more of a wave's builds failed than can be put down to chance, of apps that could be built before.

    Args:
        update: At the end of a wave.
        allowance: Share of the wave's builds that may fail, for builds that fail now and then.
    """
    return update.wave_failed > math.floor(allowance * update.wave_created)
