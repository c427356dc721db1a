"""An update of a base image with 1,000 to 1,000,000 dependents: for how long one script keeps all others from Redis.

On a Redis of its own, whose slow log knows how long each script took. That includes the moments in which the machine
gives Redis no processor, so what counts of each script is its 99th percentile.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from redis import Redis

from bench.dependents import deploy_dependents
from bench.measure import CannotRun, Quantity, percentile
from bench.own_redis import own_redis, settings_on
from bench.surroundings import publish_tags
from galaxy.bootstrap import Pipeline
from galaxy.domain.base_images.fan_out import NewVersionCall
from galaxy.domain.base_images.image_reference import ImageReference
from galaxy.domain.models import Attempt, BuiltImage, VersionRef
from galaxy.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.measure import Finding

GOAL_MS: Final = 1.0
DEPENDENTS: Final = (1_000, 10_000, 100_000, 1_000_000)
QUICK_DEPENDENTS: Final = DEPENDENTS[:2]
#: What is our doing takes long in each round.
ROUNDS: Final = 3
#: So many apps are handed out in a round, and so many of their versions are built.
_HANDED_OUT, _BUILT = 1_000, 50
_LISTED: Final = 2_000

_REPOSITORY: Final = "bench/dependents-growth"
_IMAGE: Final = f"{_REPOSITORY}:1"
_SLOW_LOG: Final = 1_000_000
#: What takes less is not noted: to note each command within a script would make the scripts slower.
_NOTED_US: Final = 50


def run(*, quick: bool) -> Iterator[Finding]:
    """Measures it.

    Raises:
        CannotRun: redis-server or the registry that stands for Docker Hub is missing, or an update did not get on.
    """
    mirror = Settings().docker_hub_mirror
    if not mirror:
        raise CannotRun("GALAXY_DOCKER_HUB_MIRROR is not set: use `make bench`.")
    with own_redis() as url, Redis.from_url(url, decode_responses=True) as redis:
        redis.config_set("slowlog-max-len", _SLOW_LOG)
        for dependents in QUICK_DEPENDENTS if quick else DEPENDENTS:
            update = _Update(url, redis, mirror, dependents)
            update.prepare()
            took_ms = [update.blocks_ms(number) for number in range(1, ROUNDS + 1)]
            longest = min(max(percentile(script, 99) for script in scripts) for scripts in took_ms)
            most = max(ms for scripts in took_ms for script in scripts for ms in script)
            calls = sum(len(script) for scripts in took_ms for script in scripts)
            name = f"dependents_growth, {dependents:,} dependents: longest block"
            yield Quantity(name, longest, "ms", GOAL_MS, f"the longest of all {calls:,}: {most:.2f}")
            redis.flushall(asynchronous=True)


@dataclass(frozen=True)
class _Update:
    """A base image that so many apps depend on, and that changes."""

    url: str
    redis: Redis
    mirror: str
    dependents: int

    @property
    def pipeline(self) -> Pipeline:
        return Pipeline(settings_on(self.url, f"with-{self.dependents}", update_waves="100%"))

    def prepare(self) -> None:
        """Has the apps built on what the tag holds."""
        here = self.pipeline
        self.redis.config_set("slowlog-log-slower-than", -1)
        self._publish(0)
        digest = here.registry.resolve(ImageReference.parse(_IMAGE))
        deploy_dependents(here, self.redis, _IMAGE, digest, self.dependents)
        here.base_images.check(_IMAGE)

    def blocks_ms(self, number: int) -> list[list[float]]:
        """Lets the base image change and its update begin, as workers do it.

        Returns:
            For each script, how long each of its runs took.
        """
        self._publish(number)
        self.redis.slowlog_reset()
        self.redis.config_set("slowlog-log-slower-than", _NOTED_US)
        self._go_through()
        self.redis.config_set("slowlog-log-slower-than", -1)
        took_ms: defaultdict[str, list[float]] = defaultdict(list)
        for noted in self.redis.slowlog_get(_SLOW_LOG):
            match str(noted["command"], "utf-8", "replace").split():
                case ["EVALSHA", script, *_]:
                    took_ms[script].append(noted["duration"] / 1000)
        return [*took_ms.values()]

    def _go_through(self) -> None:
        here = self.pipeline
        here.base_images.check(_IMAGE)
        update = here.base_images.update(_IMAGE)
        if update is None or update.dependents != self.dependents:
            raise CannotRun(f"The update does not know its {self.dependents} dependents: {update}")
        made = 0
        handed_out = here.keys.handed_out(update.image)
        while made < min(_HANDED_OUT, self.dependents):
            here.fan_out.run(update.image, update.number)
            apps = self.redis.zrange(handed_out, 0, -1)
            if not apps:
                raise CannotRun(f"The update hands out nothing more after {made} apps.")
            here.rebuilds.make(update.image, update.number, [NewVersionCall(app) for app in apps])
            made += len(apps)
        here.rebuilds.catch_up()  # also forgets what the change before had admitted
        for _ in range(_BUILT):
            for member in self.redis.zrange(here.keys.admitted(), 0, 0):
                self._build(here, member)
        for _ in islice(here.base_images.dependents(_IMAGE), _LISTED):
            pass
        here.base_images.all()
        here.rebuilds.catch_up()

    def _build(self, here: Pipeline, member: str) -> None:
        app, number = member.split(" ")
        attempt = here.leases.claim(VersionRef(app, int(number)))
        if not isinstance(attempt, Attempt):
            raise CannotRun(f"Version {number} of {app} can't be built: {attempt}.")
        digest = str(attempt.wanted_digest)
        built = BuiltImage(image=f"registry.invalid/{app}:1", image_digest=digest, base_digest=digest)
        here.leases.finish(attempt, built, [])
        here.rollout.run(attempt.ref)
        here.rebuilds.admit()

    def _publish(self, number: int) -> None:
        publish_tags(self.mirror, _REPOSITORY, {"1": f"{self.dependents} {number} {time.time()}"})
