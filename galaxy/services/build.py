"""The build stage: from a claimed attempt to an image in the registry. `BuildStage._build` reads top to bottom."""

from __future__ import annotations

import traceback
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import structlog

from galaxy.domain.base_images.contract import (
    FIRST_LINE_SHOWN,
    SETUP_SCRIPT,
    bash_command,
    breaches,
    declared_volumes,
)
from galaxy.domain.base_images.image_config import differences, oci_labels, with_labels
from galaxy.domain.base_images.image_reference import ImageReference
from galaxy.domain.errors import (
    Abandoned,
    BaseImageUnusable,
    EngineError,
    GalaxyError,
    ImageConfigChanged,
    InfrastructureError,
    LeaseLost,
    QueueError,
    SetupFailed,
    StoreError,
    UnexpectedError,
)
from galaxy.domain.models import MAX_ATTEMPTS, Attempt, BuiltImage, Failure, NotClaimed, VersionRef
from galaxy.domain.names import LOOK, LeaseRef, app_image, attempt_tag, container_name
from galaxy.domain.reasons import failed
from galaxy.domain.states import Step
from galaxy.services.lease import HeldLease, abandoned
from galaxy.services.recorder import StepRecorder
from galaxy.services.retries import failure_of, pause_s
from galaxy.services.signs_of_life import SignsOfLife
from galaxy.services.work_claim import WorkClaim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from galaxy.adapters.engine.ports import BuildContainer, Engine, Image
    from galaxy.adapters.logs.writer import LogWriter
    from galaxy.adapters.queue import TaskQueue
    from galaxy.adapters.store.leases import LeaseStore
    from galaxy.domain.log import Stream
    from galaxy.services.announcer import Announcer
    from galaxy.services.logbook import Logbook
    from galaxy.services.throttled_registry import ThrottledRegistry
    from galaxy.settings import Settings

logger = structlog.get_logger(__name__)

#: Takes the bundle's URL from stdin: on a command line or in the environment it would stay in the image's history.
_RUN_SETUP: Final = ("-c", f'IFS= read -r url && exec {SETUP_SCRIPT} "$url" </dev/null')


@dataclass(frozen=True)
class BuildResult:
    """How a delivery of a build task ended. `built` is None when there was nothing to do."""

    sentence: str
    built: BuiltImage | None = None


