"""What a base image must be (the specification's contract), and what to change when it is not."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import PurePosixPath
from posixpath import normpath
from typing import TYPE_CHECKING, Final

from galaxy.domain.models import Frozen

if TYPE_CHECKING:
    from galaxy.domain.base_images.image_config import ImageConfig

SETUP_SCRIPT: Final = "/app/setup.sh"
APP_FOLDER: Final = PurePosixPath("/app")
#: So many characters of a first line that is wrong are quoted.
FIRST_LINE_SHOWN: Final = 80

#: `#!/bin/bash`, `#! /usr/local/bin/bash -e`, `#!/usr/bin/env bash`, `#!/usr/bin/env -S bash -eu`.
_DIRECT = re.compile(r"#!\s*(?P<path>/\S*/bash)(?:\s.*)?")
_BY_ENV = re.compile(r"#!\s*(?P<env>/\S*/env)\s+(?:-S\s*)?(?P<name>bash)(?:\s.*)?")


class FileKind(StrEnum):
    """What stands at a path in an image; links are followed."""

    MISSING = "missing"
    FILE = "file"
    DANGLING_LINK = "dangling link"
    """A link to something that is not there."""
    CIRCULAR_LINK = "circular link"
    """Links that lead back to themselves, or through more links than anybody follows."""
    OTHER = "other"


class SetupScript(Frozen):
    """What was found at `/app/setup.sh`.

    Attributes:
        executable: Any execute bit is set.
        first_line: Without its line end; at most 256 bytes, undecodable ones replaced.
    """

    kind: FileKind
    executable: bool = False
    first_line: str = ""


def breaches(config: ImageConfig, script: SetupScript) -> tuple[str, ...]:
    """All that keeps the image from being a base image; each says what to change."""
    found = []
    if not config.get("Entrypoint") and not config.get("Cmd"):
        found.append(
            "It has neither CMD nor ENTRYPOINT, so it can't run without parameters:"
            ' end its Dockerfile with, for example, CMD ["node", "/app/main.js"].'
        )
    problem = _script_problem(script)
    if problem:
        found.append(problem)
    found += [
        f"It declares VOLUME {volume}, and what {SETUP_SCRIPT} writes there is not saved with the image:"
        " remove the VOLUME instruction."
        for volume in swallowing_volumes(config)
    ]
    return tuple(found)


def bash_command(script: SetupScript) -> tuple[str, ...]:
    """How the image itself starts bash, from the script's first line.

    Raises:
        ValueError: The script is not for bash; `breaches` says so in words.
    """
    if match := _DIRECT.fullmatch(script.first_line):
        return (match["path"],)
    if match := _BY_ENV.fullmatch(script.first_line):
        return (match["env"], match["name"])
    raise ValueError(f"not a bash script: {script.first_line!r}")


def declared_volumes(config: ImageConfig) -> tuple[str, ...]:
    """Paths of the image's VOLUME instructions, sorted."""
    volumes = config.get("Volumes")
    return tuple(sorted(volumes)) if isinstance(volumes, dict) else ()


def volume_places(config: ImageConfig) -> tuple[str, ...]:
    """Where volumes of ours can take the place of those that the image declares, sorted, each once.

    Not at a relative path and not at the root: an engine takes these from an image only.
    """
    paths = (normpath(f"/{path.lstrip('/')}") for path in declared_volumes(config) if path.startswith("/"))
    return tuple(sorted({*paths} - {"/"}))


def swallowing_volumes(config: ImageConfig) -> tuple[str, ...]:
    """Volumes that lie over or in `/app` or the working directory, where setup.sh puts the app."""
    places = {APP_FOLDER}
    workdir = config.get("WorkingDir")
    if isinstance(workdir, str) and workdir not in {"", "/"}:
        places.add(PurePosixPath(workdir))
    return tuple(
        volume
        for volume in declared_volumes(config)
        if any(_overlap(PurePosixPath(volume), place) for place in places)
    )


def _overlap(one: PurePosixPath, other: PurePosixPath) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def _script_problem(script: SetupScript) -> str | None:
    if script.kind is not FileKind.FILE:
        return _NO_FILE[script.kind]
    if not script.executable:
        return f"{SETUP_SCRIPT} is not executable: add RUN chmod +x {SETUP_SCRIPT} to its Dockerfile."
    if script.first_line.endswith("\r"):
        return (
            f"{SETUP_SCRIPT} has Windows line ends, so its interpreter is not found:"
            " save it with Unix line ends (LF)."
        )
    try:
        bash_command(script)
    except ValueError:
        return (
            f"{SETUP_SCRIPT} is not a script for bash: its first line must be #!/bin/bash or"
            f" #!/usr/bin/env bash, and it is {script.first_line[:FIRST_LINE_SHOWN]!r}."
        )
    return None


_NO_FILE: Final = {
    FileKind.MISSING: (
        f"It has no {SETUP_SCRIPT}: add the script that installs a bundle, for example"
        f" COPY --chmod=755 setup.sh {SETUP_SCRIPT}."
    ),
    FileKind.DANGLING_LINK: (
        f"{SETUP_SCRIPT} is a link to something that is not in the image: add that, or put the script itself there."
    ),
    FileKind.CIRCULAR_LINK: (
        f"{SETUP_SCRIPT} is a link that leads back to itself: put an executable bash script there."
    ),
    FileKind.OTHER: f"{SETUP_SCRIPT} is not a file: put an executable bash script there.",
}
