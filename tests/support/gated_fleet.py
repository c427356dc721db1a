"""A fleet that reaches its registries through gates."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from docker.errors import NotFound

from tests.support.fleet import Fleet
from tests.support.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import docker

    from tests.support.fleet import Around


@contextmanager
def gated_fleet(
    around: Around, docker_api: docker.APIClient, folder: Path, number: int, **options: str
) -> Iterator[tuple[Fleet, dict[str, Gate]]]:
    """With nothing started yet; the gates are `mirror`, which stands in for Docker Hub, and `registry`."""
    port = int(around.registry.partition(":")[2])
    with Gate(port) as mirror, Gate(port) as registry:
        gates = {"GALAXY_DOCKER_HUB_MIRROR": f"http://{mirror.address}", "GALAXY_REGISTRY": registry.address}
        fleet = Fleet(around, folder, number, **gates, **options)
        yield fleet, {"mirror": mirror, "registry": registry}
        mirror.open()
        registry.open()
        fleet.stop()
    for image in docker_api.images():
        for name in (*(image["RepoTags"] or ()), *(image["RepoDigests"] or ())):
            if name.startswith((f"{mirror.address}/", f"{registry.address}/")):
                with suppress(NotFound):  # gone with its last other name
                    docker_api.remove_image(name, force=True)