class BuildStage:
    """Builds versions, one attempt at a time."""

    def __init__(  # noqa: PLR0913 - the parts of the outside world, and how to use them
        self,
        *,
        leases: LeaseStore,
        queue: TaskQueue,
        engine: Engine,
        registry: ThrottledRegistry,
        logs: Logbook,
        announcer: Announcer,
        settings: Settings,
    ) -> None:
        self._leases = leases
        self._queue = queue
        self._engine = engine
        self._registry = registry
        self._logs = logs
        self._announcer = announcer
        self._settings = settings
        self._commands: dict[str, tuple[str, ...]] = {}

    def run(self, ref: VersionRef, on_step: Callable[[Attempt, Step], None]) -> BuildResult:
        """Claims the version's next attempt and builds it, or finds that there is nothing to do.

        Args:
            ref: Names the version.
            on_step: Called at the beginning of each step.

        Raises:
            AttemptFailed: It failed, and the next one is due in `retry_in_s`.
            BuildFailed: It failed, and it was the last.
        """
        claim = WorkClaim(ref, self._leases, self._queue, self._announcer)
        # the log is waited for last: by then, the attempt is recorded or handed back
        with ExitStack() as log_end:
            try:
                attempt = claim.take()
                if isinstance(attempt, NotClaimed):
                    return BuildResult(f"Nothing to do for {ref}: {attempt}.")
                return self._run(attempt, on_step, log_end)
            except (SystemExit, KeyboardInterrupt):  # this worker has to stop
                if claim.hand_back():
                    log_end.close()
                    self._announcer.announce(ref.app)
                raise

    def _run(
        self, attempt: Attempt, on_step: Callable[[Attempt, Step], None], log_end: ExitStack
    ) -> BuildResult:
        """Builds the attempt, and records how it ended. `log_end` closes the log."""
        logger.info("attempt.began", attempt=attempt.number, token=attempt.token)
        record = StepRecorder(self._leases, attempt, on_step)
        with self._lease(attempt) as lease:  # held until the end of the attempt is recorded
            log = log_end.enter_context(self._logs.writer(attempt))
            try:
                built = self._build(attempt, log, record, lease.check)
            except Abandoned as error:
                return _gave_up(attempt, log, error)
            except Exception as error:  # the specification: any error is retried
                failure = self._failed(attempt, log, record, error)
                if isinstance(failure, Abandoned):
                    return _gave_up(attempt, log, failure)
                raise failure from error
        with suppress(QueueError):  # the reconciler makes up for it
            self._queue.roll_out(attempt.ref)
        return BuildResult(f"Built {attempt.ref}: {built.image}@{built.image_digest}", built)

    def _build(
        self, attempt: Attempt, log: LogWriter, record: StepRecorder, check_cancelled: Callable[[], None]
    ) -> BuiltImage:
        """Pull, verify, setup, commit, push."""
        base = ImageReference.parse(attempt.base_image)
        lease = LeaseRef(attempt.ref, attempt.token)
        repository, tag = app_image(self._settings.registry, attempt.ref)
        container, own_tag = (make(self._settings.name, lease) for make in (container_name, attempt_tag))

        with record(Step.PULL):
            log.say(f"Attempt {attempt.number} of {MAX_ATTEMPTS}: looking up the base image {base}.")
            digest = attempt.wanted_digest or self._registry.resolve(
                base, insist=True, check_cancelled=check_cancelled
            )
            record.base_digest(digest)
            alive = self._signs_of_life(Step.PULL, check_cancelled)
            base_image = self._engine.pull(
                self._registry.pull_source(base), digest, alive.check, on_progress=alive.seen
            )
            log.say(f"{'Pulled' if base_image.pulled else 'This engine has'} {base}, digest {digest}.")

        with record(Step.VERIFY):
            command = self._verified_command(base, base_image, container, log, check_cancelled)

        with (
            self._engine.build_container(
                base_image, name=container, command=command, check_cancelled=check_cancelled
            ) as box,
            self._kept_only_if_recorded() as committed,
        ):
            with record(Step.SETUP):
                log.say(f"Running {SETUP_SCRIPT} with the bundle's URL.")
                _run_setup(
                    box, attempt, log, self._signs_of_life(Step.SETUP, check_cancelled), check_cancelled
                )

            with record(Step.COMMIT):
                labels = oci_labels(
                    app=attempt.app,
                    version=attempt.version,
                    base_name=base.canonical,
                    base_digest=digest,
                    created=datetime.now(UTC),
                )
                config = with_labels(base_image.config, labels)
                # a tag of its own: an attempt that lost its lease may still be committing the same version
                saved = box.commit(repository, own_tag, config, check_cancelled)
                committed.append(saved.id)
                if changed := differences(config, saved.config):
                    raise ImageConfigChanged(
                        f"The committed image differs from its base image in {', '.join(changed)}.",
                        "Report this to the operators, with the base image.",
                    )

            with record(Step.PUSH):
                log.say(f"Saved the container as {repository}:{tag}; pushing it.")
                alive = self._signs_of_life(Step.PUSH, check_cancelled)
                pushed = self._engine.push(repository, tag, saved.id, alive.check, on_progress=alive.seen)

            built = BuiltImage(image=f"{repository}:{tag}", image_digest=pushed, base_digest=digest)
            log.flush(check_cancelled)
            self._finish(attempt, built, record)
            committed.clear()
            with suppress(EngineError):  # the reaper makes up for it
                self._engine.remove_image(f"{repository}:{own_tag}")
        return built

    def _finish(self, attempt: Attempt, built: BuiltImage, record: StepRecorder) -> None:
        if lost_to := self._leases.finish(attempt, built, record.timings):
            raise abandoned(attempt, lost_to)
        self._announcer.announce(attempt.app)

    def _verified_command(
        self,
        base: ImageReference,
        image: Image,
        container: str,
        log: LogWriter,
        check_cancelled: Callable[[], None],
    ) -> tuple[str, ...]:
        """The build container's command, remembered by the image's id, which is a hash of what was verified."""
        if image.id not in self._commands:
            script = self._engine.setup_script(image, name=container + LOOK, check_cancelled=check_cancelled)
            if found := " ".join(breaches(image.config, script)):
                theirs = repr(script.first_line[:FIRST_LINE_SHOWN]), *declared_volumes(image.config)
                raise BaseImageUnusable(
                    f"The base image {base} can't be used. {found}",
                    "Publish a corrected base image and deploy again.",
                    quotes=[text for text in theirs if text in found],
                )
            self._commands[image.id] = bash_command(script) + _RUN_SETUP
        for volume in declared_volumes(image.config):
            log.say(
                f"The base image declares VOLUME {log.redact(volume)}: what {SETUP_SCRIPT} writes there is not saved."
            )
        return self._commands[image.id]

    @contextmanager
    def _kept_only_if_recorded(self) -> Iterator[list[str]]:
        """Removes the images whose ids were put into the list, unless the block ends well."""
        committed: list[str] = []
        try:
            yield committed
        except BaseException:
            for image_id in committed:
                with suppress(EngineError):  # why the block ended matters more
                    self._engine.remove_image(image_id)
            raise

    def _failed(
        self, attempt: Attempt, log: LogWriter, record: StepRecorder, error: Exception
    ) -> GalaxyError:
        """Records a failed attempt; returns what the task raises.

        That is an `Abandoned` when somebody else had ended the attempt already.
        """
        if not isinstance(error, GalaxyError):
            where = "".join(traceback.format_exception(error))
            logger.error("build.unexpected_error", traceback=log.redact(where))
        elif error.suggestion and isinstance(error, InfrastructureError):
            logger.warning("attempt.failed", error=error.code, advice=error.suggestion)
        message = log.reason(error)
        unwritten = _flush(log)
        if unwritten not in message:
            message += f" {unwritten}"
        reason = failed(error.code if isinstance(error, GalaxyError) else UnexpectedError.code, message)
        outcome = self._leases.fail(
            attempt, reason, retry_in_s=pause_s(attempt.number, error, self._settings), steps=record.timings
        )
        if not isinstance(outcome, Failure):
            return abandoned(attempt, outcome)
        self._announcer.announce(attempt.app)
        return failure_of(attempt.ref, outcome, reason, automatic=attempt.automatic)

    def _signs_of_life(self, step: Step, check_cancelled: Callable[[], None]) -> SignsOfLife:
        return SignsOfLife(step, check_cancelled, timeout_s=self._settings.build_silence_timeout_s)

    def _lease(self, attempt: Attempt) -> HeldLease:
        lease_s = self._settings.lease_s
        return HeldLease(
            self._leases,
            attempt,
            renew_every_s=min(lease_s / 3, 2),
            lease_s=lease_s,
            timeout_s=self._settings.build_timeout_s,
        )


