"""Whole builds through a real worker, from the deploy to the recorded digest, against the bare SDK sequence.

Both on the network of build containers. What that network costs is measured as well: the bare sequence on it, against
the same on the engine's default bridge.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench import sdk_build
from bench.fleet import Fleet, fleet
from bench.measure import Result, in_pairs
from bench.surroundings import default_base_image, engine, images_removed, served_bundle
from galaxy.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

GOAL: Final = 1.15
#: Isolation is not to cost more than this, whatever the rest costs.
NETWORK_GOAL: Final = 1.25
#: On a busy machine single pairs scatter from half to double; fewer of them let the median miss by chance.
PAIRS: Final = 21
QUICK_PAIRS: Final = 5

_DEFAULT_NETWORK: Final = "bridge"
#: Fixed, so that repeated runs overwrite the same tags in the registry.
_OURS: Final = "ours.build-overhead.bench"
_FLOOR: Final = "floor.build-overhead.bench"


def run(*, quick: bool) -> Iterator[Result]:
    """Measures both; the network alone only where there is one of its own.

    Raises:
        CannotRun: Redis, the engine, a registry or the served folder is missing, or a build failed.
    """
    settings = Settings()
    apps = f"{settings.registry}/apps"
    pairs = QUICK_PAIRS if quick else PAIRS
    with ExitStack() as stack:
        bundle_url = stack.enter_context(served_bundle())
        api = stack.enter_context(engine())
        # before the fleet, because its worker ends the build that it is at
        stack.enter_context(images_removed(api, f"{apps}/{_OURS}", f"{apps}/{_FLOOR}"))
        ours = _Ours(stack.enter_context(fleet()), bundle_url)
        floor = _Floor(api, settings, bundle_url, settings.build_network)
        yield Result("build_overhead", GOAL, in_pairs(ours.build_s, floor.build_s, pairs=pairs))
        if settings.build_network == _DEFAULT_NETWORK:
            return
        on_bridge = _Floor(api, settings, bundle_url, _DEFAULT_NETWORK)
        networks = in_pairs(floor.build_s, on_bridge.build_s, pairs=pairs)
        yield Result("build_overhead, of the network alone", NETWORK_GOAL, networks)


@dataclass(frozen=True)
class _Ours:
    """Deploys, and waits for the digest to be recorded."""

    fleet: Fleet
    bundle_url: str

    def build_s(self) -> float:
        """Builds once; returns the seconds that it took."""
        began = time.perf_counter()
        self.fleet.wait_until_built([self.fleet.deploy(_OURS, self.bundle_url)])
        return time.perf_counter() - began


@dataclass
class _Floor:
    """Builds from the same base image and bundle into the same registry."""

    api: docker.APIClient
    settings: Settings
    bundle_url: str
    network: str
    builds: int = 0

    def build_s(self) -> float:
        """Builds once; returns the seconds that it took."""
        self.builds += 1
        began = time.perf_counter()
        sdk_build.build(
            self.api,
            base=default_base_image(self.settings),
            bundle_url=self.bundle_url,
            image=f"{self.settings.registry}/apps/{_FLOOR}:{self.builds}",
            network=self.network,
        )
        return time.perf_counter() - began
