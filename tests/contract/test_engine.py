"""What every engine must do for the build stage: the fake one and Docker pass the same tests."""

from __future__ import annotations

import io
import itertools
import json
import tarfile
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

import pytest

from galaxy.adapters.engine.docker.container import image_of
from galaxy.domain.base_images.contract import FileKind, SetupScript
from galaxy.domain.base_images.image_config import differences, oci_labels, with_labels
from galaxy.domain.errors import BaseImageNotFound, BaseImageUnusable, EngineError
from galaxy.domain.log import Stream
from galaxy.domain.names import volume_name
from tests.support.base_images import BaseImageSpec, File
from tests.support.engines import DockerUnderTest, EngineUnderTest, FakeUnderTest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from galaxy.adapters.engine.ports import Image
    from galaxy.domain.base_images.image_config import ImageConfig
    from tests.support.fake_engine import Running

SECRET = "https://bundles.example.com/app.tgz?signature=Zm9vYmFyYmF6"
COMMAND = ("/bin/bash", "-c", 'IFS= read -r url && exec /app/setup.sh "$url" </dev/null')
#: Endless things have to end this soon.
SOON_S = 10


@pytest.fixture(params=["fake", pytest.param("docker", marks=pytest.mark.service)])
def world(request: pytest.FixtureRequest) -> EngineUnderTest:
    if request.param == "fake":
        return FakeUnderTest()
    under_test: DockerUnderTest = request.getfixturevalue("docker_under_test")
    return under_test


@pytest.fixture
def name(run_name: str) -> str:
    """Name of the build container."""
    return f"{run_name}-{uuid4().hex[:12]}"


@pytest.fixture
def repository(world: EngineUnderTest) -> str:
    """A repository of this test alone, in a registry that works."""
    return f"{world.registry}/apps/{uuid4().hex}"


class Stopped(Exception):
    """What `check_cancelled` raises in these tests."""


class Ran(NamedTuple):
    code: int
    stdout: bytes
    stderr: bytes


def never_cancelled() -> None:
    """A `check_cancelled` that never objects."""


def stop_after(calls: int) -> Callable[[], None]:
    counter = itertools.count(1)

    def check_cancelled() -> None:
        if next(counter) > calls:
            raise Stopped

    return check_cancelled


def run(
    world: EngineUnderTest,
    image: Image,
    name: str,
    line: str = SECRET,
    check_cancelled: Callable[[], None] = never_cancelled,
) -> Ran:
    """Runs the image's setup.sh in a build container, which is gone afterwards."""
    output = dict.fromkeys(Stream, b"")

    def collect(stream: Stream, data: bytes) -> None:
        output[stream] += data

    with world.engine.build_container(image, name=name, command=COMMAND) as container:
        code = container.run(line, collect, check_cancelled)
    return Ran(code, output[Stream.STDOUT], output[Stream.STDERR])


def commit(world: EngineUnderTest, image: Image, name: str, repository: str, config: ImageConfig) -> Image:
    """Runs the image's setup.sh and commits the container as version 1."""
    with world.engine.build_container(image, name=name, command=COMMAND) as container:
        assert container.run(SECRET, lambda *_: None, never_cancelled) == 0
        return container.commit(repository, "1", config, never_cancelled)


# -- pull


def test_an_image_the_engine_lacks_is_pulled_by_digest(world: EngineUnderTest) -> None:
    repository, digest = world.publish(BaseImageSpec())
    image = world.engine.pull(repository, digest, never_cancelled)
    assert image.pulled
    assert image.config["Cmd"] == ["/bin/true"]


def test_an_image_the_engine_has_is_not_pulled_again(world: EngineUnderTest) -> None:
    repository, digest = world.publish(BaseImageSpec())
    first = world.engine.pull(repository, digest, never_cancelled)
    again = world.engine.pull(repository, digest, never_cancelled)
    assert not again.pulled
    assert again.id == first.id


@pytest.mark.parametrize("path", ["", "/no/such/repository"])
def test_an_image_that_the_registry_does_not_have_is_not_the_engines_fault(
    world: EngineUnderTest, path: str
) -> None:
    repository, _ = world.publish(BaseImageSpec())
    with pytest.raises(BaseImageNotFound):
        world.engine.pull(repository + path, f"sha256:{'0' * 64}", never_cancelled)


