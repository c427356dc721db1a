"""One run: deploys at a pace that keeps the workers busy, faults at random moments, then a wait until all is done."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from random import Random
from threading import Timer
from typing import TYPE_CHECKING, Final

from docker.errors import DockerException
from redis.exceptions import RedisError
from requests.exceptions import RequestException

from galaxy.domain.errors import GalaxyError
from tests.chaos.collect import leftovers, waiting
from tests.chaos.crew import SLOTS
from tests.chaos.facts import FaultRecord

if TYPE_CHECKING:
    from tests.chaos.choice import Choice
    from tests.chaos.faults import Fault, Injected
    from tests.chaos.world import World

_ASK_EVERY_S: Final = 0.1
#: Mean time between two faults.
_FAULT_EVERY_S: Final = 1.2
#: So many faults that take something away go on at once, at most.
_AT_ONCE: Final = 2
#: A run has at most so many times the builds that were asked for, until each kind of fault has come.
_MORE_BUILDS: Final = 3
#: No slot becomes free for so long: the checks will say why.
_STUCK_S: Final = 90.0
_QUIET_WITHIN_S: Final = 60.0


class Drive:
    """Runs a choice in a world.

    The order of faults, each fault, and the deploys have random numbers of their own: one's timing does not change what
    the others do.
    """

    def __init__(self, world: World, choice: Choice) -> None:
        self._world = world
        self._order = Random(f"{choice.seed} order")
        self._choice = choice
        self._bag: list[Fault] = []
        self._healing: dict[str, Timer] = {}
        self._unfinished = 0
        self._deployed_at = 0.0
        self.faults: list[FaultRecord] = []

    def run(self) -> float:
        """Deploys and breaks until all is deployed and done; then heals, and waits until nothing is left to do.

        Returns:
            How long that took, in seconds: nothing is unfinished, waiting, or left on the engine any more.
        """
        next_fault = self._deployed_at = time.monotonic()
        while self._goes_on:
            self._watch()
            if self._has_room:
                with suppress(GalaxyError):  # next time
                    self._world.traffic.deploy()
                    self._deployed_at = time.monotonic()
            if time.monotonic() >= next_fault and self._inject():
                next_fault = time.monotonic() + self._order.expovariate(1 / _FAULT_EVERY_S)
            time.sleep(_ASK_EVERY_S)
        return self._settle()

    @property
    def _has_room(self) -> bool:
        """A slot is free: then recovery is not hidden by waiting for one."""
        return self._unfinished < self._choice.workers * SLOTS

    @property
    def _goes_on(self) -> bool:
        """Until there were enough builds, and each kind of fault has come at least once; or nothing moves any more."""
        if time.monotonic() > self._deployed_at + _STUCK_S:
            return False
        deploys, builds = self._world.traffic.deploys, self._choice.builds
        missing = {fault.name for fault in self._choice.faults} - {fault.name for fault in self.faults}
        return deploys < builds or (bool(missing) and deploys < _MORE_BUILDS * builds)

    def _inject(self) -> bool:
        """Injects the next fault, if there is something that it can hit."""
        self._healing = {part: timer for part, timer in self._healing.items() if timer.is_alive()}
        if not self._bag:
            self._bag = self._order.sample(self._choice.faults, len(self._choice.faults))
        if not self._bag or len(self._healing) >= _AT_ONCE:
            return False
        fault, at = self._bag.pop(), time.time()
        rng = Random(f"{self._choice.seed} {fault.name} {len(self.faults)}")
        away = fault.part and fault.part in self._healing
        hit = None if away else fault.inject(self._world, rng)
        if hit is None:
            self._bag.insert(0, fault)  # its time will come
            return False
        self.faults.append(
            FaultRecord(fault.name, at, time.time() + hit.heal_in_s, hit.member, hit.pid, fault.aim)
        )
        if hit.heal_in_s:
            self._heal_later(fault, hit)
        return True

    def _heal_later(self, fault: Fault, hit: Injected) -> None:
        number = len(self.faults) - 1

        def heal() -> None:
            try:
                hit.heal()
            except BaseException as error:  # noqa: BLE001 - a failed test among them; it would vanish in this thread
                self._world.crew.accidents.append(f"{fault.name} could not be healed: {error}")
            self.faults[number] = replace(self.faults[number], until=time.time())

        timer = Timer(hit.heal_in_s, heal)
        timer.start()
        self._healing[fault.part or f"{fault.name} {hit.member}"] = timer

    def _watch(self) -> None:
        """Keeps the processes alive, and looks at what goes on, as far as anybody answers."""
        world = self._world
        world.crew.look_after()
        with suppress(DockerException, RequestException, OSError):
            world.bundles.see(world.running())
        with suppress(GalaxyError):
            if world.traffic.insist():
                self._unfinished = len(world.traffic.unfinished())

    def _settle(self) -> float:
        for timer in self._healing.values():
            timer.join()
        since = time.monotonic()
        while time.monotonic() < since + _QUIET_WITHIN_S and not self._is_quiet():
            time.sleep(_ASK_EVERY_S)
        return time.monotonic() - since

    def _is_quiet(self) -> bool:
        self._watch()
        world = self._world
        try:
            return not (world.traffic.unfinished() or any(waiting(world).values()) or leftovers(world))
        except (GalaxyError, RedisError, DockerException, RequestException, OSError):
            return False
