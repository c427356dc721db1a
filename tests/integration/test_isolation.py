"""What a build container may do, on the real engine."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from galaxy.adapters.engine.docker.engine import DockerEngine
from galaxy.adapters.engine.docker.isolation import Isolation
from galaxy.domain.base_images.image_config import differences
from galaxy.domain.capabilities import CAPABILITIES
from galaxy.domain.errors import EngineError
from tests.support.base_images import BaseImageSpec

if TYPE_CHECKING:
    import docker

    from galaxy.domain.log import Stream
    from tests.support.base_images import BaseImages

_MEMORY = 64 * 1024**2
#: Bits of /proc/PID/status, from capability(7).
_BITS = {"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "FSETID": 4, "KILL": 5, "SETGID": 6, "SETUID": 7}
_BITS |= {"SYS_CHROOT": 18, "SETFCAP": 31}
_COMMAND = ("/bin/bash", "-c", 'read -r url && exec /app/setup.sh "$url" </dev/null')


def run(base_images: BaseImages, setup: str, isolation: Isolation) -> tuple[int, str]:
    image = base_images.build(BaseImageSpec(setup=setup))
    printed: list[bytes] = []

    def collect(_: Stream, data: bytes) -> None:
        printed.append(data)

    engine = DockerEngine(isolation=isolation)
    name = f"galaxy-isolation-{uuid4().hex[:10]}"
    with engine.build_container(image, name=name, command=_COMMAND) as container:
        code = container.run("http://bundles.example.com/x", collect, lambda: None)
    return code, b"".join(printed).decode()


def test_it_has_the_capabilities_of_package_managers_and_no_others(base_images: BaseImages) -> None:
    code, printed = run(
        base_images, "busybox grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status", Isolation()
    )
    status = dict(line.split(":\t") for line in printed.splitlines())
    wanted = sum(1 << _BITS[name] for name in CAPABILITIES)
    assert code == 0
    assert (int(status["CapEff"], 16), int(status["CapBnd"], 16)) == (wanted, wanted)
    assert status["NoNewPrivs"] == "1"


def test_a_process_that_takes_too_much_memory_is_killed(base_images: BaseImages) -> None:
    setup = "x=$(busybox head -c 200000000 /dev/zero | busybox tr '\\0' x); echo survived ${#x}"
    code, printed = run(base_images, setup, Isolation(memory_bytes=_MEMORY))
    assert code != 0
    assert "survived" not in printed
    assert run(base_images, setup, Isolation(memory_bytes=32 * _MEMORY)) == (0, "survived 200000000\n")


def test_it_can_not_start_more_processes_than_it_may(base_images: BaseImages) -> None:
    setup = "for i in 1 2 3 4 5 6 7 8 9 10; do busybox sleep 1 & done; wait; echo done"
    code, printed = run(base_images, setup, Isolation(pids=6))
    assert (code, "fork" in printed) != (0, False)
    assert run(base_images, setup, Isolation(pids=64)) == (0, "done\n")


def test_limits_are_in_no_image(base_images: BaseImages, docker_api: docker.APIClient) -> None:
    image = base_images.build(BaseImageSpec(setup="exit 0"))
    engine = DockerEngine(isolation=Isolation(memory_bytes=_MEMORY, cpus=0.5, pids=50))
    name = f"galaxy-isolation-{uuid4().hex[:10]}"
    with engine.build_container(image, name=name, command=_COMMAND) as container:
        assert container.run("http://bundles.example.com/x", lambda *_: None, lambda: None) == 0
        host = docker_api.inspect_container(name)["HostConfig"]
        saved = container.commit(name, "1", image.config, lambda: None)
    engine.remove_image(f"{name}:1")
    assert (host["Memory"], host["CpuQuota"], host["PidsLimit"]) == (_MEMORY, 50_000, 50)
    assert differences(image.config, saved.config) == ()


def test_it_runs_under_the_runtime_of_the_operators_choice(
    base_images: BaseImages, docker_api: docker.APIClient
) -> None:
    known = docker_api.info()
    other = next((name for name in known["Runtimes"] if name != known["DefaultRuntime"]), None)
    if other is None:
        pytest.skip("the engine knows one runtime only")
    image = base_images.build(BaseImageSpec(setup="echo ran"))
    name = f"galaxy-isolation-{uuid4().hex[:10]}"
    engine = DockerEngine(isolation=Isolation(runtime=other))
    with engine.build_container(image, name=name, command=_COMMAND):
        assert docker_api.inspect_container(name)["HostConfig"]["Runtime"] == other


def test_a_runtime_that_the_engine_does_not_know_is_said_with_what_to_do(base_images: BaseImages) -> None:
    with pytest.raises(EngineError, match=r"galaxy-missing.*make that runtime known"):
        run(base_images, "exit 0", Isolation(runtime="galaxy-missing"))
