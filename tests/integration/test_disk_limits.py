"""What a build may write, on the real engine."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from galaxy.adapters.engine.docker.disk_watch import DiskLimits
from galaxy.adapters.engine.docker.engine import DockerEngine
from galaxy.adapters.engine.docker.isolation import Isolation
from galaxy.domain.errors import BaseImageUnusable, DiskFull, DiskLimitReached
from tests.conftest import unavailable
from tests.support.base_images import BaseImageSpec
from tests.support.fleet import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    import docker

    from galaxy.domain.log import Stream
    from tests.support.base_images import BaseImages

_COMMAND = ("/bin/bash", "-c", 'read -r url && exec /app/setup.sh "$url" </dev/null')
_LIMIT = 50 * 1024**2
#: A script that goes on for longer than this was not cut off.
_SOON_S = 30

_FILL = "busybox dd if=/dev/zero of={}/big bs=1M count={} 2>/dev/null\n"


def run(
    base_images: BaseImages,
    spec: BaseImageSpec,
    limits: DiskLimits,
    *,
    name: str = "",
    on_output: Callable[[Stream, bytes], None] = lambda *_: None,
) -> int:
    image = base_images.build(spec)
    engine = DockerEngine(isolation=Isolation(disk=limits))
    name = name or f"galaxy-disk-{uuid4().hex[:10]}"
    with engine.build_container(image, name=name, command=_COMMAND) as container:
        return container.run("http://bundles.example.com/x", on_output, lambda: None)


@pytest.mark.parametrize("then", ["busybox sleep 300", "exit 0"])
def test_a_script_that_fills_the_disk_is_cut_off(base_images: BaseImages, then: str) -> None:
    began = time.monotonic()
    with pytest.raises(DiskLimitReached, match=r"wrote 60 MiB of files; 50 MiB are the most"):
        run(base_images, BaseImageSpec(setup=_FILL.format("/tmp", 60) + then), DiskLimits(max_bytes=_LIMIT))
    assert time.monotonic() - began < _SOON_S


def test_what_it_writes_to_a_volume_counts(base_images: BaseImages) -> None:
    spec = BaseImageSpec(
        dockerfile='VOLUME /data\nCMD ["/bin/true"]', setup=_FILL.format("/data", 60) + "busybox sleep 300"
    )
    with pytest.raises(DiskLimitReached):
        run(base_images, spec, DiskLimits(max_bytes=_LIMIT))


def test_it_is_cut_off_also_while_nobody_reads_its_output(
    base_images: BaseImages, docker_api: docker.APIClient
) -> None:
    spec = BaseImageSpec(setup="echo begun\n" + _FILL.format("/tmp", 60) + "busybox sleep 300")
    name = f"galaxy-disk-{uuid4().hex[:10]}"

    def wait_for_its_end(*_: object) -> None:
        eventually(
            "it is killed", lambda: not docker_api.inspect_container(name)["State"]["Running"], _SOON_S
        )

    with pytest.raises(DiskLimitReached):
        run(base_images, spec, DiskLimits(max_bytes=_LIMIT), name=name, on_output=wait_for_its_end)


def test_a_script_below_the_limit_is_left_alone(base_images: BaseImages) -> None:
    spec = BaseImageSpec(setup=_FILL.format("/tmp", 40) + "busybox sleep 1")
    assert run(base_images, spec, DiskLimits(max_bytes=_LIMIT, reserve_bytes=1)) == 0


def test_files_in_memory_count_as_memory(base_images: BaseImages) -> None:
    image = base_images.build(BaseImageSpec(setup=_FILL.format("/dev/shm", 60)))
    engine = DockerEngine(isolation=Isolation(memory_bytes=32 * 1024**2))
    name = f"galaxy-disk-{uuid4().hex[:10]}"
    with engine.build_container(image, name=name, command=_COMMAND) as container:
        assert container.run("http://bundles.example.com/x", lambda *_: None, lambda: None) != 0


def test_a_filesystem_that_is_nearly_full_fails_builds(
    base_images: BaseImages, docker_api: docker.APIClient
) -> None:
    try:
        size = shutil.disk_usage(str(docker_api.info()["DockerRootDir"])).total
    except OSError:
        unavailable("the engine's files are not on this machine")
    with pytest.raises(DiskFull, match="less than the reserve"):
        run(base_images, BaseImageSpec(setup="busybox sleep 300"), DiskLimits(reserve_bytes=size))


def test_a_user_that_the_image_lacks_is_said_to_be_missing(base_images: BaseImages) -> None:
    spec = BaseImageSpec(dockerfile='USER nobody-there\nCMD ["/bin/true"]')
    with pytest.raises(BaseImageUnusable, match=r"USER does not exist.*Add that user in its Dockerfile"):
        run(base_images, spec, DiskLimits())
