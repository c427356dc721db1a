"""App containers on the machine's engine."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from docker.errors import NotFound
from pydantic import SecretStr

from galaxy.adapters.engine.docker.runtime import PIPELINE_LABEL, DockerRuntime
from galaxy.domain.containers import ContainerLimits, ContainerSpec, ContainerStatus
from galaxy.domain.errors import ContainerNotStarted, ImageMissing
from tests.support.base_images import BaseImageSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import docker

    from galaxy.domain.containers import AppContainer
    from tests.support.base_images import BaseImages
    from tests.support.docker_registry import DockerRegistry

SECRET = "canary-5d1c8a"
WITHIN_S = 20


class Site:
    """A runtime of this test alone, on the engine's default network."""

    def __init__(self, api: docker.APIClient, images: BaseImages, registry: DockerRegistry) -> None:
        self.api = api
        self.name = f"galaxy-test-{uuid4().hex[:12]}"
        self.runtime = DockerRuntime(network="bridge", timeout_s=60)
        self._images = images
        self._registry = registry.authority
        self._published: list[str] = []

    def spec(self, command: str, **changes: object) -> ContainerSpec:
        """A container of an image that runs this shell command."""
        return self.of_image(f'CMD ["/bin/sh", "-c", "{command}"]', **changes)

    def of_image(self, dockerfile: str, **changes: object) -> ContainerSpec:
        repository = f"{self._registry}/apps/{self.name}-{len(self._published)}"
        digest = self._images.publish(self._images.build(BaseImageSpec(dockerfile)), repository, "1")
        self._published.append(f"{repository}@{digest}")
        spec = ContainerSpec(
            name=f"{self.name}-app-{len(self._published)}",
            repository=repository,
            digest=digest,
            environment={"TOKEN": SecretStr(SECRET)},
            labels={PIPELINE_LABEL: self.name, "galaxy.app": "www.example.com"},
        )
        return spec.model_copy(update=changes)

    def once(self, is_so: Callable[[AppContainer], bool]) -> AppContainer:
        """The only container, when it has come to be so."""
        deadline = time.monotonic() + WITHIN_S
        while True:
            (container,) = self.runtime.list(self.name)
            if is_so(container):
                return container
            assert time.monotonic() < deadline, container
            time.sleep(0.02)

    def output(self, container: AppContainer, since: str = "") -> list[tuple[bool, bytes]]:
        return [(chunk.error, chunk.data) for chunk in self.runtime.logs(container.id, since=since)]

    def clean(self) -> None:
        for container in self.runtime.list(self.name):
            self.runtime.remove(container.id)
        for image in self._published:
            with suppress(NotFound):
                self.api.remove_image(image, force=True)


@pytest.fixture
def site(
    docker_api: docker.APIClient, base_images: BaseImages, app_registry: DockerRegistry
) -> Iterator[Site]:
    site = Site(docker_api, base_images, app_registry)
    yield site
    site.clean()
    assert site.runtime.list(site.name) == ()


def has_ended(container: AppContainer) -> bool:
    return container.status is ContainerStatus.EXITED


def test_a_container_runs_what_its_image_runs_with_the_environment_that_it_is_given(site: Site) -> None:
    made = site.runtime.ensure(site.spec("env; id -u; exec sleep 60"))
    assert made.status is ContainerStatus.RUNNING
    assert made.address
    assert made.labels["galaxy.app"] == "www.example.com"
    assert abs(made.started_at_ms / 1000 - time.time()) < WITHIN_S
    site.runtime.stop(made.id, kill=True)
    printed = b"".join(data for _, data in site.output(made))
    assert f"TOKEN={SECRET}\n".encode() in printed
    assert printed.endswith(b"\n0\n")


def test_ensuring_it_again_changes_nothing(site: Site) -> None:
    spec = site.spec("exec sleep 60")
    first = site.runtime.ensure(spec)
    assert site.runtime.ensure(spec) == first
    assert site.runtime.list(site.name) == (first,)


def test_one_that_has_ended_stays_ended_and_tells_how(site: Site) -> None:
    spec = site.spec("exit 3")
    site.runtime.ensure(spec)
    ended = site.once(has_ended)
    assert ended.exit
    assert (ended.exit.code, ended.exit.out_of_memory) == (3, False)
    assert ended.exit.cause == "ended with exit code 3"
    assert abs(ended.exit.at_ms / 1000 - time.time()) < WITHIN_S
    assert site.runtime.ensure(spec).started_at_ms == ended.started_at_ms


