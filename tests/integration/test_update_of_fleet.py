"""A base image is published again, and the whole fleet does what follows, without anybody deploying."""

from __future__ import annotations

from typing import TYPE_CHECKING

from galaxy.domain.models import VersionRef
from galaxy.domain.states import VersionState
from tests.support.bundles import OBEDIENT
from tests.support.fleet import eventually

if TYPE_CHECKING:
    import docker

    from tests.support.base_images import BaseImages
    from tests.support.fleet import Fleet


def test_an_app_is_rebuilt_on_a_base_image_that_was_published_again(
    own_fleet: Fleet, base_images: BaseImages, docker_api: docker.APIClient, app: str
) -> None:
    own_fleet.env.update({"GALAXY_BASE_IMAGE_TICK_S": "0.3", "GALAXY_BASE_IMAGE_POLL_S": "0.5"})
    registry, name = own_fleet.env["GALAXY_REGISTRY"], f"{app.partition('.')[0]}/base"
    first = base_images.publish(base_images.build(OBEDIENT), f"{registry}/{name}", "1")
    own_fleet.start(slots=1)
    settings = {"galaxy.meteor.com": {"baseImage": {"repository": name, "tag": "1"}}}
    bundle = own_fleet.bundles.add()
    deployed = own_fleet.wait_until_final(own_fleet.deploy(app, bundle.url, settings))
    assert (deployed.state, deployed.base_digest) == (VersionState.ACTIVE, first)

    changed = OBEDIENT._replace(dockerfile=f"{OBEDIENT.dockerfile}\nLABEL changed=yes")
    second = base_images.publish(base_images.build(changed), f"{registry}/{name}", "1")
    eventually("an automatic version was made", lambda: len(own_fleet.store.versions(app)) == 2)
    rebuilt = own_fleet.wait_until_final(VersionRef(app, 2))
    assert (rebuilt.state, rebuilt.base_digest) == (VersionState.ACTIVE, second)
    assert (rebuilt.automatic, rebuilt.rebuild_of) == (True, 1)
    assert bundle.asked == 2
    assert own_fleet.store.version(deployed.ref).state is VersionState.RETIRED
    for digest in (first, second):
        docker_api.remove_image(f"{registry}/{name}@{digest}", force=True)
