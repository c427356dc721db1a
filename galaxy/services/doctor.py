"""Looks at everything that the pipeline leans on. One service that is away hides none of the others."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import structlog

from galaxy.domain.base_images.image_reference import ImageReference
from galaxy.domain.diagnosis import choices, engine, fleet, isolation, redis, updates
from galaxy.domain.diagnosis.finding import fine, problem, unreachable, warning
from galaxy.domain.errors import GalaxyError, InfrastructureError
from galaxy.domain.heartbeats import expires_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from galaxy.adapters.queue import TaskQueue
    from galaxy.adapters.registry import RegistryClient
    from galaxy.adapters.store.base_images import BaseImageStore
    from galaxy.adapters.store.heartbeats import HeartbeatStore
    from galaxy.adapters.store.versions import VersionStore
    from galaxy.domain.diagnosis.engine import EngineFacts, RegistryFacts
    from galaxy.domain.diagnosis.finding import Finding
    from galaxy.domain.diagnosis.redis import RedisFacts, Role
    from galaxy.domain.heartbeats import Heartbeat
    from galaxy.services.probe import IsolationProbe
    from galaxy.settings import Settings

T = TypeVar("T")

logger = structlog.get_logger(__name__)

#: Seconds that one request may take; the client of the store and the registry client get the same.
REQUEST_S: Final = 3
#: Seconds that a check may take in all.
_CHECK_S: Final = 10.0
#: Of these, for the pull of the base image that the probe of builds runs.
_PULL_S: Final = 4.0
#: How long workers may think about their answer.
_WORKERS_ANSWER_S: Final = 2.0
#: More unfinished versions than these are not looked at one by one.
_UNFINISHED_LIMIT: Final = 2000

_BASE_IMAGES: Final = "base images"


class Examination(NamedTuple):
    """One look at one thing. `look` may raise errors of the project."""

    subject: str
    look: Callable[[], Iterable[Finding]]


@dataclass(frozen=True)
class Probes:
    """How to look at what is outside. Each of them gives up after `REQUEST_S`, and returns failures as facts.

    Attributes:
        engine: Looks at this machine's engine.
        registry: Looks at the registry for app images, from this process.
        redis: Looks at the server behind a URL.
        code: Returns the fingerprint of the code that this process runs.
    """

    engine: Callable[[], EngineFacts]
    registry: Callable[[], RegistryFacts]
    redis: Callable[[Role, str], RedisFacts]
    code: Callable[[], str]


class Doctor:
    """Knows what to look at. The adapters have to be ones that give up soon.

    Args:
        environ: The environment, for variables that mean nothing.
        probes: How to look at services without the pipeline's own adapters.
        builds: Tries from inside a build container what one must not reach.
    """

    def __init__(  # noqa: PLR0913 - whatever it looks at
        self,
        settings: Settings,
        environ: Mapping[str, str],
        *,
        probes: Probes,
        store: VersionStore,
        heartbeats: HeartbeatStore,
        queue: TaskQueue,
        registry: RegistryClient,
        base_images: BaseImageStore,
        builds: IsolationProbe,
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._probes = probes
        self._store = store
        self._signs_of_life = heartbeats
        self._queue = queue
        self._registry = registry
        self._watched = base_images
        self._builds = builds

    def examine(self) -> Iterator[Finding]:
        """Makes all checks at once, and yields what they find in the order of the checks."""
        looked = _ahead(self._probes.engine)
        checks = (
            Examination(choices.SUBJECT, self._choices),
            Examination(redis.SUBJECT, self._redis),
            Examination(engine.SUBJECT, partial(self._engine, looked)),
            Examination(isolation.SUBJECT, partial(self._isolation, looked)),
            Examination(_BASE_IMAGES, self._base_images),
            Examination(updates.SUBJECT, self._updates),
            Examination(fleet.WORKERS, self._fleet),
        )
        yield from run_checks(checks, within_s=_CHECK_S)

    def _choices(self) -> Iterator[Finding]:
        its = self._settings
        chosen = choices.Choices(**{name: getattr(its, name) for name in choices.Choices._fields})
        yield from choices.judge_choices(chosen, given=self._environ.keys(), known=its.variables())

    def _redis(self) -> Iterator[Finding]:
        its = self._settings
        urls = {
            redis.Role.BROKER: its.broker_url,
            redis.Role.STORE: its.store_url,
            redis.Role.LOGS: its.logs_url,
        }
        looks = [
            _ahead(partial(self._probes.redis, role, url.get_secret_value())) for role, url in urls.items()
        ]
        facts = [look.result() for look in looks]
        yield from redis.judge_redis(facts, message_expires_s=expires_s(its.reconcile_period_s))
        if not any(each.failure for each in facts):
            apps = len(self._store.apps())
            yield from redis.judge_log_room(facts[-1], apps=apps, log_max_bytes=its.log_max_bytes)

    def _engine(self, looked: Future[EngineFacts]) -> Iterator[Finding]:
        its = self._settings
        registry = _ahead(self._probes.registry)
        facts = looked.result()
        needs = engine.BuildNeeds(
            network=its.build_network, runtime=its.build_runtime, memory_bytes=its.build_memory_bytes
        )
        yield from engine.judge_engine(facts, needs)
        yield from engine.judge_registry(registry.result(), facts)

    def _isolation(self, looked: Future[EngineFacts]) -> Iterator[Finding]:
        its, facts = self._settings, looked.result()
        has_runtime = its.build_runtime is None or its.build_runtime in facts.runtimes
        if not (facts.answers and its.build_network in facts.networks and has_runtime):
            return  # the engine's own check says so
        try:
            report = self._builds.run(pull_s=_PULL_S)
        except GalaxyError as error:
            yield warning(
                isolation.SUBJECT, f"What they reach was not tried. {error.message}", error.suggestion
            )
        else:
            yield from isolation.judge_isolation(report)

    def _base_images(self) -> Iterator[Finding]:
        mirror = self._settings.docker_hub_mirror
        reference = ImageReference.parse(self._settings.default_base_image, path="GALAXY_DEFAULT_BASE_IMAGE")
        digest = self._registry.resolve(reference)
        through = f", says the mirror {mirror}" if mirror and reference.is_docker_hub else ""
        yield fine(_BASE_IMAGES, f"{reference} is {digest}{through}.")
        limit = self._registry.rate_limit(reference)
        if limit is not None and limit.remaining == 0:
            yield warning(
                _BASE_IMAGES,
                f"No pull is left of the {limit.limit} that the registry allows.",
                "Wait, or set GALAXY_DOCKER_HUB_MIRROR to a mirror of your own.",
            )

    def _updates(self) -> Iterator[Finding]:
        return updates.judge_updates(self._watched.base_images())

    def _fleet(self) -> Iterator[Finding]:
        asked = _ahead(lambda: self._queue.workers(wait_s=_WORKERS_ANSWER_S))
        counted = _ahead(self._queue.depths)
        # the store first: it answers at once, and must not wait for the broker
        listed = _outcome(_ahead(lambda: self._store.unfinished(_UNFINISHED_LIMIT)))
        heartbeats = _outcome(_ahead(self._signs_of_life.heartbeats))
        workers, depths = _outcome(asked), _outcome(counted)
        known = None if isinstance(workers, GalaxyError) else workers
        if isinstance(workers, GalaxyError):
            yield _away(fleet.WORKERS, workers)
        else:
            code, settings = self._probes.code(), self._settings.agreed()
            yield from fleet.judge_workers(workers, code=code, settings=settings)
        if not isinstance(depths, GalaxyError):
            yield from fleet.judge_queues(depths, known)
        if isinstance(listed, GalaxyError):
            yield _away(fleet.VERSIONS, listed)
        else:
            yield from self._versions(listed, known)
        if not isinstance(heartbeats, GalaxyError):
            yield from self._heartbeats(heartbeats, known)

    def _versions(
        self, unfinished: Sequence[fleet.Unfinished], workers: Sequence[fleet.WorkerFacts] | None
    ) -> Iterator[Finding]:
        its = self._settings
        patience_s = its.requeue_after_s + 2 * its.reconcile_period_s
        return fleet.judge_versions(unfinished, workers, patience_s=patience_s)

    def _heartbeats(
        self, heartbeats: Mapping[str, Heartbeat], workers: Sequence[fleet.WorkerFacts] | None
    ) -> Iterator[Finding]:
        its = self._settings
        return fleet.judge_heartbeats(
            heartbeats, workers, reconcile_period_s=its.reconcile_period_s, reap_period_s=its.reap_period_s
        )


def run_checks(checks: Sequence[Examination], *, within_s: float) -> Iterator[Finding]:
    """Runs all checks at the same time; what hangs or breaks becomes a finding."""
    give_up_at = time.monotonic() + within_s
    running = [(check, _ahead(partial(_findings, check))) for check in checks]
    for check, findings in running:
        try:
            yield from findings.result(max(0.0, give_up_at - time.monotonic()))
        except TookTooLong:
            yield unreachable(
                check.subject, f"No answer within {within_s:g} s.", "See whether the service hangs."
            )


def _findings(check: Examination) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(check.look())
    except InfrastructureError as error:
        found.append(_away(check.subject, error))
    except GalaxyError as error:
        found.append(problem(check.subject, error.message, error.suggestion))
    except Exception as error:  # noqa: BLE001 - a bug in one check must not hide what the others find
        # without its text, which may hold secrets
        name = type(error).__name__
        logger.debug("doctor.check_failed", subject=check.subject, error=name)
        found.append(problem(check.subject, f"This check failed: {name}.", "Please report it."))
    return found


def _away(subject: str, error: GalaxyError) -> Finding:
    return unreachable(subject, error.message, error.suggestion)


def _outcome(future: Future[T]) -> T | GalaxyError:
    try:
        return future.result()
    except GalaxyError as error:
        return error


def _ahead(call: Callable[[], T]) -> Future[T]:
    """Begins a call in a thread of its own, which nobody has to wait for."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            future.set_exception(error)

    threading.Thread(target=run, name="doctor", daemon=True).start()
    return future
