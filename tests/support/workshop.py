"""A build stage with everything around it in memory: fakeredis, the fake engine, and two recorders."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import fakeredis

from galaxy.adapters.logs.stream import LogStream
from galaxy.adapters.logs.writer import LogWriter
from galaxy.adapters.store.keys import Keys
from galaxy.domain.base_images.image_reference import ImageReference
from galaxy.domain.deploys.app_settings import DeployRules
from galaxy.services.announcer import Announcer
from galaxy.services.build import BuildStage
from galaxy.services.logbook import Logbook
from galaxy.services.reconcile import Reconciler
from galaxy.services.releases import Releases
from galaxy.settings import Settings
from tests.support.fake_engine import FakeEngine
from tests.support.stores import APP, deploy, make_store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from galaxy.adapters.queue import TaskQueue
    from galaxy.domain.base_images.contract import SetupScript
    from galaxy.domain.log import LogLine
    from galaxy.domain.models import Attempt, Version, VersionRef
    from galaxy.domain.states import Step
    from galaxy.services.build import BuildResult
    from galaxy.services.throttled_registry import ThrottledRegistry
    from tests.support.fake_engine import Program

PREFIX = "workshop"
REGISTRY = "registry.test"
BASE_REPOSITORY = "hub.test/meteor/galaxy-app"


class OneBaseImage:
    """A registry that knows one digest for every reference. `errors`: what the next calls raise."""

    def __init__(self) -> None:
        self.digest = ""
        self.errors: list[Exception] = []
        self.insisted: list[bool] = []

    def resolve(self, _: ImageReference, *, insist: bool = False, **__: object) -> str:
        self.insisted.append(insist)
        if self.errors:
            raise self.errors.pop(0)
        return self.digest

    def pull_source(self, _: ImageReference) -> str:
        return BASE_REPOSITORY


class QueueRecorder:
    """Remembers hints. `age`: since when, in seconds, nothing was lost. `away`: what each call raises, if anything."""

    def __init__(self) -> None:
        self.builds: list[tuple[VersionRef, int]] = []
        self.rebuilds: list[tuple[VersionRef, int]] = []
        self.rollouts: list[VersionRef] = []
        self.waiting = 0
        self.age = 1e9
        self.away: Exception | None = None

    def build(self, ref: VersionRef, *, retries: int = 0, automatic: bool = False) -> None:
        self._fail_if_away()
        (self.rebuilds if automatic else self.builds).append((ref, retries))

    def roll_out(self, ref: VersionRef) -> None:
        self._fail_if_away()
        self.rollouts.append(ref)

    def age_s(self) -> float:
        self._fail_if_away()
        return self.age

    def is_empty(self, *, automatic: bool = False) -> bool:
        self._fail_if_away()
        return automatic or self.waiting == 0

    def _fail_if_away(self) -> None:
        if self.away:
            raise self.away


class Workshop:
    """All parts, and the way from a program to a version that was built with it."""

    def __init__(
        self,
        *,
        lease_s: float = 60,
        build_timeout_s: float = 60,
        silence_timeout_s: float = 60,
        retry_backoff_s: float = 0,
        log_patience_s: float = 30,
    ) -> None:
        self.settings = Settings(
            registry=REGISTRY,
            name="workshop",
            lease_s=lease_s,
            build_timeout_s=build_timeout_s,
            build_silence_timeout_s=silence_timeout_s,
            retry_backoff_s=retry_backoff_s,
            retry_backoff_max_s=3 * retry_backoff_s,
        )
        server = fakeredis.FakeServer(version=(7, 0))
        self._redis = fakeredis.FakeRedis(server=server, version=(7, 0), decode_responses=True)
        self._logs_redis = fakeredis.FakeRedis(server=server, version=(7, 0))
        self.store = make_store(self._redis, PREFIX, lease_s=lease_s)
        #: The same store for workers that are lost as soon as they have claimed or renewed, and are due at once.
        self.dying = make_store(self._redis, PREFIX, lease_s=0, requeue_after_s=0)
        self.log = LogStream(self._logs_redis, Keys(PREFIX), retention_s=3600, max_bytes=10**7)
        self.engine = FakeEngine()
        self.registry = OneBaseImage()
        self.queue = QueueRecorder()
        logbook = Logbook(self.log, LogWriter, attempt_max_bytes=10**6, patience_s=log_patience_s)
        self.announcer = announcer = Announcer(self.store, logbook)
        queue = cast("TaskQueue", self.queue)
        self.stage = BuildStage(
            leases=self.store,
            queue=queue,
            engine=self.engine,
            registry=cast("ThrottledRegistry", self.registry),
            logs=logbook,
            announcer=announcer,
            settings=self.settings,
        )
        rules = DeployRules(
            section=self.settings.settings_section,
            settings_max_bytes=self.settings.settings_max_bytes,
            default_base_image=ImageReference.parse(self.settings.default_base_image),
        )
        self.releases = Releases(self.store, queue, logbook, announcer, rules=rules, retention_s=3600)
        self.reconciler = Reconciler(self.store, self.store, self.store, queue, announcer, page=2)

    def close(self) -> None:
        self._redis.close()
        self._logs_redis.close()

    def base_image(
        self,
        program: Program,
        config: dict[str, object] | None = None,
        *,
        script: SetupScript | None = None,
        has_bash: bool = True,
    ) -> None:
        """Publishes the base image that all versions are built on from now on."""
        config = {"Cmd": ["/bin/true"]} if config is None else config
        options = {} if script is None else {"script": script}
        self.registry.digest = self.engine.publish(
            BASE_REPOSITORY, config, program=program, has_bash=has_bash, **options
        )

    def deploy(self, env: Mapping[str, str] | None = None) -> VersionRef:
        ref = deploy(self.store, env=env)
        self.announcer.announce(APP)
        return ref

    def run(self, ref: VersionRef, on_step: Callable[[Attempt, Step], None] = lambda *_: None) -> BuildResult:
        """Delivers the version's build task once."""
        return self.stage.run(ref, on_step)

    def run_until_final(self, ref: VersionRef) -> list[Exception]:
        """Delivers it as Celery does, and returns what it raised."""
        raised: list[Exception] = []
        for _ in range(10):
            try:
                self.run(ref)
            except Exception as error:  # noqa: BLE001 - as Celery's autoretry
                raised.append(error)
            else:
                return raised
        raise AssertionError("the task is retried for ever")

    def version(self, ref: VersionRef) -> Version:
        return self.store.version(ref)

    def lines(self) -> list[LogLine]:
        return self.log.tail(APP, 10_000).lines

    def text(self) -> str:
        return "\n".join(line.text for line in self.lines())
