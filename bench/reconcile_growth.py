"""One run of the reconciler over stores with 1,000, 10,000 and 100,000 finished versions, which should cost nothing.

On a Redis of its own, so that nobody else's commands count.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from pydantic import SecretStr
from redis import Redis

from bench.measure import CannotRun, Quantity, Result, in_pairs
from bench.own_redis import own_redis, settings_on
from galaxy.bootstrap import Pipeline
from galaxy.domain.models import Attempt, BuiltImage, NewVersion, VersionRef

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.measure import Finding

GOAL: Final = 1.2
#: Finished versions; the first is the floor.
FEW: Final = 1_000
MANY: Final = (10_000, 100_000)
PAIRS: Final = 60
QUICK_PAIRS: Final = 10

#: Versions that wait in each store, so that a run has something to do.
_WAITING: Final = 10
_VERSIONS_PER_APP: Final = 10
_TEMPLATE: Final = "template.reconcile-growth.bench"
_PAGE: Final = 2_000


def run(*, quick: bool) -> Iterator[Finding]:
    """Measures it.

    Raises:
        CannotRun: redis-server is missing or does not start.
    """
    with own_redis() as url, Redis.from_url(url) as redis:
        floor = _Store(url, redis, FEW)
        floor.fill()
        for versions in MANY:
            store = _Store(url, redis, versions)
            store.fill()
            pairs = in_pairs(store.run_s, floor.run_s, pairs=QUICK_PAIRS if quick else PAIRS, quiet=True)
            yield Result(f"reconcile_growth, {versions:,} against {FEW:,} finished versions", GOAL, pairs)
            ours, least = store.commands(), floor.commands()
            name, detail = (
                f"reconcile_growth, {versions:,}: further Redis commands",
                f"{ours} against {least}",
            )
            yield Quantity(name, ours - least, "commands", 0, detail)


@dataclass(frozen=True)
class _Store:
    """A store with many finished versions and some that wait, each due all the time.

    Args:
        redis: Client of all its databases' server.
    """

    url: str
    redis: Redis
    versions: int

    @property
    def prefix(self) -> str:
        return f"with-{self.versions}"

    @property
    def pipeline(self) -> Pipeline:
        return Pipeline(settings_on(self.url, self.prefix, requeue_after_s=0.0))

    def fill(self) -> None:
        """Finishes one app's versions as the pipeline does, copies them, and deploys what waits."""
        here = self.pipeline
        for _ in range(_VERSIONS_PER_APP):
            _finish(here, _record(here, _TEMPLATE))
        here.reconciler.run()  # tells the logs what is outbox
        self._copy(
            [key.decode() for key in self.redis.scan_iter(f"{self.prefix}:*{_TEMPLATE}*", count=_PAGE)]
        )
        for number in range(_WAITING):
            _record(here, f"waiting-{number}.reconcile-growth.bench")
        here.reconciler.run()  # enqueues them; from now on, messages wait

    def run_s(self) -> float:
        """Lets the reconciler look at what is due; returns the seconds that it took."""
        reconciler = self.pipeline.reconciler
        began = time.perf_counter()
        seen = reconciler.run()
        took_s = time.perf_counter() - began
        if seen != _WAITING:
            raise CannotRun(f"The reconciler looked at {seen} versions, not at the {_WAITING} that wait.")
        return took_s

    def commands(self) -> int:
        """How many commands Redis executes in one run, those of scripts included."""
        before = self._executed()
        self.run_s()
        return self._executed() - before

    def _executed(self) -> int:
        told = self.redis.info("commandstats")
        return sum(each["calls"] for name, each in told.items() if name != "cmdstat_info")

    def _copy(self, keys: list[str]) -> None:
        apps = [
            f"app-{number}.reconcile-growth.bench" for number in range(self.versions // _VERSIONS_PER_APP)
        ]
        with self.redis.pipeline(transaction=False) as batch:
            for app in apps:
                for key in keys:
                    batch.copy(key, key.replace(_TEMPLATE, app))
                batch.zadd(self.pipeline.keys.apps(), {app: 0})
                if len(batch) > _PAGE:
                    batch.execute()
            batch.execute()


def _record(here: Pipeline, app: str) -> VersionRef:
    new = NewVersion(
        app=app,
        bundle_url=SecretStr("http://bundles.invalid/none.tar.gz"),
        settings=SecretStr("{}"),
        env={},
        base_image=here.settings.default_base_image,
        deployed_by="bench",
    )
    created = here.store.create_version(new, idempotency_key=uuid4().hex, fingerprint="", retention_s=3600)
    return VersionRef(app, created.number)


def _finish(here: Pipeline, ref: VersionRef) -> None:
    attempt = here.leases.claim(ref)
    if not isinstance(attempt, Attempt):
        raise CannotRun(f"{ref} can't be claimed: {attempt}.")
    digest = f"sha256:{'0' * 64}"
    image = BuiltImage(image=f"registry.invalid/{ref.app}:1", image_digest=digest, base_digest=digest)
    here.leases.finish(attempt, image, [])
    here.rollout.run(ref)
