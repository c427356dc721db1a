"""Whatever hangs, wherever: an attempt that is given up ends within seconds, and does nothing any more."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from galaxy.adapters.engine.docker import client as docker_client
from galaxy.adapters.engine.docker.engine import DockerEngine
from galaxy.adapters.registry import RegistryClient
from galaxy.domain.base_images.image_reference import ImageReference
from galaxy.domain.errors import BaseImageNotFound
from tests.conftest import unavailable
from tests.support.base_images import BaseImageSpec
from tests.support.gate import Gate, engine_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.docker_registry import DockerRegistry
    from tests.support.engines import DockerUnderTest

COMMAND = ("/bin/bash", "-c", 'IFS= read -r url && exec /app/setup.sh "$url" </dev/null')
SOON_S = 5
#: An engine that went on with a push would have come to its end by then.
LATER_S = 2


class Stopped(Exception):
    """What `check_cancelled` raises in these tests."""


@pytest.fixture(autouse=True)
def short_clean_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that hangs is not waited for as long as in production."""
    monkeypatch.setattr(docker_client, "_CLEANUP_S", 0.5)


@pytest.fixture
def gate(docker_under_test: DockerUnderTest) -> Iterator[Gate]:
    """The door in front of the machine's engine."""
    with Gate(engine_address(docker_under_test.api)) as gate:
        yield gate


@pytest.fixture
def name(run_name: str, docker_under_test: DockerUnderTest) -> Iterator[str]:
    """Name of the build container, which is not left behind."""
    name = f"{run_name}-{uuid4().hex[:12]}"
    yield name
    for found in docker_under_test.engine.containers(name):
        docker_under_test.engine.remove_container(found.id)


def build(
    engine: DockerEngine,
    world: DockerUnderTest,
    name: str,
    repository: str,
    check_cancelled: Callable[[], None],
) -> None:
    """All that the build stage asks of an engine."""
    base_repository, digest = world.publish(BaseImageSpec(setup="busybox sleep 0.5"))
    base = engine.pull(base_repository, digest, check_cancelled)
    engine.setup_script(base, name=f"{name}-look", check_cancelled=check_cancelled)
    with engine.build_container(
        base, name=name, command=COMMAND, check_cancelled=check_cancelled
    ) as container:
        assert container.run("http://x.test", lambda *_: None, check_cancelled) == 0
        saved = container.commit(repository, "1-own", base.config, check_cancelled)
    engine.push(repository, "1", saved.id, check_cancelled)


@pytest.mark.parametrize(
    "request_", [
        r"GET .*/images/.*/json", r"POST .*/images/create", r"POST .*/containers/create", r"GET .*/archive",
        r"POST .*/attach", r"POST .*/start", r"GET .*/containers/.*/json", r"POST .*/commit", r"POST .*/tag",
        r"POST .*/push", r"DELETE .*/containers",
    ],
)  # fmt: skip
def test_an_engine_that_hangs_does_not_hold_up_whoever_gives_up(
    docker_under_test: DockerUnderTest, gate: Gate, name: str, request_: str
) -> None:
    repository = f"{docker_under_test.registry}/apps/{uuid4().hex}"
    gate.shut_at(request_)
    held_at: list[float] = []

    def check_cancelled() -> None:
        if gate.held.is_set():
            held_at.append(time.monotonic())
            raise Stopped

    with pytest.raises(Stopped):
        build(DockerEngine(url=f"tcp://{gate.address}"), docker_under_test, name, repository, check_cancelled)
    assert time.monotonic() - held_at[0] < SOON_S


@contextmanager
def held_push(
    world: DockerUnderTest, registry: DockerRegistry, name: str, pattern: str
) -> Iterator[tuple[Gate, str]]:
    """A push that was given up while the registry kept it waiting; the repository that it goes to."""
    with Gate(int(registry.authority.partition(":")[2])) as gate:
        repository = f"{gate.address}/apps/{uuid4().hex}"
        base = world.load(BaseImageSpec(setup="echo $RANDOM > /app/made"))
        with world.engine.build_container(base, name=name, command=COMMAND) as container:
            container.run("http://x.test", lambda *_: None, lambda: None)
            image = container.commit(repository, "1-own", base.config, lambda: None)
        gate.shut_at(pattern)

        def check_cancelled() -> None:
            if gate.held.is_set():
                raise Stopped

        try:
            with pytest.raises(Stopped):
                world.engine.push(repository, "1", image.id, check_cancelled)
            yield gate, repository
        finally:
            world.engine.remove_image(image.id)


@pytest.mark.parametrize("pattern", ["HEAD .*/blobs/", "POST .*/uploads/", "PATCH ", "PUT .*/uploads/"])
def test_a_push_that_was_given_up_does_not_move_the_tag_later(
    docker_under_test: DockerUnderTest, app_registry: DockerRegistry, name: str, pattern: str
) -> None:
    with held_push(docker_under_test, app_registry, name, pattern) as (gate, repository):
        gate.open()
        deadline = time.monotonic() + LATER_S
        while time.monotonic() < deadline:
            assert not [each for each in gate.requests if each.startswith("PUT") and "/manifests/" in each]
            time.sleep(0.05)
        _, _, path = repository.partition("/")
        pushed = ImageReference.parse(f"{app_registry.authority}/{path}:1")
        with (
            closing(RegistryClient(internal_hosts=[app_registry.authority])) as client,
            pytest.raises(BaseImageNotFound),
        ):
            client.resolve(pushed)


def test_a_program_runs_and_ends_over_tls(
    docker_under_test: DockerUnderTest, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Output that comes after the line was sent gets through: TLS knows no shutting down of one direction."""
    tls = certificate(tmp_path)
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    image = docker_under_test.load(
        BaseImageSpec(setup='echo "got $1"; busybox sleep 0.3; busybox seq 1 20000')
    )
    printed: list[bytes] = []
    with Gate(engine_address(docker_under_test.api), tls=tls) as gate:
        engine = DockerEngine(url=f"tcp://{gate.address}")
        with engine.build_container(image, name=name, command=COMMAND) as container:
            assert container.run("a line", lambda _, data: printed.append(data), lambda: None) == 0
    lines = b"".join(printed).decode().splitlines()
    assert lines == ["got a line", *(str(number) for number in range(1, 20_001))]


def certificate(folder: Path) -> ssl.SSLContext:
    """A certificate that signs itself, for both sides, where the engine's client looks for it."""
    if not shutil.which("openssl"):
        unavailable("openssl is not installed")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", str(key), "-out", str(cert),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    shutil.copy(cert, folder / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context