def test_pulling_from_a_dead_registry_is_an_engine_error(world: EngineUnderTest) -> None:
    with pytest.raises(EngineError):
        world.engine.pull(f"{world.dead_registry}/base/image", f"sha256:{'0' * 64}", never_cancelled)


def test_a_pull_can_be_stopped(world: EngineUnderTest) -> None:
    repository, digest = world.publish(BaseImageSpec())
    with pytest.raises(Stopped):
        world.engine.pull(repository, digest, stop_after(0))


# -- setup script

BASH_FILE = File("#!/bin/bash\n", 0o755)
FOUND: dict[str, tuple[BaseImageSpec, SetupScript]] = {
    "a bash script": (
        BaseImageSpec(setup="true"),
        SetupScript(kind=FileKind.FILE, executable=True, first_line="#!/bin/bash"),
    ),
    "nothing": (BaseImageSpec(setup=None), SetupScript(kind=FileKind.MISSING)),
    "a folder": (
        BaseImageSpec(files={"app/setup.sh": File(None, 0o755)}),
        SetupScript(kind=FileKind.OTHER),
    ),
    "a link to a script": (
        BaseImageSpec(files={"app/setup.sh": File(link="../opt/real.sh"), "opt/real.sh": BASH_FILE}),
        SetupScript(kind=FileKind.FILE, executable=True, first_line="#!/bin/bash"),
    ),
    "a link to a link to a script": (
        BaseImageSpec(
            files={
                "app/setup.sh": File(link="/opt/a.sh"),
                "opt/a.sh": File(link="b.sh"),
                "opt/b.sh": BASH_FILE,
            }
        ),
        SetupScript(kind=FileKind.FILE, executable=True, first_line="#!/bin/bash"),
    ),
    "a link to nothing": (
        BaseImageSpec(files={"app/setup.sh": File(link="/nowhere")}),
        SetupScript(kind=FileKind.DANGLING_LINK),
    ),
    "a link to itself": (
        BaseImageSpec(files={"app/setup.sh": File(link="/app/setup.sh")}),
        SetupScript(kind=FileKind.CIRCULAR_LINK),
    ),
    "links in a circle": (
        BaseImageSpec(files={"app/setup.sh": File(link="/opt/a"), "opt/a": File(link="/app/setup.sh")}),
        SetupScript(kind=FileKind.CIRCULAR_LINK),
    ),
    "a link to a folder": (
        BaseImageSpec(files={"app/setup.sh": File(link="/tmp")}),
        SetupScript(kind=FileKind.OTHER),
    ),
    "a file that is not executable": (
        BaseImageSpec(files={"app/setup.sh": File("#!/bin/bash\n", 0o644)}),
        SetupScript(kind=FileKind.FILE, executable=False, first_line="#!/bin/bash"),
    ),
    "a script without a first line": (
        BaseImageSpec(files={"app/setup.sh": File("echo hello\n", 0o755)}),
        SetupScript(kind=FileKind.FILE, executable=True, first_line="echo hello"),
    ),
    "an empty file": (
        BaseImageSpec(files={"app/setup.sh": File("", 0o755)}),
        SetupScript(kind=FileKind.FILE, executable=True, first_line=""),
    ),
    "a program": (
        BaseImageSpec(files={"app/setup.sh": File(b"\x7fELF\x02\xff" + b"\0" * 100_000, 0o755)}),
        SetupScript(kind=FileKind.FILE, executable=True, first_line="\x7fELF\x02\ufffd" + "\0" * 250),
    ),
}


@pytest.mark.parametrize("case", FOUND)
def test_what_stands_at_the_place_of_the_setup_script_is_told(
    world: EngineUnderTest, name: str, case: str
) -> None:
    spec, expected = FOUND[case]
    image = world.load(spec._replace(script=expected))
    assert world.engine.setup_script(image, name=name) == expected


def test_the_setup_script_of_an_image_without_a_command_is_found(world: EngineUnderTest, name: str) -> None:
    image = world.load(BaseImageSpec(dockerfile="", config={}))
    assert world.engine.setup_script(image, name=name).kind is FileKind.FILE


# -- run


