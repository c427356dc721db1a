"""The registry for app images is away for longer than a developer waits for a retry: real workers, a real engine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import pytest

from galaxy.domain.states import VersionState
from tests.support.base_images import remove_images
from tests.support.docker_registry import RegistryProcess
from tests.support.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import docker

    from tests.support.fleet import Around

#: A tenth of the defaults.
ORDINARY_S: Final = 0.5
OUTAGE_S: Final = 2.0
#: A tenth of a minute. The ordinary waits end after 3.5 seconds at most.
AWAY_S: Final = 6.0


@pytest.fixture
def registry(tmp_path: Path, docker_api: docker.APIClient) -> Iterator[RegistryProcess]:
    """A registry for app images that this test may harm."""
    process = RegistryProcess(tmp_path)
    yield process
    process.kill()
    remove_images(docker_api, f"{process.registry.authority}/")


def test_a_version_becomes_active_after_the_registry_was_away_for_long(
    around_fleets: Around, registry: RegistryProcess, tmp_path: Path, app: str
) -> None:
    options = {
        "GALAXY_REGISTRY": registry.registry.authority,
        "GALAXY_RETRY_BACKOFF_S": str(ORDINARY_S),
        "GALAXY_OUTAGE_BACKOFF_S": str(OUTAGE_S),
        "GALAXY_RETRY_BACKOFF_MAX_S": "300",
    }
    fleet = Fleet(around_fleets, tmp_path, 2, **options)
    fleet.start(slots=1)
    try:
        registry.kill()
        ref = fleet.deploy(app, fleet.bundles.add().url)
        failed = fleet.wait_until(ref, VersionState.RETRYING)
        time.sleep(AWAY_S - 1)  # what is left of it, the registry takes for its start
        assert fleet.store.version(ref).state is not VersionState.BUILD_FAILED
        registry.start()
        version = fleet.wait_until_final(ref)
    finally:
        fleet.stop()
    assert "connection refused" in str(failed.failure)
    assert version.state is VersionState.ACTIVE, version.failure
    assert 1 < version.attempt <= 4
