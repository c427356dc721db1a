"""The images that this stack leaves on the engine: those of its two registries, by their names.

The engine may be shared with other checkouts and other people. So names are removed and not images: what has another
name as well stays under it.
"""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stack.docker_api import Refused
from stack.environment import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stack.checkout import Choices
    from stack.docker_api import Engine

#: The registries whose images are the stack's: what it built, pulled or pushed bears the name of one of them.
REGISTRIES = ("apps", "mirror")
_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_STEP = 1000  # as the engine's own listings count


@dataclass(frozen=True)
class Left:
    """One image, and the names that it has of this stack's registries."""

    id: str
    names: tuple[str, ...]


def left_by(docker: Engine, choices: Choices) -> list[Left]:
    """The images that this stack has put on the engine."""
    prefixes = tuple(f"{LOOPBACK}:{choices.ports[user]}/" for user in REGISTRIES if user in choices.ports)
    found = (
        Left(image, tuple(name for name in names if name.startswith(prefixes)))
        for image, names in docker.images().items()
    )
    return [each for each in found if each.names]


def described(docker: Engine, images: Iterable[Left]) -> str:
    """How many there are and what room they take, such as `12 images of apps and base images, 340 MB`."""
    listed = list(images)
    noun = "image" if len(listed) == 1 else "images"
    return f"{len(listed)} {noun} of apps and base images, {_size(_room(docker, listed))}"


def remove(docker: Engine, images: Iterable[Left]) -> list[str]:
    """Take the stack's names away, and with its last name each image.

    Returns:
        Names that stay, because a container uses the image.
    """
    kept = []
    for image in images:
        for name in image.names:
            try:
                docker.remove_image(name)
            except Refused as refused:
                if refused.status != http.client.CONFLICT:
                    raise
                kept.append(name)
    return kept


def _room(docker: Engine, images: list[Left]) -> int:
    """Bytes of all layers together. Layers that several of the images share are counted once."""
    layers: dict[tuple[object, ...], int] = {}
    for image in images:
        steps: tuple[object, ...] = ()
        for step in reversed(docker.history(image.id)):
            # a layer is known by all steps that led to it
            steps = (hash(steps), step["Created"], step["CreatedBy"], step["Size"])
            layers[steps] = int(step["Size"])
    return sum(layers.values())


def _size(count: float) -> str:
    power = 0
    while count >= _STEP and power < len(_UNITS) - 1:
        count /= _STEP
        power += 1
    return f"{count:.0f} {_UNITS[power]}"
