"""Volumes of containers: the base image declares them, and we name them.

An engine would name them by chance, and one that dies at the wrong moment leaves them behind, with nothing that tells
where they came from.
"""

from __future__ import annotations

from posixpath import normpath
from typing import TYPE_CHECKING, Any, Final

from docker.types import Mount

from galaxy.domain.contract import declared_volumes
from galaxy.domain.names import VOLUME, volume_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from galaxy.adapters.engine import Image

#: An engine keeps a volume in a folder of its name.
_MAX_NAME_LENGTH: Final = 255


def named_volumes(image: Image, container: str) -> list[Mount]:
    """What to create a container with, so that its volumes have names of ours.

    Nothing if a name would be too long; and nothing for a relative path or for the root, which an engine takes from an
    image only. Those it names itself.
    """
    paths = (
        normpath(f"/{path.lstrip('/')}") for path in declared_volumes(image.config) if path.startswith("/")
    )
    places = (path for path in dict.fromkeys(paths) if path != "/")
    mounts = [Mount(place, volume_name(container, number)) for number, place in enumerate(places, start=1)]
    return [] if any(len(mount["Source"]) > _MAX_NAME_LENGTH for mount in mounts) else mounts


def own_volumes(container: Mapping[str, Any]) -> list[str]:
    """Volumes with names of ours, from the engine's description of a container."""
    beginning = container["Name"].removeprefix("/") + VOLUME
    names = [mount.get("Name", "") for mount in container["Mounts"]]
    return [name for name in names if name.startswith(beginning)]