def test_sigterm_reaches_the_first_process_and_the_call_does_not_wait_for_it(site: Site) -> None:
    command = "trap 'echo goodbye; exit 7' TERM; echo ready; while true; do sleep 0.05; done"
    made = site.runtime.ensure(site.spec(command))
    next(site.runtime.logs(made.id))
    site.runtime.stop(made.id)
    ended = site.once(has_ended)
    assert ended.exit
    assert ended.exit.code == 7
    assert site.output(made) == [(False, b"ready\n"), (False, b"goodbye\n")]


def test_one_that_ignores_sigterm_runs_on_until_it_is_killed(site: Site) -> None:
    made = site.runtime.ensure(site.spec("trap '' TERM; echo ready; while true; do sleep 0.05; done"))
    next(site.runtime.logs(made.id))
    site.runtime.stop(made.id)
    time.sleep(0.5)  # as long as the other one takes to end, many times over
    assert site.once(lambda _: True).status is ContainerStatus.RUNNING
    site.runtime.stop(made.id, kill=True)
    ended = site.once(has_ended)
    assert ended.exit
    assert ended.exit.cause == "was ended by SIGKILL (exit code 137)"
    site.runtime.stop(made.id, kill=True)


def test_one_that_takes_too_much_memory_is_killed_and_told_so(site: Site) -> None:
    limits = ContainerLimits(memory_bytes=16 * 1024**2)
    command = "x=a; while true; do x=$x$x; done"
    site.runtime.ensure(site.spec(command, limits=limits))
    ended = site.once(has_ended)
    assert ended.exit
    assert ended.exit.cause == "was killed because it ran out of memory"


def test_output_is_read_on_from_where_it_was_left_without_a_gap(site: Site) -> None:
    made = site.runtime.ensure(site.spec("seq 1 2000; echo oops >&2; printf 'no line end'"))
    site.once(has_ended)
    chunks = list(site.runtime.logs(made.id))
    assert [chunk.data for chunk in chunks if not chunk.error] == [
        *(f"{number}\n".encode() for number in range(1, 2001)),
        b"no line end",
    ]
    assert [chunk.data for chunk in chunks if chunk.error] == [b"oops\n"]
    middle = chunks[1000]
    rest = list(site.runtime.logs(made.id, since=middle.at))
    assert rest[0].at >= middle.at
    assert rest[rest.index(middle) :] == chunks[1000:]


def test_an_image_without_a_command_says_what_is_missing(site: Site) -> None:
    with pytest.raises(ContainerNotStarted, match="neither CMD nor ENTRYPOINT"):
        site.runtime.ensure(site.of_image(""))


@pytest.mark.parametrize(
    ("dockerfile", "said"),
    [('CMD ["/no/such/program"]', "no such file"), ('USER nobody-here\nCMD ["/bin/true"]', "nobody-here")],
)
def test_an_image_that_cant_be_run_says_why(site: Site, dockerfile: str, said: str) -> None:
    with pytest.raises(ContainerNotStarted, match=said):
        site.runtime.ensure(site.of_image(dockerfile))


def test_an_image_that_the_registry_lacks_is_told(site: Site) -> None:
    spec = site.spec("true").model_copy(update={"digest": f"sha256:{'0' * 64}"})
    with pytest.raises(ImageMissing):
        site.runtime.ensure(spec)


def test_processes_have_few_privileges_and_gain_none(site: Site) -> None:
    made = site.runtime.ensure(site.spec("cat /proc/self/status"))
    site.once(has_ended)
    status = dict(line.split(b":\t", 1) for _, line in site.output(made) if b":\t" in line)
    # CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID and NET_BIND_SERVICE: capability(7)
    assert int(status[b"CapBnd"], 16) == 0b100_1110_1011
    assert status[b"NoNewPrivs"] == b"1\n"


def test_ports_that_something_listens_on_can_be_told(site: Site) -> None:
    made = site.runtime.ensure(site.spec("httpd -p 3001; httpd -p 127.0.0.1:4000; echo ready; exec sleep 60"))
    next(site.runtime.logs(made.id))
    assert site.runtime.listening(made.id) == (3001,)


def test_volumes_go_with_their_container(site: Site) -> None:
    made = site.runtime.ensure(site.of_image('VOLUME /data\nCMD ["/bin/sleep", "60"]'))
    (volume,) = (mount["Name"] for mount in site.api.inspect_container(made.id)["Mounts"])
    assert volume.startswith(made.name)
    site.runtime.remove(made.id)
    with pytest.raises(NotFound):
        site.api.inspect_volume(volume)
    site.runtime.remove(made.id)
