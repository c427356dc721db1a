"""Checks of base images over real HTTP: what counts as an update, what never does, and how many requests it takes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from galaxy.adapters.registry import RegistryClient
from galaxy.domain.base_images.checks import CheckResult
from galaxy.domain.base_images.image_reference import ImageReference
from galaxy.domain.errors import RegistryThrottled
from galaxy.domain.states import VersionState
from tests.support.registry_server import RegistryServer
from tests.support.stores import new_version
from tests.support.updates import IMAGE, Harbour

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

    from tests.conftest import RedisServer
    from tests.support.docker_registry import DockerRegistry

REPOSITORY = "meteor/galaxy-app"
APP = "a.example.com"


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[Redis]:
    with redis_server.client(decode_responses=True) as client:
        yield client


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with RegistryServer().running() as server:
        yield server


@pytest.fixture
def harbour(redis: Redis, key_prefix: str, server: RegistryServer) -> Iterator[Harbour]:
    registry = RegistryClient(docker_hub_mirror=server.url, timeout_s=1)
    harbour = Harbour(redis, key_prefix, registry)
    yield harbour
    harbour.close()
    registry.close()


def running(harbour: Harbour, server: RegistryServer | DockerRegistry) -> None:
    """An app that is active on what the tag holds, and nothing left to do."""
    server.publish_image(REPOSITORY, "latest", b"first")
    harbour.run_app(APP)
    harbour.check()
    harbour.settle()


def look(harbour: Harbour) -> None:
    harbour.check()
    harbour.settle()


def test_a_new_manifest_under_the_tag_rebuilds_the_app(
    redis: Redis, key_prefix: str, app_registry: DockerRegistry
) -> None:
    registry = RegistryClient(docker_hub_mirror=app_registry.url)
    harbour = Harbour(redis, key_prefix, registry)
    running(harbour, app_registry)
    new = app_registry.publish_image(REPOSITORY, "latest", b"second")
    look(harbour)
    assert harbour.active(APP).base_digest == new
    # the same image recompressed: another manifest of the same config
    recompressed = app_registry.publish_image_with_layers(REPOSITORY, "latest", b"second", [b"layer"])
    look(harbour)
    assert harbour.active(APP).base_digest == recompressed
    assert len(harbour.automatic(APP)) == 2
    harbour.close()
    registry.close()


def test_another_platforms_change_rebuilds_nothing(
    redis: Redis, key_prefix: str, app_registry: DockerRegistry
) -> None:
    registry = RegistryClient(docker_hub_mirror=app_registry.url)
    harbour = Harbour(redis, key_prefix, registry)
    platforms = {"linux/amd64": b"ours", "linux/arm64/v8": b"theirs"}
    app_registry.publish_index(REPOSITORY, "latest", platforms)
    harbour.run_app(APP)
    look(harbour)
    app_registry.publish_index(REPOSITORY, "latest", {**platforms, "linux/arm64/v8": b"theirs, changed"})
    look(harbour)
    assert harbour.automatic(APP) == []
    new = app_registry.publish_index(REPOSITORY, "latest", {**platforms, "linux/amd64": b"ours, changed"})
    look(harbour)
    assert harbour.active(APP).base_digest == new
    harbour.close()
    registry.close()


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"status": 404}, "has no image"),
        ({"status": 403}, "refused access"),
        ({"status": 500}, "500"),
        ({"status": 429, "headers": {"Retry-After": "30"}}, "pause of 30 s"),
        ({"hang_up": True}, "127.0.0.1"),
        ({"silent": True}, "127.0.0.1"),
        ({"body": b"no manifest", "omit_digest": True}, "manifest"),
        ({"wrong_digest": "sha256:" + "0" * 64}, "has no image"),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, dict) else "",
)
def test_what_is_no_answer_is_never_an_update_and_is_told(
    harbour: Harbour, server: RegistryServer, fault: dict[str, object], told: str
) -> None:
    running(harbour, server)
    before = harbour.base_images.all()[0]
    server.publish_image(REPOSITORY, "latest", b"second")
    for name, value in fault.items():
        setattr(server.faults, name, value)
    look(harbour)
    (image,) = harbour.base_images.all()
    assert (image.digest, image.errors) == (before.digest, 1)
    assert told in str(image.error)
    assert harbour.automatic(APP) == []


def test_a_repository_that_became_private_is_no_update(harbour: Harbour, server: RegistryServer) -> None:
    running(harbour, server)
    server.want_tokens()
    server.private.add(REPOSITORY)
    look(harbour)
    (image,) = harbour.base_images.all()
    assert "missing or private" in str(image.error)
    assert harbour.automatic(APP) == []


def test_after_an_outage_the_change_is_found(harbour: Harbour, server: RegistryServer) -> None:
    running(harbour, server)
    server.faults.status = 503
    new = server.publish_image(REPOSITORY, "latest", b"second")
    look(harbour)
    server.faults.status = None
    look(harbour)
    (image,) = harbour.base_images.all()
    assert (image.error, image.errors, image.digest) == (None, 0, new)
    assert harbour.active(APP).base_digest == new


def test_a_pause_that_a_registry_asks_for_holds_for_all_its_images_and_all_pollers(
    harbour: Harbour, server: RegistryServer
) -> None:
    running(harbour, server)
    server.faults.status, server.faults.headers = 429, {"Retry-After": "60"}
    look(harbour)
    depend_on(harbour, 5)
    asked = len(server.seen)
    other = Harbour(harbour.redis, harbour.keys._prefix, RegistryClient(docker_hub_mirror=server.url))
    assert other.base_images.poll() == 0
    assert len(server.seen) == asked
    other.close()


def test_a_pause_that_a_build_was_asked_for_is_kept_by_all_workers(
    harbour: Harbour, server: RegistryServer
) -> None:
    running(harbour, server)
    server.faults.status, server.faults.headers = 429, {"Retry-After": "60"}
    reference = ImageReference.parse(IMAGE)
    with pytest.raises(RegistryThrottled, match="pause of 60 s"):
        harbour.registries.resolve(reference)

    asked = len(server.seen)
    other = Harbour(harbour.redis, harbour.keys._prefix, RegistryClient(docker_hub_mirror=server.url))
    with pytest.raises(RegistryThrottled, match=r"lasts another (59|60) s") as told:
        other.registries.resolve(reference)
    assert 58 < told.value.retry_after_s <= 60
    due_now = other.redis.zadd(other.keys.base_images(), {IMAGE: 0}, ch=True)
    assert (due_now, other.base_images.poll()) == (1, 0)
    assert len(server.seen) == asked
    other.close()


def depend_on(harbour: Harbour, count: int) -> None:
    """Apps on as many base images."""
    for number in range(count):
        app, image = f"app{number}.example.com", f"docker.io/base/image-{number}:1"
        made = new_version(app).model_copy(update={"base_image": image, "base_reference": image})
        harbour.store.create_version(made, idempotency_key="k", fingerprint="f", retention_s=60)


def test_one_request_a_tag_however_many_poll_and_however_many_apps_there_are(
    redis: Redis, key_prefix: str, server: RegistryServer
) -> None:
    registry = RegistryClient(docker_hub_mirror=server.url)
    harbours = [Harbour(redis, key_prefix, registry, base_image_poll_s=60) for _ in range(3)]
    depend_on(harbours[0], 40)
    for number in range(40):
        server.publish_image(f"base/image-{number}", "1", b"%d" % number)
    for number in range(40, 60):  # more apps on the same images
        made = new_version(f"app{number}.example.com")
        image = f"docker.io/base/image-{number - 40}:1"
        again = made.model_copy(update={"base_image": image, "base_reference": image})
        harbours[0].store.create_version(again, idempotency_key="k", fingerprint="f", retention_s=60)
    harbours[0].base_images.poll()
    assert (server.count("HEAD"), server.count("GET")) == (40, 40)  # what they hold for us, once

    for key in redis.zrange(harbours[0].keys.base_images(), 0, -1):
        redis.zadd(harbours[0].keys.base_images(), {key: 0})
    server.seen.clear()
    barrier = threading.Barrier(6)

    def poll(harbour: Harbour) -> None:
        barrier.wait()
        # as two pollers that both hold the lock for a moment would
        while checks := harbour.images.take_checks(4):
            for check in checks:
                harbour.base_images._check(check)

    with ThreadPoolExecutor(6) as pool:
        [*pool.map(poll, [*harbours, *harbours])]
    assert (server.count("HEAD"), server.count("GET")) == (40, 0)
    for harbour in harbours:
        harbour.close()
    registry.close()


def test_only_one_poller_works_at_a_time(harbour: Harbour, server: RegistryServer) -> None:
    running(harbour, server)
    with harbour.images.only_poller(5) as keep:
        assert keep()
        depend_on(harbour, 1)
        assert harbour.base_images.poll() == 0
    assert harbour.base_images.poll() >= 1


def test_a_check_whose_poller_died_is_due_again_and_its_late_answer_counts_for_nothing(
    harbour: Harbour, server: RegistryServer
) -> None:
    running(harbour, server)
    dead = harbour.images.take_check(IMAGE)
    found = harbour.base_images._look_up(dead)  # type: ignore[arg-type]
    assert harbour.images.take_checks(10) == ()
    harbour.redis.hset(harbour.keys.base_image(IMAGE), "lease_until", 0)
    harbour.redis.zadd(harbour.keys.base_images(), {IMAGE: 0})
    new = server.publish_image(REPOSITORY, "latest", b"second")
    assert harbour.base_images.poll() >= 1
    harbour.images.record([CheckResult(dead, 0, found)])  # type: ignore[arg-type]
    assert harbour.base_images.all()[0].digest == new


def test_a_registrys_budget_is_shared_by_all_pollers(
    redis: Redis, key_prefix: str, server: RegistryServer
) -> None:
    registry = RegistryClient(docker_hub_mirror=server.url)
    harbours = [Harbour(redis, key_prefix, registry, registry_requests_per_s=2) for _ in range(2)]
    depend_on(harbours[0], 40)
    for harbour in harbours:
        harbour.base_images.poll()
    assert 10 <= server.count("HEAD") <= 14  # five seconds' worth, and what came while it polled
    assert redis.zcount(harbours[0].keys.base_images(), "-inf", "+inf") == 40
    for harbour in harbours:
        harbour.close()
    registry.close()


def test_the_state_of_an_app_says_what_came_of_it(harbour: Harbour, server: RegistryServer) -> None:
    running(harbour, server)
    server.publish_image(REPOSITORY, "latest", b"second")
    look(harbour)
    assert [version.state for version in harbour.versions(APP)] == [VersionState.RETIRED, VersionState.ACTIVE]
