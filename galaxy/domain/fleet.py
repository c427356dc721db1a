"""The fleet's queues, tasks and kinds of workers: the only place that declares them.

Celery's queues and routes, beat's schedule, the doctor, the local stack and the tests of docker-compose.yml and of the
documents derive from it. It needs nothing but the standard library, because the local stack reads it before any
dependency is installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CELERY: Final = ("celery", "-A", "workers")
"""How every process of the pipeline begins its command line."""


class Queue(StrEnum):
    """A queue of the broker, by its name there."""

    BUILDS = "builds"
    """Builds that a person waits for. Build workers serve them before all others."""
    BULK_BUILDS = "builds.bulk"
    """Automatic rebuilds. Nobody waits for them."""
    RECONCILE = "reconcile"
    """The reconciler's periodic runs. They are served first, because they must not wait behind deploys."""
    CONTROL = "control"
    """Deploys by backends."""
    BARE_CLIENTS = "celery"
    """Deploys by backends that configure no queue: this is Celery's own default."""
    ROLLOUTS = "rollouts"
    """Rollouts of built versions."""
    BASE_IMAGES = "base-images"
    """Checks of base images, and what follows from a change."""


class TaskName(StrEnum):
    """A Celery task of the fleet. Its name is also the name of its module."""

    BUILD = "tasks.build"
    """Runs the next attempt of a version's build."""
    ROLL_OUT = "tasks.roll_out"
    """Makes a built version active."""
    DEPLOY = "tasks.deploy"
    """Makes a version from what a backend sends."""
    RECONCILE = "tasks.reconcile"
    """Ends lost attempts and enqueues what waits. Beat sends it."""
    POLL_BASE_IMAGES = "tasks.poll_base_images"
    """Checks the base images that are due. Beat sends it."""
    FAN_OUT = "tasks.fan_out"
    """Hands out the apps that depend on a changed base image."""
    NEW_VERSION = "tasks.new_version"
    """Makes the automatic versions of the apps that were handed out."""


ROUTES: Final[Mapping[TaskName, Queue]] = MappingProxyType(
    {
        TaskName.BUILD: Queue.BUILDS,  # automatic versions go to BULK_BUILDS instead: see `build_queue`
        TaskName.ROLL_OUT: Queue.ROLLOUTS,
        TaskName.DEPLOY: Queue.CONTROL,
        TaskName.RECONCILE: Queue.RECONCILE,
        TaskName.POLL_BASE_IMAGES: Queue.BASE_IMAGES,
        TaskName.FAN_OUT: Queue.BASE_IMAGES,
        TaskName.NEW_VERSION: Queue.BASE_IMAGES,
    }
)
"""The queue that each task is sent to."""

WITH_CONTROL: Final = (Queue.RECONCILE, Queue.CONTROL, Queue.BARE_CLIENTS)
"""Whoever serves `control` serves all of these, in this order and before its other queues."""


@dataclass(frozen=True)
class WorkerKind:
    """A kind of worker, as production and the local stack start it.

    Attributes:
        name: As people call it, such as `build worker`. With a hyphen, it names its process and its service.
        node: The part of the worker's own name that stands before `@HOST`.
        queues: What it serves, the most urgent first.
        pool: Celery's pool.
        concurrency: How many tasks it runs at a time, unless the operator chooses another number.
        standstill: What happens while no such worker is there, as the second half of a sentence.
    """

    name: str
    node: str
    queues: tuple[Queue, ...]
    concurrency: int
    standstill: str
    pool: str = "prefork"

    @property
    def service(self) -> str:
        """Its name among the processes of the local stack and the services of docker-compose.yml."""
        return self.name.replace(" ", "-")

    @property
    def asked(self) -> tuple[Queue, ...]:
        """The queues that its command line names. It serves the others of `queues` unasked."""
        unasked = {*WITH_CONTROL} - {Queue.CONTROL}
        return tuple(queue for queue in self.queues if queue not in unasked)

    @property
    def start(self) -> tuple[str, ...]:
        """The words of the shortest command that starts one."""
        return (*CELERY, "worker", "-Q", ",".join(self.asked))

    @property
    def command(self) -> tuple[str, ...]:
        """The words of the command that starts one with its defaults and its name."""
        options = ("-P", self.pool, "-c", str(self.concurrency), "-n", f"{self.node}@%h", "-l", "INFO")
        return (*self.start, *options)


BUILD_WORKER: Final = WorkerKind(
    name="build worker",
    node="build",
    queues=(Queue.BUILDS, Queue.BULK_BUILDS),
    concurrency=2,
    standstill="builds wait",
)
"""Runs the build stage. It talks to one container engine."""

CONTROL_WORKER: Final = WorkerKind(
    name="control worker",
    node="control",
    queues=(*WITH_CONTROL, Queue.ROLLOUTS, Queue.BASE_IMAGES),
    concurrency=4,  # its tasks wait for Redis and registries most of the time
    standstill="deploys by backends and rollouts wait, and lost builds are not tried again",
)
"""Runs everything that is short."""

WORKER_KINDS: Final = (BUILD_WORKER, CONTROL_WORKER)
"""All of them. Together they serve every queue."""


def build_queue(*, automatic: bool) -> Queue:
    """The queue of a build. `automatic`: nobody waits for it."""
    return Queue.BULK_BUILDS if automatic else ROUTES[TaskName.BUILD]


def serves_builds(queues: Iterable[str]) -> bool:
    """Whether a worker that serves these queues builds."""
    return not set(BUILD_WORKER.queues).isdisjoint(queues)


def served(asked: Iterable[str]) -> tuple[str, ...]:
    """The queues that a worker serves whose command line names `asked`, in the order in which it serves them."""
    names = tuple(asked)
    if Queue.CONTROL not in names:
        return names
    return (*map(str, WITH_CONTROL), *(name for name in names if name not in WITH_CONTROL))
