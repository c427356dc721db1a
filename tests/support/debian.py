"""A whole Debian with npm as a base image: from Docker Hub, or from mirrors where there is no Docker Hub."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import requests
from docker.errors import APIError

from galaxy.adapters.engine.ports import Image
from tests.conftest import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

_CACHE = Path(__file__).parents[2] / ".stack" / "cache"
_HUB = ("node", "20-bookworm-slim")
_RELEASE = "bookworm"
_MIRROR = "http://deb.debian.org/debian"
#: Debian's own npm is four hundred packages.
_NPM = "https://registry.npmjs.org/npm/-/npm-10.9.2.tgz"
_ADD_NPM = (
    'mkdir -p "$1/usr/local/lib/npm" && tar -xz --strip-components 1 -C "$1/usr/local/lib/npm" -f {archive}'
    ' && ln -s ../lib/npm/bin/npm-cli.js "$1/usr/local/bin/npm"'
)


@contextmanager
def debian_image(api: docker.APIClient, name: str) -> Iterator[Image]:
    """Debian with apt, bash, node, npm and a root user, as `NAME:debian`. The first time takes a minute."""
    try:
        api.pull(*_HUB)
        api.tag(":".join(_HUB), name, "debian")
    except APIError:  # no Docker Hub here
        api.import_image_from_file(str(_made()), repository=name, tag="debian", changes=['CMD ["/bin/bash"]'])
    try:
        found = api.inspect_image(f"{name}:debian")
        yield Image(id=found["Id"], config=found["Config"])
    finally:
        api.remove_image(f"{name}:debian", force=True)


def _made() -> Path:
    made = _CACHE / "debian.tar"
    if made.exists():
        return made
    if not shutil.which("mmdebstrap"):
        unavailable("mmdebstrap is not installed, and Docker Hub can't be reached")
    _CACHE.mkdir(parents=True, exist_ok=True)
    part = _CACHE / "debian.part.tar"
    hook = f"--customize-hook={_ADD_NPM.format(archive=_npm())}"
    command = ["mmdebstrap", "--quiet", "--variant=apt", "--include=nodejs", hook, _RELEASE, part, _MIRROR]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        unavailable(f"Debian can't be had from {_MIRROR}: {done.stderr[-500:]}")
    return part.replace(made)


def _npm() -> Path:
    archive = _CACHE / "npm.tgz"
    try:
        answer = requests.get(_NPM, timeout=30)
        answer.raise_for_status()
    except requests.RequestException as error:
        unavailable(f"npm can't be had from its registry ({type(error).__name__})")
    archive.write_bytes(answer.content)
    return archive