def _flush(log: LogWriter) -> str:
    """Writes the end of a failed attempt's output. Returns why that failed, as a sentence, or "".

    The failure of the attempt is recorded in the store, and so reaches the log even if its Redis is away now.
    """
    try:
        log.flush()
    except StoreError as error:
        reason = log.reason(error)
        logger.warning("log.not_written", error=reason)
        return reason
    return ""


def _run_setup(
    box: BuildContainer,
    attempt: Attempt,
    log: LogWriter,
    alive: SignsOfLife,
    check_cancelled: Callable[[], None],
) -> None:
    def keep(stream: Stream, chunk: bytes) -> None:
        check_cancelled()  # this process may have been stopped for long, and have lost its lease meanwhile
        log.output(stream, chunk, check_cancelled)
        alive.seen()  # afterwards: when the log has to wait, that is no silence of the script

    code = box.run(attempt.bundle_url.get_secret_value(), keep, alive.check)
    log.end_output()
    if code:
        hint = _EXIT_HINTS.get(code, "Its output above says why.")
        raise SetupFailed(f"{SETUP_SCRIPT} ended with exit code {code}.", hint, exit_code=code)


_EXIT_HINTS: Final = {
    126: f"The base image's user may not execute {SETUP_SCRIPT}: check USER and the script's mode.",
    127: "A command was not found; the output above says which.",
    137: "It was killed, most likely because it used too much memory.",
}


def _gave_up(attempt: Attempt, log: LogWriter, error: Abandoned) -> BuildResult:
    """Says in the log that the attempt was stopped. Whoever stopped it has recorded what became of the version."""
    if isinstance(error, LeaseLost):
        log.abandon()
    else:
        with suppress(StoreError):  # it has failed before; the version's fate is announced nevertheless
            log.end_output()  # what was printed last may still be held back
            log.say(f"Attempt {attempt.number} was stopped. {error}")
    return BuildResult(f"Stopped building {attempt.ref}: {error}")
