"""Builds a minute through a worker with N slots, against the bare SDK sequence in N threads.

Both on the network of build containers; `build_overhead` tells what that costs.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from threading import local
from typing import TYPE_CHECKING, Final

from bench import sdk_build
from bench.fleet import Fleet, fleet
from bench.measure import Throughput, in_pairs
from bench.surroundings import connected, default_base_image, engine, images_removed, served_bundle
from galaxy.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

GOAL: Final = 0.9
#: Slots, and how many builds are measured at a time: the last ones of a batch leave slots idle, in both ways.
BATCHES: Final = {1: 2, 2: 4, 4: 8, 8: 16}
PAIRS: Final = 3
QUICK_PAIRS: Final = 1

_OURS: Final = "ours-{}.build-parallel.bench"
_FLOOR: Final = "floor.build-parallel.bench"


def run(*, quick: bool) -> Iterator[Throughput]:
    """Measures it for each number of slots.

    Raises:
        CannotRun: Redis, the engine, a registry or the served folder is missing, or a build failed.
    """
    settings = Settings()
    apps = f"{settings.registry}/apps"
    with (
        served_bundle() as bundle_url,
        engine() as api,
        images_removed(api, f"{apps}/*.build-parallel.bench"),
    ):
        for slots, builds in BATCHES.items():
            with ExitStack() as stack:
                ours = _Ours(stack.enter_context(fleet(slots=slots)), bundle_url, builds)
                pool = stack.enter_context(ThreadPoolExecutor(slots))
                floor = _Floor(pool, settings, bundle_url, builds)
                ours.fleet.wait_until_ready()
                pairs = in_pairs(ours.batch_s, floor.batch_s, pairs=QUICK_PAIRS if quick else PAIRS)
                floor.close()
            yield Throughput(f"build_parallel, {slots} at a time", GOAL, builds, pairs)


@dataclass(frozen=True)
class _Ours:
    """Deploys different apps, because a newer version of an app supersedes an older one that waits."""

    fleet: Fleet
    bundle_url: str
    builds: int

    def batch_s(self) -> float:
        """Builds a batch; returns the seconds from the first deploy to the last digest."""
        began = time.perf_counter()
        self.fleet.wait_until_built(
            [self.fleet.deploy(_OURS.format(number), self.bundle_url) for number in range(self.builds)]
        )
        return time.perf_counter() - began


@dataclass
class _Floor:
    """Builds from the same base image and bundle into the same registry, with a client for each thread."""

    pool: ThreadPoolExecutor
    settings: Settings
    bundle_url: str
    builds: int
    _numbers: Iterator[int] = field(default_factory=count)
    _own: local = field(default_factory=local)
    _clients: list[docker.APIClient] = field(default_factory=list)

    def batch_s(self) -> float:
        """Builds a batch; returns the seconds that it took."""
        began = time.perf_counter()
        [*self.pool.map(self._build, [next(self._numbers) for _ in range(self.builds)])]
        return time.perf_counter() - began

    def close(self) -> None:
        """Closes the clients."""
        for client in self._clients:
            client.close()

    def _build(self, number: int) -> None:
        if not hasattr(self._own, "api"):
            self._own.api = connected()
            self._clients.append(self._own.api)
        sdk_build.build(
            self._own.api,
            base=default_base_image(self.settings),
            bundle_url=self.bundle_url,
            image=f"{self.settings.registry}/apps/{_FLOOR}:{number}",
            network=self.settings.build_network,
        )
