"""A base image that 10,000 apps depend on changes: how fast their new versions are recorded, and what that takes.

Against a naive loop in one process: one write and one `apply_async` for each app, on the same Redis.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from statistics import median
from threading import Event, Thread
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from celery import Celery
from redis.exceptions import ResponseError

from bench.dependents import app_name, deploy_dependents
from bench.fleet import Fleet, fleet
from bench.measure import CannotRun, Quantity, Throughput, in_pairs
from bench.surroundings import publish_tags
from galaxy.domain.base_images.image_reference import ImageReference
from galaxy.domain.base_images.updates import UpdateState
from galaxy.domain.fleet import Queue
from galaxy.domain.models import VersionRef
from galaxy.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from redis import Redis

    from bench.measure import Finding
    from galaxy.domain.base_images.updates import Update

GOAL: Final = 1.5
BUILD_GOAL_S: Final = 1.0
#: What ten times the dependents may take of the broker, against what the few take: nothing more, but for chance.
FLAT: Final = 1.5
DEPENDENTS: Final = 10_000
FEW_DEPENDENTS: Final = 1_000
PAIRS: Final = 3
QUICK_PAIRS: Final = 1
CHANGES: Final = 10
QUICK_CHANGES: Final = 3

_REPOSITORY: Final = "bench/fanout"
_TAG: Final = "1"
_IMAGE: Final = f"{_REPOSITORY}:{_TAG}"
_TIMEOUT_S: Final = 120
_NAIVE_QUEUE: Final = "naive"
#: Lists and hashes of the broker that hold messages.
_MESSAGES: Final = (*Queue, "unacked", "unacked.control")
_OF_BUILDS: Final = (Queue.BUILDS, Queue.BULK_BUILDS, "unacked")
_LOOK_EVERY_S: Final = 0.005
#: All at once: a worker that is still at work must not find half of it.
_FORGET: Final = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('UNLINK', key) end"


def run(*, quick: bool) -> Iterator[Finding]:
    """Measures it.

    Raises:
        CannotRun: Redis or the registry that stands for Docker Hub is missing, or an update came to no end.
    """
    if not Settings().docker_hub_mirror:
        raise CannotRun("GALAXY_DOCKER_HUB_MIRROR is not set: use `make bench`.")
    # without waves, of which each waits for the builds of the one before; and nothing is built
    with fleet(slots=0, control_slots=4, update_waves="100%") as here:
        here.wait_until_ready()
        ours = _Ours(here)
        pairs = in_pairs(ours.record_s, _Naive(here).record_s, pairs=QUICK_PAIRS if quick else PAIRS)
        yield Throughput(f"fanout to {DEPENDENTS:,} apps, versions", GOAL, DEPENDENTS, pairs, per_s=1)
        yield from _flat(ours.peaks(DEPENDENTS), ours.peaks(FEW_DEPENDENTS))
    with fleet(slots=1, control_slots=4, update_waves="100%") as here:
        here.wait_until_ready()
        yield from _builds(here, QUICK_CHANGES if quick else CHANGES)


@dataclass
class _Peaks:
    """The most that was seen in the broker at a time."""

    messages: int = 0
    memory_bytes: int = 0


@dataclass(frozen=True)
class _Ours:
    """Publishes the base image anew, checks it, and waits until all dependents have a new version."""

    fleet: Fleet

    def record_s(self, dependents: int = DEPENDENTS) -> float:
        """Does it once; returns the seconds from the check to the last version's record."""
        _begin(self.fleet, dependents)
        _publish()
        began = time.perf_counter()
        self.fleet.pipeline.base_images.check(_IMAGE)
        _wait_until(self.fleet, lambda update: update.created >= dependents)
        took_s = time.perf_counter() - began
        self._assert_all_have_one(dependents)
        return took_s

    def peaks(self, dependents: int) -> _Peaks:
        """Does it once more, and looks at the broker all the time."""
        with _watched(self.fleet.broker) as peaks:
            self.record_s(dependents)
        return peaks

    def _assert_all_have_one(self, dependents: int) -> None:
        keys, store = self.fleet.pipeline.keys, self.fleet.store
        with store.pipeline(transaction=False) as batch:
            for number in range(dependents):
                batch.hget(keys.app(app_name(number)), "last")
            newest = batch.execute()
        if any(number != "2" for number in newest):
            raise CannotRun("Not every app has exactly one new version.")


@dataclass(frozen=True)
class _Naive:
    """What one writes first."""

    fleet: Fleet

    def record_s(self) -> float:
        """Writes and enqueues as many versions; returns the seconds that it took."""
        here = self.fleet.pipeline
        celery = Celery("naive", broker=here.settings.broker_url.get_secret_value(), set_as_current=False)

        @celery.task(name="tasks.build", ignore_result=True)
        def build(app: str, version: int) -> None:
            """Nobody runs it."""

        record = _record()
        began = time.perf_counter()
        for number in range(DEPENDENTS):
            app = app_name(number)
            key = f"{here.keys.app(app)}:naive"
            self.fleet.store.hset(key, mapping={**record, "app": app, "created_at": int(time.time() * 1000)})
            build.apply_async(kwargs={"app": app, "version": 2}, queue=_NAIVE_QUEUE)
        took_s = time.perf_counter() - began
        if self.fleet.broker.llen(_NAIVE_QUEUE) != DEPENDENTS:
            raise CannotRun("The naive loop's messages are not in its queue.")
        self.fleet.broker.delete(_NAIVE_QUEUE)
        return took_s