def test_the_line_arrives_as_the_first_argument(world: EngineUnderTest, name: str) -> None:
    def program(running: Running) -> int:
        running.print(f"1:{running.line}\n")
        return 0

    image = world.load(BaseImageSpec(setup='echo "$#:$1"', program=program))
    line = """ https://example.com/a b?c=$HOME&d='e'"f"\\n`g`*é """.strip()
    assert run(world, image, name, line) == Ran(0, f"1:{line}\n".encode(), b"")


def test_output_keeps_its_order_in_each_stream(world: EngineUnderTest, name: str) -> None:
    def program(running: Running) -> int:
        for number in range(1, 2001):
            running.print(f"out {number}\n")
            running.print(f"err {number}\n", Stream.STDERR)
        return 0

    setup = "for ((i = 1; i <= 2000; i++)); do echo out $i; echo err $i >&2; done"
    ran = run(world, world.load(BaseImageSpec(setup=setup, program=program)), name)
    assert ran.stdout.decode().splitlines() == [f"out {number}" for number in range(1, 2001)]
    assert ran.stderr.decode().splitlines() == [f"err {number}" for number in range(1, 2001)]


def test_output_is_passed_on_as_bytes(world: EngineUnderTest, name: str) -> None:
    def program(running: Running) -> int:
        running.print(b"\xff\x00\rno line end")
        return 0

    image = world.load(BaseImageSpec(setup=r"printf '\xff\x00\rno line end'", program=program))
    assert run(world, image, name).stdout == b"\xff\x00\rno line end"


@pytest.mark.parametrize("code", [0, 1, 126, 255])
def test_the_exit_code_is_the_scripts(world: EngineUnderTest, name: str, code: int) -> None:
    image = world.load(BaseImageSpec(setup='exit "$1"', program=lambda running: int(running.line)))
    assert run(world, image, name, str(code)).code == code


def test_a_script_that_closes_its_output_is_waited_for(world: EngineUnderTest, name: str) -> None:
    def program(running: Running) -> int:
        running.print("bye\n")
        return 7

    setup = "echo bye; exec >&- 2>&-; sleep 0.5; exit 7"
    assert run(world, world.load(BaseImageSpec(setup=setup, program=program)), name) == Ran(7, b"bye\n", b"")


def test_an_image_without_bash_is_unusable(world: EngineUnderTest, name: str) -> None:
    image = world.load(BaseImageSpec(has_bash=False))
    with pytest.raises(BaseImageUnusable, match="bash could not be started"):
        run(world, image, name)
    assert not world.has_container(name)


def test_containers_of_the_same_name_do_not_meet(world: EngineUnderTest, name: str) -> None:
    image = world.load(BaseImageSpec())
    with (
        world.engine.build_container(image, name=name, command=COMMAND) as first,
        pytest.raises(EngineError),
        world.engine.build_container(image, name=name, command=COMMAND),
    ):
        pass
    with world.engine.build_container(image, name=name, command=COMMAND) as first:
        assert first.run(SECRET, lambda *_: None, never_cancelled) == 0


# -- nothing outlives the block

VOLUMES = BaseImageSpec(
    dockerfile='VOLUME ["/data", "/cache"]\nCMD ["/bin/true"]',
    config={"Volumes": {"/data": {}, "/cache": {}}},
)


@pytest.mark.parametrize("code", [0, 1])
def test_container_and_volumes_are_gone_after_the_block(world: EngineUnderTest, name: str, code: int) -> None:
    image = world.load(VOLUMES._replace(setup='exit "$1"', program=lambda running: int(running.line)))
    with world.engine.build_container(image, name=name, command=COMMAND) as container:
        assert world.has_container(name)
        volumes = world.volumes_of(name)
        assert len(volumes) == 2
        assert container.run(str(code), lambda *_: None, never_cancelled) == code
    assert not world.has_container(name)
    assert world.existing(volumes) == set()


def test_a_container_that_was_never_started_is_gone_after_the_block(
    world: EngineUnderTest, name: str
) -> None:
    image = world.load(VOLUMES)
    with (  # noqa: PT012 - what is raised goes through the block
        pytest.raises(Stopped),
        world.engine.build_container(image, name=name, command=COMMAND),
    ):
        volumes = world.volumes_of(name)
        raise Stopped
    assert not world.has_container(name)
    assert world.existing(volumes) == set()


def print_for_ever(running: Running) -> int:
    while True:
        running.print("x\n")


def hang(running: Running) -> int:
    while True:
        running.tick()


