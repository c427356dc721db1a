"""What can go wrong. Each fault hits a world at random, and knows how to heal what it did."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from galaxy.domain.errors import GalaxyError, QueueError
from tests.chaos.crew import BEAT, BUILD, CONTROL

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.chaos.world import World


REDIS: Final = "redis"
ENGINE: Final = "engine"
REGISTRY: Final = "registry"


@dataclass(frozen=True)
class Injected:
    """A fault that has hit.

    Attributes:
        heal: Undoes it.
        heal_in_s: When.
        member: Name of the process that was hit, if it was one.
        pid: The one child that was hit, if it was one.
    """

    heal: Callable[[], None] = lambda: None
    heal_in_s: float = 0.0
    member: str = ""
    pid: int | None = None


@dataclass(frozen=True)
class Fault:
    """A kind of fault.

    Attributes:
        inject: None when there was nothing to hit.
        aim: See `FaultRecord`.
        part: What it takes away; nothing else is done to that meanwhile.
    """

    name: str
    inject: Callable[[World, Random], Injected | None]
    aim: Literal["deadly", "outage", "nuisance"]
    part: str = ""


def _kill_worker(world: World, rng: Random) -> Injected | None:
    """`kill -9` of a build worker: of its main process, or of all its processes."""
    workers = world.crew.sound(BUILD)
    if not workers:
        return None
    worker = rng.choice(workers)
    world.crew.kill(worker, children_too=rng.random() < 0.5)
    return Injected(member=worker.name)


def _kill_child(world: World, rng: Random) -> Injected | None:
    """`kill -9` of one process that builds."""
    hit = [(worker, child) for worker in world.crew.sound(BUILD) for child in worker.children()]
    if not hit:
        return None
    worker, child = rng.choice(hit)
    os.kill(child, signal.SIGKILL)
    return Injected(member=worker.name, pid=child)


def _freeze_worker(world: World, rng: Random) -> Injected | None:
    """Stops a worker for longer than its leases; then it goes on, and finds that others have taken over."""
    workers = world.crew.sound(BUILD)
    if len(workers) < 2:  # somebody has to take over
        return None
    worker = rng.choice(workers)
    world.crew.freeze(worker)
    longer = world.timing.lease_s + world.timing.reconcile_s + rng.uniform(0, 3)
    return Injected(lambda: world.crew.thaw(worker), longer, member=worker.name)


def _replace_worker(world: World, rng: Random) -> Injected | None:
    """SIGTERM, as an update does."""
    workers = world.crew.sound(BUILD)
    if not workers:
        return None
    worker = rng.choice(workers)
    world.crew.tell_to_end(worker)
    return Injected(member=worker.name)


def _kill_control(world: World, rng: Random) -> Injected | None:
    return _kill_any(world, rng, CONTROL)


def _kill_beat(world: World, rng: Random) -> Injected | None:
    """One of the two, the leader or the other."""
    return _kill_any(world, rng, BEAT)


def _kill_any(world: World, rng: Random, role: str) -> Injected | None:
    members = world.crew.sound(role)
    if not members:
        return None
    member = rng.choice(members)
    world.crew.kill(member, children_too=True)
    return Injected(member=member.name)


def _crash_redis(world: World, rng: Random) -> Injected:
    world.redis.kill()
    return Injected(world.redis.start, rng.uniform(0.1, 3))


def _restart_redis(world: World, rng: Random) -> Injected:
    world.redis.shut_down()
    return Injected(world.redis.start, rng.uniform(0.1, 3))


def _freeze_redis(world: World, rng: Random) -> Injected:
    world.redis.freeze()
    return Injected(world.redis.thaw, rng.uniform(0.5, 5))


def _drop_connections(world: World, _: Random) -> Injected:
    with world.redis.client(0) as client:
        for kind in ("normal", "pubsub"):
            client.client_kill_filter(_type=kind, skipme=True)
    return Injected()


def _empty_broker(world: World, _: Random) -> Injected:
    """All messages are gone, and what Celery notes about those on their way."""
    with world.redis.client(world.broker_db) as client:
        client.flushdb()
    return Injected()


def _restart_engine(world: World, rng: Random) -> Injected | None:
    engine = world.own_engine
    if engine is None:
        return None
    (engine.kill if rng.random() < 0.5 else engine.shut_down)()
    return Injected(engine.start, rng.uniform(0, 2))


def _stop_registry(world: World, rng: Random) -> Injected:
    """It refuses connections, or it answers nothing."""
    if rng.random() < 0.5:
        world.registry.kill()
        return Injected(world.registry.start, rng.uniform(0.5, 4))
    world.registry.freeze()
    return Injected(world.registry.thaw, rng.uniform(0.5, 4))


def _deliver_again(world: World, rng: Random) -> Injected | None:
    """Messages for versions of all ages, many times over, also with a count of retries that is wrong."""
    deployed = world.traffic.deployed()
    if not deployed:
        return None
    try:
        for ref, *_ in rng.choices(deployed[-6:], k=3):
            for _ in range(rng.randrange(1, 8)):
                world.pipeline.queue.build(ref, retries=rng.randrange(4))
            world.pipeline.queue.roll_out(ref)
    except QueueError:
        return None
    return Injected()


def _cancel(world: World, rng: Random) -> Injected | None:
    try:
        refs = world.traffic.unfinished()
        return Injected() if refs and world.traffic.cancel(rng.choice(refs)) else None
    except GalaxyError:
        return None


def _supersede(world: World, rng: Random) -> Injected | None:
    """A newer deploy while the last one is being built."""
    try:
        refs = world.traffic.unfinished()
    except GalaxyError:
        return None
    if not refs:
        return None
    world.traffic.deploy(rng.choice(refs).app)
    return Injected()


ALL: Final = (
    Fault("kill-worker", _kill_worker, "deadly"),
    Fault("kill-child", _kill_child, "deadly"),
    Fault("freeze-worker", _freeze_worker, "deadly"),
    Fault("replace-worker", _replace_worker, "nuisance"),
    Fault("kill-control", _kill_control, "outage"),
    Fault("kill-beat", _kill_beat, "outage"),
    Fault("crash-redis", _crash_redis, "outage", REDIS),
    Fault("restart-redis", _restart_redis, "outage", REDIS),
    Fault("freeze-redis", _freeze_redis, "outage", REDIS),
    Fault("drop-connections", _drop_connections, "outage", REDIS),
    Fault("empty-broker", _empty_broker, "outage", REDIS),
    Fault("restart-engine", _restart_engine, "outage", ENGINE),
    Fault("stop-registry", _stop_registry, "outage", REGISTRY),
    Fault("deliver-again", _deliver_again, "nuisance"),
    Fault("cancel", _cancel, "nuisance"),
    Fault("supersede", _supersede, "nuisance"),
)
