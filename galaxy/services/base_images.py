"""Watches base images: asks their registries, once for all apps, and has dependents rebuilt when one changed."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Final

import structlog

from galaxy.domain.base_images.base_image import Checked, CheckOutcome, Dependent, next_check_in_s, outcome_of
from galaxy.domain.base_images.checks import CheckLease, CheckPostponed, CheckResult, Found
from galaxy.domain.base_images.image_reference import ImageReference, familiar_name
from galaxy.domain.base_images.updates import Compare, Updates, UpdateState, Wanted, decide_about_next
from galaxy.domain.deploys.problems import refused
from galaxy.domain.errors import (
    BaseImageNotChecked,
    BaseImageNotFound,
    BaseImageNotWatched,
    GalaxyError,
    NoPausedUpdate,
    QueueError,
    RegistryThrottled,
    StoreError,
    UserError,
)
from galaxy.domain.heartbeats import POLL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from galaxy.adapters.registry import RegistryClient
    from galaxy.adapters.store.base_images import BaseImageStore
    from galaxy.adapters.store.dependents import DependentStore
    from galaxy.adapters.store.heartbeats import HeartbeatStore
    from galaxy.adapters.store.updates import UpdateStore
    from galaxy.domain.base_images.base_image import BaseImage
    from galaxy.domain.base_images.updates import Update
    from galaxy.services.rebuilds import Rebuilds
    from galaxy.services.snapshots import Platforms, SnapshotReader
    from galaxy.settings import Settings

logger = structlog.get_logger(__name__)

#: A poller that is killed keeps the others away for so long.
_POLLING_S: Final = 15.0
_PAGE: Final = 20
#: How long a person's check waits for its turn: so many pauses of so many seconds.
_PATIENCE, _PAUSE_S = 20, 1.0


class BaseImages:
    """The base images that apps depend on."""

    def __init__(  # noqa: PLR0913 - what it watches, what it asks, and what follows
        self,
        *,
        store: BaseImageStore,
        dependents: DependentStore,
        updates: UpdateStore,
        heartbeats: HeartbeatStore,
        registry: RegistryClient,
        platforms: Platforms,
        snapshots: SnapshotReader,
        rebuilds: Rebuilds,
        settings: Settings,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._dependents = dependents
        self._updates = updates
        self._heartbeats = heartbeats
        self._registry = registry
        self._platforms = platforms
        self._snapshots = snapshots
        self._rebuilds = rebuilds
        self._settings = settings
        self._compare = Compare(settings.base_image_compare)
        self._sleep = sleep

    def poll(self) -> int:
        """Checks every base image that is due, unless another worker is doing so; returns how many it checked."""
        checked = 0
        threads = self._settings.base_image_poll_threads
        with self._store.only_poller(_POLLING_S) as renew, ThreadPoolExecutor(threads) as pool:
            while renew() and (checks := self._store.take_checks(8 * threads)):
                answers = pool.map(self._ask, checks)
                while some := [*islice(answers, _PAGE)]:
                    self._record([answer for answer, _ in some])
                checked += len(checks)
        self._heartbeats.record_heartbeat(POLL)
        return checked

    def check(self, reference: str) -> Checked:
        """Checks one base image now, due or not, with the same budget; its `error` says why that failed.

        Raises:
            InvalidInput: It is no image reference, or holds a digest.
            BaseImageNotWatched: No app depends on it.
            RegistryThrottled: The registry's budget is used up for longer than a person waits.
        """
        image = _image(reference)
        check = self._store.take_check(image)
        for _ in range(_PATIENCE):
            if isinstance(check, CheckLease) or not _worth_waiting(check):
                break
            self._sleep(min(check.wait_s, _PAUSE_S))
            check = self._store.take_check(image)
        if isinstance(check, CheckPostponed):
            raise _too_late(image, check)
        error = self._check(check)
        return _checked(check, self._store.base_image(image), error)

    def check_all(self) -> Iterator[Checked]:
        """Checks all base images that apps depend on now, due or not, by name."""

        def check(found: BaseImage) -> Checked | None:
            try:
                return self.check(found.reference)
            except BaseImageNotWatched:  # its last app has gone
                return None
            except RegistryThrottled as error:
                postponed = found.model_copy(update={"error": str(error)})
                return Checked(base_image=postponed, outcome=CheckOutcome.POSTPONED)

        with ThreadPoolExecutor(self._settings.base_image_poll_threads) as pool:
            yield from filter(None, pool.map(check, self.all()))

    def all(self) -> list[BaseImage]:
        """All base images that apps depend on, by name."""
        return self._store.base_images()

    def dependents(self, reference: str) -> Iterator[Dependent]:
        """What the base image's state means for each app that depends on it, by name; now, and when it changes.

        Raises:
            InvalidInput: It is no image reference, or holds a digest.
            BaseImageNotWatched: No app depends on it.
            BaseImageNotChecked: It has not been checked with success yet.
            RegistryError: It can't be found out what an app's base image held.
        """
        found = self._store.base_image(_image(reference))
        if found.digest is None:
            name = familiar_name(found.reference)
            raise BaseImageNotChecked(
                f"Nothing is known of {name} yet: it has not been checked with success.", image=name
            )
        content = self._content(found.digest, found.platform_digest)
        wanted = Wanted(found.reference, found.digest, content, found.seen_at_ms)
        after = ""
        while True:
            after, snapshots = self._snapshots.dependents(wanted, after=after, limit=_PAGE)
            for snapshot in snapshots:
                now = self._snapshots.decide(snapshot, wanted)
                then = decide_about_next(snapshot, wanted.image, self._compare)
                yield Dependent(
                    app=snapshot.app,
                    updates=snapshot.updates,
                    newest=snapshot.newest.number,
                    active=snapshot.active.number if snapshot.active else None,
                    verdict=now.verdict,
                    source=now.source,
                    next_verdict=then.verdict,
                    next_source=then.source,
                )
            if not after:
                return

    def update(self, reference: str) -> Update | None:
        """The newest update of a base image: how far it is, and what came of it."""
        return self._updates.update(_image(reference))

    def resume(self, reference: str) -> Update:
        """Goes on with the next wave of an update that has paused; returns the update as it was.

        Raises:
            InvalidInput: It is no image reference, or holds a digest.
            BaseImageNotWatched: No app depends on it.
            NoPausedUpdate: No update of it has paused.
        """
        image = self._store.base_image(_image(reference)).reference
        update = self._updates.update(image)
        if update is None or update.state is not UpdateState.PAUSED:
            name = familiar_name(image)
            raise NoPausedUpdate(f"No update of {name} has paused.", image=name)
        self._updates.advance(update, UpdateState.RUNNING, next_wave=True)
        logger.info("update.resumed", image=familiar_name(image), wave=update.wave + 1)
        self._admit_rebuilds()
        return update

    def set_updates(self, app: str, updates: Updates) -> str | None:
        """Turns an app's updates on or off, or pins it to the digest that it runs on, which is returned.

        Raises:
            AppNotFound: The app was never deployed.
            NothingToPin: There is nothing to pin it to.
        """
        digest = self._dependents.set_updates(app, updates)
        if updates is Updates.ON:
            self._admit_rebuilds()
        return digest

    # -- inside

    def _admit_rebuilds(self) -> None:
        with suppress(QueueError):  # the reconciler makes up for it
            self._rebuilds.admit()

    def _check(self, check: CheckLease) -> Exception | None:
        """Asks the registry, and records what it said; returns why it could not be checked."""
        answer, error = self._ask(check)
        self._record([answer])
        return error

    def _ask(self, check: CheckLease) -> tuple[CheckResult, Exception | None]:
        """What the registry says, or why it says nothing. Nothing but an answer is ever an update."""
        try:
            found = self._look_up(check)
        except StoreError:
            raise
        except GalaxyError as error:
            pause_s = error.retry_after_s if isinstance(error, RegistryThrottled) else 0.0
            return self._failed(check, str(error), pause_s), error
        except Exception as error:
            logger.exception("base_image.unexpected_error", image=familiar_name(check.image))
            told = f"Unexpected {type(error).__name__}; the worker's log tells more."
            return self._failed(check, told), error
        unchanged = check.unchanged + 1 if found.digest == check.digest else 0
        return CheckResult(check, self._next_check_in_s(check, unchanged=unchanged, errors=0), found), None

    def _look_up(self, check: CheckLease) -> Found:
        """One HEAD; and one GET if the tag has moved and what it holds for our platform is not known yet."""
        digest = self._registry.resolve(ImageReference.parse(check.image))
        if self._compare is Compare.TAG:
            return Found(digest, None, digest, 1)
        if digest == check.digest and check.platform_digest:
            return Found(digest, check.platform_digest, check.platform_digest, 1)
        platform_digest, requests = self._platforms.find(check.image, digest)
        if platform_digest is None:
            raise BaseImageNotFound(
                f"{familiar_name(check.image)} holds no image for {self._settings.build_platform}.",
                "Publish one for the platform of the build workers' engines.",
                image=familiar_name(check.image),
                platform=self._settings.build_platform,
            )
        return Found(digest, platform_digest, platform_digest, 1 + requests)

    def _failed(self, check: CheckLease, error: str, pause_s: float = 0.0) -> CheckResult:
        errors = check.errors + 1
        logger.warning(
            "base_image.not_checked", image=familiar_name(check.image), error=error, in_a_row=errors
        )
        next_check_in_s = self._next_check_in_s(check, unchanged=0, errors=errors, pause_s=pause_s)
        return CheckResult(check, next_check_in_s, error=error, pause_s=pause_s)

    def _record(self, answers: Sequence[CheckResult]) -> None:
        changed = [it for it, began in zip(answers, self._store.record(answers), strict=True) if began]
        for check, _, found, *_ in changed:
            now = found.digest if found else None
            logger.info(
                "base_image.changed", image=familiar_name(check.image), digest=now, before=check.digest
            )
        if changed:
            self._admit_rebuilds()

    def _next_check_in_s(
        self, check: CheckLease, *, unchanged: int, errors: int, pause_s: float = 0.0
    ) -> float:
        interval_s = self._settings.base_image_poll_s
        return next_check_in_s(check.image, interval_s, unchanged=unchanged, errors=errors, pause_s=pause_s)

    def _content(self, digest: str, platform_digest: str | None) -> str:
        by_tag = self._compare is Compare.TAG
        return digest if by_tag else platform_digest or digest


def _image(reference: str) -> str:
    """The canonical name of a base image whose tag may move.

    Raises:
        InvalidInput: It is no image reference, or holds a digest.
    """
    parsed = ImageReference.parse(reference)
    if parsed.pinned:
        what = "holds a digest, which always means the same image; only tags are checked"
        raise refused("image", what, f"{parsed.name}:{parsed.tag or 'latest'}")
    return parsed.canonical


def _worth_waiting(later: CheckPostponed) -> bool:
    # a check takes as long as its registry does, mostly far less than it may
    return later.being_checked or later.wait_s <= _PATIENCE * _PAUSE_S


def _too_late(image: str, later: CheckPostponed) -> RegistryThrottled:
    why = (
        "somebody else is checking it"
        if later.being_checked
        else f"its registry gets no requests for another {later.wait_s:.0f} s"
    )
    return RegistryThrottled(
        f"{familiar_name(image)} can't be checked now: {why}.", "It will be checked by itself."
    )


def _checked(check: CheckLease, after: BaseImage, error: Exception | None) -> Checked:
    if error is not None:
        outcome = CheckOutcome.NOT_FOUND if isinstance(error, UserError) else CheckOutcome.FAILED
    else:
        outcome = outcome_of(check.digest, check.platform_digest, after)
    return Checked(base_image=after, outcome=outcome)