ENDLESS = {
    "prints for ever": ("while :; do echo xxxxxxxxxxxxxxxx; done", print_for_ever),
    "prints for ever without a line end": ("exec cat /dev/zero", print_for_ever),
    "says nothing": ("sleep 1000", hang),
    "ignores SIGTERM": ("trap '' TERM INT HUP; while :; do sleep 1; done", hang),
    "closed its output": ("exec >&- 2>&-; while :; do sleep 1; done", hang),
}


@pytest.mark.parametrize("case", ENDLESS)
def test_an_endless_script_can_be_stopped(world: EngineUnderTest, name: str, case: str) -> None:
    setup, program = ENDLESS[case]
    image = world.load(VOLUMES._replace(setup=setup, program=program))
    began = time.monotonic()
    with (  # noqa: PT012 - what is raised goes through the block
        pytest.raises(Stopped),
        world.engine.build_container(image, name=name, command=COMMAND) as container,
    ):
        volumes = world.volumes_of(name)
        container.run(SECRET, lambda *_: None, stop_after(5))
    assert time.monotonic() - began < SOON_S
    assert not world.has_container(name)
    assert world.existing(volumes) == set()


def test_a_reader_of_the_output_that_fails_ends_the_run(world: EngineUnderTest, name: str) -> None:
    def fail(*_: object) -> None:
        raise Stopped

    image = world.load(BaseImageSpec(setup="while :; do echo x; done", program=print_for_ever))
    with (
        pytest.raises(Stopped),
        world.engine.build_container(image, name=name, command=COMMAND) as container,
    ):
        container.run(SECRET, fail, never_cancelled)
    assert not world.has_container(name)


# -- commit

TRUE = ["/bin/true"]
CONFIGS: dict[str, tuple[str, dict[str, object]]] = {
    "CMD only": ('CMD ["/bin/true"]', {"Cmd": TRUE, "Entrypoint": None}),
    "ENTRYPOINT only": ('ENTRYPOINT ["/bin/true"]', {"Entrypoint": TRUE, "Cmd": None}),
    "both": (
        'ENTRYPOINT ["/bin/true"]\nCMD ["a", "b"]',
        {"Entrypoint": TRUE, "Cmd": ["a", "b"]},
    ),
    "CMD in shell form": ("CMD httpd -f", {"Cmd": ["/bin/sh", "-c", "httpd -f"]}),
    "ENTRYPOINT in shell form": ("ENTRYPOINT exec httpd", {"Entrypoint": ["/bin/sh", "-c", "exec httpd"]}),
    "USER by name": ('USER app\nCMD ["/bin/true"]', {"User": "app"}),
    "USER by number": ('USER 1000:1000\nENTRYPOINT ["/bin/true"]', {"User": "1000:1000"}),
    "WORKDIR": ('WORKDIR /srv/app\nCMD ["/bin/true"]', {"WorkingDir": "/srv/app"}),
    "ENV": ('ENV A=1 B="two words"\nCMD ["/bin/true"]', {"Cmd": TRUE}),
    "EXPOSE": ('EXPOSE 3000 53/udp\nCMD ["/bin/true"]', {"ExposedPorts": {"3000/tcp": {}, "53/udp": {}}}),
    "HEALTHCHECK": (
        'HEALTHCHECK --interval=5s CMD ["/bin/true"]\nCMD ["/bin/true"]',
        {"Healthcheck": {"Test": ["CMD", "/bin/true"], "Interval": 5_000_000_000}},
    ),
    "HEALTHCHECK NONE": ('HEALTHCHECK NONE\nCMD ["/bin/true"]', {"Healthcheck": {"Test": ["NONE"]}}),
    "STOPSIGNAL": ('STOPSIGNAL SIGINT\nCMD ["/bin/true"]', {"StopSignal": "SIGINT"}),
    "ONBUILD": ('ONBUILD RUN echo hello\nCMD ["/bin/true"]', {"OnBuild": ["RUN echo hello"]}),
    "SHELL": (
        'SHELL ["/bin/bash", "-ec"]\nCMD echo hello',
        {"Shell": ["/bin/bash", "-ec"], "Cmd": ["/bin/bash", "-ec", "echo hello"]},
    ),
    "LABEL": (
        'LABEL a.b="c" org.opencontainers.image.title="base"\nCMD ["/bin/true"]',
        {"Labels": {"a.b": "c", "org.opencontainers.image.title": "base"}},
    ),
    "VOLUME elsewhere": ('VOLUME /data\nCMD ["/bin/true"]', {"Volumes": {"/data": {}}}),
    "VOLUME in odd spellings": (
        'VOLUME ["/data", "/data/", "relative", "//a b/../c"]\nCMD ["/bin/true"]',
        {"Volumes": {"/data": {}, "/data/": {}, "relative": {}, "//a b/../c": {}}},
    ),
    "all together": (
        (
            'SHELL ["/bin/bash", "-c"]\nUSER app\nWORKDIR /tmp\nENV A=1\nEXPOSE 3000\nVOLUME /data\n'
            'LABEL a=b\nHEALTHCHECK CMD true\nSTOPSIGNAL 3\nONBUILD USER root\nENTRYPOINT ["/bin/true"]\nCMD c'
        ),
        {"Entrypoint": TRUE, "Cmd": ["/bin/bash", "-c", "c"], "StopSignal": "3", "OnBuild": ["USER root"]},
    ),
}
#: What docker itself keeps in a config about how an image was made; it must not change either.
LABELS = oci_labels(
    app="www.example.com",
    version=1,
    base_name="docker.io/meteor/galaxy-app:latest",
    base_digest=f"sha256:{'1' * 64}",
    created=datetime.now(UTC),
)


