"""A whole Debian with npm as a base image: from Docker Hub, or from mirrors where there is no Docker Hub."""

from __future__ import annotations

import platform
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from docker.errors import APIError

from galaxy.adapters.engine.ports import Image
from tests.conftest import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

_CACHE = Path(__file__).parents[2] / ".stack" / "cache"
_HUB = ("node", "20-bookworm-slim")
#: The npm that goes with Debian's node. Debian's own npm is four hundred packages: it is for machines without an npm.
_NPM = "npm@10"
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
    release = platform.freedesktop_os_release()["VERSION_CODENAME"]
    command = ["mmdebstrap", "--quiet", "--variant=apt", *_npm(), release, str(part), *_sources(release)]
    done = _run(command)
    if done.returncode != 0:
        unavailable(f"Debian can't be had from where this machine's apt has it: {done.stderr[-500:]}")
    return part.replace(made)


def _sources(release: str) -> list[str]:
    """Where this machine's apt gets the release from, as lines of a sources.list."""
    line = "deb $(REPO_URI) $(RELEASE) $(COMPONENT)"
    done = _run(["apt-get", "indextargets", "--format", line, "Created-By: Packages", f"Codename: {release}"])
    lines = [*dict.fromkeys(done.stdout.splitlines())]
    if not lines:
        unavailable(f"apt knows no source of {release}: {done.stderr[-500:]}")
    return lines


def _npm() -> list[str]:
    """Options of mmdebstrap that add node and npm."""
    if not shutil.which("npm"):
        return ["--include=nodejs,npm"]
    done = _run(["npm", "pack", "--silent", "--pack-destination", str(_CACHE), _NPM])
    if done.returncode != 0:
        unavailable(f"npm's client can't fetch {_NPM}: {done.stderr[-500:]}")
    archive = _CACHE / done.stdout.split()[-1]
    return ["--include=nodejs", f"--customize-hook={_ADD_NPM.format(archive=archive)}"]


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)
