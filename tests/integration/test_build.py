"""Whole builds with the real engine, a real registry and a real Redis; only Celery is left out."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

import pytest

from galaxy.adapters.engine.docker import client as docker_client
from galaxy.adapters.registry import RegistryClient
from galaxy.bootstrap import Pipeline
from galaxy.domain.base_images.image_reference import ImageReference
from galaxy.domain.errors import AttemptFailed, BuildFailed
from galaxy.domain.models import VersionRef
from galaxy.domain.states import Step, VersionState
from galaxy.settings import Settings
from tests.support.base_images import BaseImageSpec
from tests.support.gate import Gate, engine_address
from tests.support.stores import BY_BOB

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

    from galaxy.domain.errors import GalaxyError
    from tests.conftest import RedisServer
    from tests.support.base_images import BaseImages
    from tests.support.docker_registry import DockerRegistry
    from tests.support.engines import DockerUnderTest

S = VersionState
APP = "www.example.com"
BUNDLE_URL = "https://bundles.example.com/app.tgz?signature=Zm9vYmFyYmF6"
ENV_VALUE = "mongodb://user:password@db.example.com/app"
SOON_S = 20


class Site(NamedTuple):
    """A pipeline of this test alone, and the parts around it."""

    pipeline: Pipeline
    images: BaseImages
    registry: DockerRegistry
    api: docker.APIClient

    def publish(self, spec: BaseImageSpec, repository: str) -> str:
        """Publishes a base image on what stands for Docker Hub; returns its digest."""
        return self.images.publish(
            self.images.build(spec), f"{self.registry.authority}/{repository}", "latest"
        )

    def deploy(self, repository: str, app: str = APP) -> VersionRef:
        """Deploys on that base image."""
        ours = {"baseImage": {"repository": repository, "tag": "latest"}, "env": {"MONGO_URL": ENV_VALUE}}
        deployed = self.pipeline.releases.deploy(
            app=app, settings={"galaxy.meteor.com": ours}, bundle_url=BUNDLE_URL, deployed_by="ada"
        )
        return VersionRef(deployed.app, deployed.version)

    def build(self, ref: VersionRef) -> list[GalaxyError]:
        """Builds until the version is final, as Celery would; returns what the attempts raised."""
        raised: list[GalaxyError] = []
        deadline = time.monotonic() + 60
        while self.pipeline.store.version(ref).state in {S.QUEUED, S.RETRYING}:
            assert time.monotonic() < deadline
            try:
                self.pipeline.build_stage.run(ref, lambda *_: None)
            except (AttemptFailed, BuildFailed) as error:
                raised.append(error)
            time.sleep(0.01)
        return raised

    def lines(self, app: str = APP) -> list[str]:
        return [line.text for page in self.pipeline.logs.pages(app) for line in page.lines]

    def containers(self) -> list[str]:
        found = self.api.containers(all=True, filters={"name": f"{self.pipeline.settings.name}-"})
        return [container["Id"] for container in found]

    def images_of(self, app: str) -> list[str]:
        return [tag for image in self.api.images() for tag in image["RepoTags"] or () if app in tag]


@pytest.fixture
def repository() -> str:
    """A repository for base images of this test alone."""
    return f"base/{uuid4().hex}"


@pytest.fixture
def app() -> str:
    """An app of this test alone: the registry and the engine are shared."""
    return f"{uuid4().hex}.example.com"


@pytest.fixture
def settings(redis_server: RedisServer, key_prefix: str, app_registry: DockerRegistry) -> Settings:
    return Settings(
        broker_url=f"redis+socket://{redis_server.socket}?virtual_host=5",
        store_url=f"{redis_server.url}?db=6",
        logs_url=f"{redis_server.url}?db=7",
        key_prefix=key_prefix,
        name=key_prefix,
        registry=app_registry.authority,
        docker_hub_mirror=app_registry.url,
        retry_backoff_s=0.01,
        lease_s=6,
        engine_timeout_s=60,
    )


@pytest.fixture
def site(
    settings: Settings,
    base_images: BaseImages,
    app_registry: DockerRegistry,
    docker_under_test: DockerUnderTest,
) -> Iterator[Site]:
    yield (site := Site(Pipeline(settings), base_images, app_registry, docker_under_test.api))
    site.pipeline.registry.close()
    assert site.containers() == []


FULL = BaseImageSpec(
    dockerfile=(
        "USER app\nWORKDIR /app\nENV GREETING=hello\nEXPOSE 3000\nLABEL a=b\nSTOPSIGNAL SIGINT\n"
        'HEALTHCHECK CMD ["/bin/true"]\nONBUILD RUN true\nSHELL ["/bin/bash", "-c"]\n'
        'ENTRYPOINT ["/bin/bash", "-c"]\nCMD ["echo $GREETING; cat /app/made"]'
    ),
    setup='set -x\necho "got ${#1} characters"\necho careful >&2\nid -u > /app/made\n: "$1"',
)


def test_a_deploy_becomes_an_image_that_differs_from_its_base_image_in_labels_only(
    site: Site, repository: str, app: str
) -> None:
    digest = site.publish(FULL, repository)
    ref = site.deploy(repository, app)
    assert site.build(ref) == []
    version = site.pipeline.store.version(ref)
    assert (version.state, version.attempt, version.base_digest) == (S.BUILT, 1, digest)
    assert [step.step for step in version.steps] == [*Step]
    assert _registry_digest(site, app) == version.image_digest

    image, base = (
        site.api.inspect_image(reference)
        for reference in (str(version.image), f"{site.registry.authority}/{repository}@{digest}")
    )
    labels = image["Config"].pop("Labels")
    base_labels = base["Config"].pop("Labels")
    assert image["Config"] == base["Config"]
    assert labels.items() > base_labels.items()
    assert labels["org.opencontainers.image.base.digest"] == digest
    kept = json.dumps([image, labels, site.api.history(str(version.image))])
    assert "signature" not in kept
    assert "password" not in kept
    assert _run(site, str(version.image)) == b"hello\n1000\n"


def test_the_log_has_the_story_and_the_output_but_no_secret(site: Site, repository: str, app: str) -> None:
    digest = site.publish(FULL, repository)
    site.build(site.deploy(repository, app))
    lines = site.lines(app)
    text = "\n".join(lines)
    assert f"ada deployed version 1 on base image {repository}:latest." in lines
    assert f"got {len(BUNDLE_URL)} characters" in lines
    assert "careful" in lines
    assert "+ : '[redacted]'" in lines
    assert digest in text
    assert lines[-1].startswith("Version 1 is built")
    assert "signature" not in text


def _registry_digest(site: Site, app: str) -> str:
    with closing(RegistryClient(internal_hosts=[site.registry.authority])) as registry:
        return registry.resolve(ImageReference.parse(f"{site.registry.authority}/apps/{app}:1"))


def _run(site: Site, image: str) -> bytes:
    container = site.api.create_container(image, name=f"{site.pipeline.settings.name}-run")
    try:
        site.api.start(container)
        site.api.wait(container)
        return bytes(site.api.logs(container))
    finally:
        site.api.remove_container(container, force=True, v=True)


def test_a_built_version_becomes_active(site: Site, repository: str, app: str) -> None:
    site.publish(BaseImageSpec(), repository)
    ref = site.deploy(repository, app)
    site.build(ref)
    site.pipeline.rollout.run(ref)
    assert site.pipeline.store.active_version(app) == 1


def test_every_line_of_a_talkative_script_is_in_the_log_once_and_in_order(
    site: Site, repository: str, app: str
) -> None:
    site.publish(BaseImageSpec(setup="seq 1 100000"), repository)
    site.build(site.deploy(repository, app))
    numbers = [line for line in site.lines(app) if line.isdecimal()]
    assert numbers == [str(number) for number in range(1, 100_001)]


def test_a_script_that_always_fails_is_tried_four_times_and_leaves_nothing(
    site: Site, repository: str, app: str
) -> None:
    spec = BaseImageSpec(dockerfile='VOLUME /data\nCMD ["/bin/true"]', setup="echo it rains; exit 3")
    site.publish(spec, repository)
    ref = site.deploy(repository, app)
    raised = site.build(ref)
    assert [type(error) for error in raised] == [AttemptFailed] * 3 + [BuildFailed]
    assert site.pipeline.store.version(ref).state is S.BUILD_FAILED
    lines = site.lines(app)
    assert lines.count("it rains") == 4
    assert lines[-1].startswith("The build of version 1 has failed for good")
    assert site.containers() == []
    assert site.pipeline.engine.volumes(site.pipeline.settings.name) == ()
    assert site.images_of(app) == []


def test_the_next_deploy_uses_what_the_tag_means_then(site: Site, repository: str, app: str) -> None:
    first = site.publish(BaseImageSpec(setup="echo one"), repository)
    site.build(site.deploy(repository, app))
    second = site.publish(BaseImageSpec(setup="echo two"), repository)
    assert first != second
    site.build(site.deploy(repository, app))
    digests = [version.base_digest for version in site.pipeline.store.versions(app)]
    assert digests == [second, first]
    assert [line for line in site.lines(app) if line in {"one", "two"}] == ["one", "two"]


def test_a_base_image_that_breaks_the_contract_is_told_what_to_change(
    site: Site, repository: str, app: str
) -> None:
    site.publish(BaseImageSpec(dockerfile="", config={}, setup=None), repository)
    ref = site.deploy(repository, app)
    site.build(ref)
    failure = str(site.pipeline.store.version(ref).failure)
    assert "neither CMD nor ENTRYPOINT" in failure
    assert "has no /app/setup.sh" in failure


def test_a_base_image_that_does_not_exist_is_said_so(site: Site, repository: str, app: str) -> None:
    ref = site.deploy(repository, app)
    site.build(ref)
    assert repository in str(site.pipeline.store.version(ref).failure)


@pytest.mark.parametrize(
    "setup", ["sleep 1000", "while :; do echo x; done", "trap '' TERM; while :; do sleep 1; done"]
)
def test_a_cancelled_build_ends_soon(site: Site, repository: str, app: str, setup: str) -> None:
    site.publish(BaseImageSpec(setup=f"echo begun\n{setup}"), repository)
    ref = site.deploy(repository, app)
    worker = Thread(target=site.pipeline.build_stage.run, args=(ref, lambda *_: None))
    worker.start()
    deadline = time.monotonic() + SOON_S
    while "begun" not in site.lines(app) and time.monotonic() < deadline:
        time.sleep(0.05)
    site.pipeline.store.cancel(ref, BY_BOB)
    worker.join(SOON_S)
    assert not worker.is_alive()
    assert site.pipeline.store.version(ref).state is S.CANCELLED
    assert "was stopped" in site.lines(app)[-1]
    assert site.containers() == []


def _waits_for_ever(site: Site, ref: VersionRef, gate: Gate) -> None:
    """A build that goes on until somebody ends it, at a server that hangs."""
    worker = Thread(target=site.pipeline.build_stage.run, args=(ref, lambda *_: None))
    worker.start()
    assert gate.held.wait(SOON_S)
    site.pipeline.releases.cancel(app=ref.app, number=ref.number, by="ada")
    worker.join(SOON_S)
    assert not worker.is_alive()
    assert site.pipeline.store.version(ref).state is S.CANCELLED
    assert "was stopped" in site.lines(ref.app)[-1]


@pytest.mark.parametrize("request_", [r"POST .*/start", r"POST .*/commit", r"POST .*/push"])
def test_a_build_on_an_engine_that_hangs_can_be_cancelled(
    site: Site, repository: str, app: str, request_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_client, "_CLEANUP_S", 1)
    site.publish(BaseImageSpec(), repository)
    with Gate(engine_address(site.api)) as gate:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://{gate.address}")
        gate.shut_at(request_)
        _waits_for_ever(site, site.deploy(repository, app), gate)
    monkeypatch.undo()
    assert site.pipeline.reaper.run() >= 1, "what the engine could not be told to remove is reaped"
    assert site.images_of(app) == []


def test_a_build_whose_registry_hangs_can_be_cancelled(
    settings: Settings, site: Site, repository: str, app: str
) -> None:
    site.publish(BaseImageSpec(), repository)
    with Gate(int(site.registry.authority.partition(":")[2])) as gate:
        mirror = f"http://{gate.address}"
        patient = settings.model_copy(update={"docker_hub_mirror": mirror, "registry_timeout_s": 300.0})
        hanging = site._replace(pipeline=Pipeline(patient))
        gate.shut_at("HEAD .*/manifests/")
        _waits_for_ever(hanging, hanging.deploy(repository, app), gate)


def test_a_registry_that_is_away_fails_the_attempt_and_the_image_is_removed(
    settings: Settings, site: Site, repository: str, app: str
) -> None:
    site.publish(BaseImageSpec(), repository)
    away = site._replace(pipeline=Pipeline(settings.model_copy(update={"registry": "127.0.0.1:1"})))
    ref = site.deploy(repository, app)
    with pytest.raises(AttemptFailed, match="The engine said"):
        away.pipeline.build_stage.run(ref, lambda *_: None)
    away.pipeline.registry.close()
    assert site.images_of(app) == []


def test_builds_in_several_threads_do_not_meet(site: Site, repository: str) -> None:
    site.publish(BaseImageSpec(setup='echo "mine"; sleep 0.1'), repository)
    refs = [site.deploy(repository, f"{uuid4().hex}.example.com") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(site.build, refs)] == [[]] * 4
    for ref in refs:
        assert site.pipeline.store.version(ref).state is S.BUILT
        assert site.lines(ref.app).count("mine") == 1