@pytest.mark.parametrize("case", CONFIGS)
def test_a_committed_image_has_the_config_of_its_base_image_plus_our_labels(
    world: EngineUnderTest, name: str, repository: str, case: str
) -> None:
    dockerfile, config = CONFIGS[case]
    base = world.load(BaseImageSpec(dockerfile=dockerfile, config=config, setup="echo > /app/done"))
    committed = commit(world, base, name, repository, with_labels(base.config, LABELS))
    assert differences(with_labels(base.config, LABELS), committed.config) == ()
    # the same without our own comparison: null, missing and empty are one to engines
    labels = {**(base.config.get("Labels") or {}), **LABELS}  # type: ignore[dict-item]
    assert _said(committed.config) == _said({**base.config, "Labels": labels})
    assert world.has_image(committed.id)


def _said(config: ImageConfig) -> dict[str, object]:
    return {name: value for name, value in config.items() if value}


# -- push


def test_a_push_returns_the_digest_that_the_registry_shows(
    world: EngineUnderTest, name: str, repository: str
) -> None:
    image = commit(world, world.load(BaseImageSpec()), name, repository, {"Cmd": ["/bin/true"]})
    assert world.registry_digest(repository, "1") is None
    digest = world.engine.push(repository, "1", image.id, never_cancelled)
    assert digest == world.registry_digest(repository, "1")
    assert world.engine.pull(repository, digest, never_cancelled).id == image.id


def test_a_push_to_a_dead_registry_is_an_engine_error(world: EngineUnderTest, name: str) -> None:
    repository = f"{world.dead_registry}/apps/{uuid4().hex}"
    image = commit(world, world.load(BaseImageSpec()), name, repository, {"Cmd": ["/bin/true"]})
    with pytest.raises(EngineError):
        world.engine.push(repository, "1", image.id, never_cancelled)
    world.engine.remove_image(image.id)


def test_a_push_can_be_stopped(world: EngineUnderTest, name: str, repository: str) -> None:
    image = commit(world, world.load(BaseImageSpec()), name, repository, {"Cmd": ["/bin/true"]})
    with pytest.raises(Stopped):
        world.engine.push(repository, "1", image.id, stop_after(0))


def test_a_tag_that_another_attempt_moved_is_pushed_as_ours(
    world: EngineUnderTest, name: str, repository: str
) -> None:
    base = world.load(BaseImageSpec())
    image = commit(world, base, name, repository, {"Cmd": ["/bin/true"]})
    world.move_tag(repository, "1", base)
    digest = world.engine.push(repository, "1", image.id, never_cancelled)
    assert world.engine.pull(repository, digest, never_cancelled).id == image.id
    world.engine.remove_image(image.id)


def test_progress_is_told(world: EngineUnderTest, name: str, repository: str) -> None:
    told: list[str] = []
    image = commit(world, world.load(BaseImageSpec()), name, repository, {"Cmd": ["/bin/true"]})
    world.engine.push(repository, "1", image.id, never_cancelled, lambda: told.append("push"))
    base_repository, digest = world.publish(BaseImageSpec())
    world.engine.pull(base_repository, digest, never_cancelled, lambda: told.append("pull"))
    assert {*told} == {"push", "pull"}


