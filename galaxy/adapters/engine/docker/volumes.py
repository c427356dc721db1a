"""Volumes of containers: the base image declares them, and we name them.

An engine would name them at random, and one that dies at the wrong moment leaves them behind, with nothing that tells
where they came from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from docker.types import Mount

from galaxy.domain.base_images.contract import volume_places
from galaxy.domain.names import volume_name

if TYPE_CHECKING:
    from galaxy.adapters.engine.ports import Image

#: An engine keeps a volume in a folder of its name.
_MAX_NAME_LENGTH: Final = 255


def named_volumes(image: Image, container: str) -> list[Mount]:
    """What to create a container with, so that its volumes have names of ours.

    Nothing if a name would be too long: then the engine names them.
    """
    places = volume_places(image.config)
    mounts = [Mount(place, volume_name(container, number)) for number, place in enumerate(places, start=1)]
    return [] if any(len(mount["Source"]) > _MAX_NAME_LENGTH for mount in mounts) else mounts