def _record() -> Mapping[str, str | int]:
    """As many fields as an automatic version has."""
    digest = f"sha256:{'0' * 64}"
    return {
        "number": 2, "state": "queued", "attempt": 0, "token": 0, "automatic": 1, "enqueued_at": 0,
        "deployed_by": "base image update", "rebuild_of": 1, "base_digest": digest, "wanted_digest": digest,
        "update": 2, "bundle_url": "https://bundles.example.com/www-42.tar.gz",
        "settings": '{"public": {"title": "My app"}}', "env": "{}", "base_image": _IMAGE,
        "base_reference": f"docker.io/{_IMAGE}", "origin": 1,
    }  # fmt: skip


def _flat(many: _Peaks, few: _Peaks) -> Iterator[Quantity]:
    against = f"{DEPENDENTS:,} against {FEW_DEPENDENTS:,} dependents"
    yield Quantity(
        f"fanout: peak of messages, {against}", many.messages / few.messages, "times as many", FLAT,
        f"{many.messages} against {few.messages}",
    )  # fmt: skip
    yield Quantity(
        f"fanout: peak of the broker's memory, {against}", many.memory_bytes / few.memory_bytes,
        "times as much", FLAT, f"{many.memory_bytes / 1024:.0f} KiB against {few.memory_bytes / 1024:.0f} KiB",
    )  # fmt: skip


def _builds(here: Fleet, count: int) -> Iterator[Quantity]:
    """How soon builds begin: the first one after a change, and a person's in the middle of it."""
    first_s, persons_s = [], []
    for number in range(count):
        _begin(here, DEPENDENTS)
        _publish()
        here.pipeline.base_images.check(_IMAGE)
        began = _wait_until_begun(here, VersionRef(app_name(0), 2))
        first_s.append(began - _update(here).started_at_ms / 1000)
        deployed = _now(here)
        persons_s.append(_wait_until_begun(here, _deploy(here, number)) - deployed)
    for what, took_s in (("the first build", first_s), ("a person's, deployed meanwhile,", persons_s)):
        detail = f"median {median(took_s):.3f} s, {count} changes, {DEPENDENTS:,} dependents, one slot"
        yield Quantity(f"fanout: until {what} begins", max(took_s), "s at most", BUILD_GOAL_S, detail)


def _deploy(here: Fleet, number: int) -> VersionRef:
    settings = {"galaxy.meteor.com": {"baseImage": {"repository": _REPOSITORY, "tag": _TAG}}}
    return here.deploy(f"person-{number}.fanout.bench", "http://bundles.invalid/none", settings)


def _wait_until_begun(here: Fleet, ref: VersionRef) -> float:
    """When a version's first attempt was seen, in seconds by the store's clock. It fails: the image has no files."""
    key = here.pipeline.keys.version(*ref)
    deadline = time.monotonic() + _TIMEOUT_S
    while int(here.store.hget(key, "attempt") or 0) == 0:
        here.assert_alive()
        if time.monotonic() > deadline:
            raise CannotRun(f"The build of {ref} did not begin.")
        time.sleep(_LOOK_EVERY_S / 5)
    return _now(here)


def _now(here: Fleet) -> float:
    seconds, micros = here.store.time()
    return float(seconds + micros / 1e6)


def _begin(here: Fleet, dependents: int) -> None:
    """Apps that are built on what the tag holds, and nothing left to do."""
    _wait_until_idle(here)
    here.store.eval(_FORGET, 0, f"{here.pipeline.settings.key_prefix}:*")
    here.broker.delete(*Queue)
    _publish()
    digest = here.pipeline.registry.resolve(ImageReference.parse(_IMAGE))
    deploy_dependents(here.pipeline, here.store, _IMAGE, digest, dependents)
    here.pipeline.base_images.check(_IMAGE)
    _wait_until(here, lambda update: update.state is UpdateState.DONE)
    if _update(here).created:
        raise CannotRun("Apps were rebuilt on what they are built on.")
    _wait_until_idle(here)


def _publish() -> None:
    publish_tags(str(Settings().docker_hub_mirror), _REPOSITORY, {_TAG: uuid4().hex})


def _update(here: Fleet) -> Update:
    update = here.pipeline.base_images.update(_IMAGE)
    if update is None:
        raise CannotRun("The base image's update is gone.")
    return update


def _wait_until(here: Fleet, reached: Callable[[Update], bool]) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while not reached(_update(here)):
        here.assert_alive()
        if time.monotonic() > deadline:
            raise CannotRun(f"The update did not get on: {_update(here)}")
        time.sleep(_LOOK_EVERY_S)


def _wait_until_idle(here: Fleet) -> None:
    """No worker has anything to do but to build."""
    deadline = time.monotonic() + _TIMEOUT_S
    busy = [name for name in _MESSAGES if name not in _OF_BUILDS]
    while any(_length(here.broker, name) for name in busy):
        if time.monotonic() > deadline:
            raise CannotRun("The control worker's queues did not become empty.")
        time.sleep(_LOOK_EVERY_S)


@contextmanager
def _watched(broker: Redis) -> Iterator[_Peaks]:
    """Looks at the broker's messages all the time."""
    peaks, ended = _Peaks(), Event()

    def look() -> None:
        while not ended.wait(_LOOK_EVERY_S):
            messages = sum(_length(broker, name) for name in _MESSAGES)
            memory = sum(broker.memory_usage(name, samples=0) or 0 for name in _MESSAGES)
            peaks.messages, peaks.memory_bytes = (
                max(peaks.messages, messages),
                max(peaks.memory_bytes, memory),
            )

    thread = Thread(target=look, daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        ended.set()
        thread.join()


def _length(broker: Redis, name: str) -> int:
    with suppress(ResponseError):
        return int(broker.llen(name))
    return int(broker.hlen(name))