# -- remove


def test_a_removed_image_is_gone_and_may_be_removed_again(
    world: EngineUnderTest, name: str, repository: str
) -> None:
    image = commit(world, world.load(BaseImageSpec()), name, repository, {"Cmd": ["/bin/true"]})
    for _ in range(2):
        world.engine.remove_image(image.id)
        assert not world.has_image(image.id)


def test_an_image_is_removed_by_its_id_with_all_its_tags(
    world: EngineUnderTest, name: str, repository: str
) -> None:
    image = commit(world, world.load(BaseImageSpec()), name, repository, {"Cmd": ["/bin/true"]})
    world.move_tag(repository, "2", image)
    world.engine.remove_image(image.id)
    assert not world.has_image(image.id)
    assert world.engine.tagged_images(repository) == ()


def test_removing_the_last_tag_removes_the_image(world: EngineUnderTest, name: str, repository: str) -> None:
    image = commit(world, world.load(BaseImageSpec()), name, repository, {"Cmd": ["/bin/true"]})
    world.move_tag(repository, "2", image)
    world.engine.remove_image(f"{repository}:1")
    assert world.has_image(image.id)
    world.engine.remove_image(f"{repository}:2")
    assert not world.has_image(image.id)


# -- what is left of dead attempts


def test_containers_are_listed_by_the_beginning_of_their_name(world: EngineUnderTest, name: str) -> None:
    image = world.load(BaseImageSpec())
    with (
        world.engine.build_container(image, name=f"{name}-a", command=COMMAND),
        world.engine.build_container(image, name=f"{name}-b", command=COMMAND),
        world.engine.build_container(image, name=f"not-{name}", command=COMMAND),
    ):
        assert {it.name for it in world.engine.containers(name)} == {f"{name}-a", f"{name}-b"}
    assert world.engine.containers(name) == ()


def test_a_container_can_be_removed_and_again(world: EngineUnderTest, name: str) -> None:
    with world.engine.build_container(world.load(BaseImageSpec()), name=name, command=COMMAND):
        (found,) = world.engine.containers(name)
        for _ in range(2):
            world.engine.remove_container(found.id)
            assert not world.has_container(name)


def test_volumes_bear_the_name_of_their_container(world: EngineUnderTest, name: str) -> None:
    with world.engine.build_container(world.load(VOLUMES), name=name, command=COMMAND):
        volumes = {volume_name(name, 1), volume_name(name, 2)}
        assert world.volumes_of(name) == {*world.engine.volumes(name)} == volumes
        assert world.engine.volumes(f"not-{name}") == ()
    assert world.engine.volumes(name) == ()


def test_a_look_into_an_image_leaves_no_volumes(world: EngineUnderTest, name: str) -> None:
    world.engine.setup_script(world.load(VOLUMES), name=name)
    assert world.engine.volumes(name) == ()


def test_volumes_are_listed_by_the_beginning_of_their_name_and_can_be_removed_again(
    world: EngineUnderTest, name: str
) -> None:
    ours, other = volume_name(name, 1), f"not-{name}"
    world.leave_volume(ours)
    world.leave_volume(other)
    assert world.engine.volumes(name) == (ours,)
    for _ in range(2):
        world.engine.remove_volume(ours)
        assert world.existing({ours, other}) == {other}
    world.engine.remove_volume(other)


def test_images_are_listed_by_the_beginning_of_their_tag(
    world: EngineUnderTest, name: str, repository: str
) -> None:
    config = {"Cmd": ["/bin/true"], "Labels": LABELS}
    image = commit(world, world.load(BaseImageSpec()), name, repository, config)
    (found,) = world.engine.tagged_images(repository)
    assert (found.id, found.tags, found.digests, found.labels) == (image.id, (f"{repository}:1",), (), LABELS)
    world.move_tag(repository, "2", image)
    (found,) = world.engine.tagged_images(f"{repository}:1")
    assert {*found.tags} == {f"{repository}:1", f"{repository}:2"}
    digest = world.engine.push(repository, "1", image.id, never_cancelled)
    (found,) = world.engine.tagged_images(repository)
    assert found.digests == (f"{repository}@{digest}",)
    world.engine.remove_image(image.id)
    assert world.engine.tagged_images(repository) == ()


# -- Docker alone: what a fake engine has none of


def test_a_container_that_can_not_be_created_leaves_no_volumes(
    docker_under_test: DockerUnderTest, name: str
) -> None:
    """A volume can't lie over a file; the engine finds that out when it has made the volume."""
    api, engine = docker_under_test.api, docker_under_test.engine
    made = api.create_container(docker_under_test.load(VOLUMES).id, command=["-"], name=f"{name}-base")
    # a Dockerfile may not say this
    committed = api.commit(made["Id"], name, "1", changes="VOLUME /etc/passwd")
    api.remove_container(made["Id"], v=True)
    image = image_of(api.inspect_image(committed["Id"]))
    with pytest.raises(EngineError, match="is not directory"):
        engine.setup_script(image, name=name)
    assert engine.volumes(name) == ()
    with (
        pytest.raises(EngineError, match="is not directory"),
        engine.build_container(image, name=name, command=COMMAND),
    ):
        pass
    assert engine.volumes(name) == ()
    engine.remove_image(image.id)


def test_the_line_is_nowhere_in_the_image(
    docker_under_test: DockerUnderTest, name: str, run_name: str
) -> None:
    world, repository = docker_under_test, f"{run_name}-secret"
    base = world.load(BaseImageSpec(setup="echo > /app/done"))
    image = commit(world, base, name, repository, with_labels(base.config, LABELS))
    assert [*_places_of(SECRET, world, image)] == []
    world.engine.remove_image(image.id)


def test_a_line_that_the_script_writes_down_is_found(
    docker_under_test: DockerUnderTest, name: str, run_name: str
) -> None:
    """Shows that the test above looks everywhere."""
    world, repository = docker_under_test, f"{run_name}-secret"
    base = world.load(BaseImageSpec(setup='echo "$1" > /app/url'))
    image = commit(world, base, name, repository, with_labels(base.config, {"url": SECRET}))
    assert {*_places_of(SECRET, world, image)} == {"inspect", "config", "layer"}
    world.engine.remove_image(image.id)


def _places_of(secret: str, world: DockerUnderTest, image: Image) -> Iterator[str]:
    if secret in json.dumps(world.api.history(image.id)):
        yield "history"
    if secret in json.dumps(world.api.inspect_image(image.id)):
        yield "inspect"
    exported = io.BytesIO(b"".join(world.api.get_image(image.id)))
    with tarfile.open(fileobj=exported) as archive:
        for entry in archive:
            file = archive.extractfile(entry)
            if file and secret.encode() in file.read():
                yield "layer" if "layer" in entry.name else "config"


def test_the_image_keeps_no_name_of_the_build_container(
    docker_under_test: DockerUnderTest, name: str, run_name: str
) -> None:
    world = docker_under_test
    base = world.load(BaseImageSpec())
    with world.engine.build_container(base, name=name, command=COMMAND) as container:
        hostname = world.api.inspect_container(name)["Config"]["Hostname"]
        assert container.run(SECRET, lambda *_: None, never_cancelled) == 0
        image = container.commit(f"{run_name}-hostname", "1", base.config, never_cancelled)
    config: dict[str, Any] = world.api.inspect_image(image.id)["Config"]
    assert hostname
    assert hostname not in json.dumps(config)
    world.engine.remove_image(image.id)


def test_files_that_the_script_wrote_are_in_the_image(
    docker_under_test: DockerUnderTest, name: str, run_name: str
) -> None:
    world = docker_under_test
    base = world.load(BaseImageSpec(setup='mkdir /app/bundle; echo "by $(id -u)" > /app/bundle/made'))
    image = commit(world, base, name, f"{run_name}-files", base.config)
    second = world.load(BaseImageSpec(dockerfile='USER app\nCMD ["/bin/true"]', setup="id -u"))
    assert run(world, second, name).stdout == b"1000\n"
    with world.engine.build_container(
        image, name=name, command=("/bin/cat", "/app/bundle/made")
    ) as container:
        printed: list[bytes] = []
        assert container.run("", lambda _, data: printed.append(data), never_cancelled) == 0
    assert b"".join(printed) == b"by 0\n"
    world.engine.remove_image(image.id)
