"""What the stack's processes, and people's shells, know about it."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from stack.checkout import write_private
from stack.packages import find

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stack.checkout import Checkout, Choices

LOOPBACK = "127.0.0.1"
FLOWER_USER = "galaxy"


#: What the stack chooses unless it is told otherwise, because people watch it: a failed attempt is not worth a long
#: wait, nor is a base image that they have just published.
PREFERRED = {
    "GALAXY_RETRY_BACKOFF_S": "1",
    "GALAXY_BASE_IMAGE_POLL_S": "1",
    "GALAXY_BASE_IMAGE_TICK_S": "1",
}


def variables(
    checkout: Checkout, choices: Choices, docker_host: str, given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The stack's settings as environment variables; `given` are those that a person chose."""
    return PREFERRED | dict(given or {}) | fixed(checkout, choices, docker_host)


def fixed(checkout: Checkout, choices: Choices, docker_host: str) -> dict[str, str]:
    """What follows from where the stack's processes are, so that nobody can choose it."""
    redis = f"redis://:{choices.redis_password}@{LOOPBACK}:{choices.port('redis')}"
    return {
        "PATH": _path(checkout),
        "DOCKER_HOST": docker_host,
        "GALAXY_NAME": choices.name,
        "GALAXY_BROKER_URL": f"{redis}/0",
        "GALAXY_STORE_URL": f"{redis}/1",
        "GALAXY_LOGS_URL": f"{redis}/2",
        "GALAXY_REGISTRY": f"{LOOPBACK}:{choices.port('apps')}",
        "GALAXY_DOCKER_HUB_MIRROR": f"http://{LOOPBACK}:{choices.port('mirror')}",
        "GALAXY_BUILD_NETWORK": choices.name,
        "GALAXY_BUNDLES_DIR": str(checkout.bundles),
        "GALAXY_BUNDLES_URL": f"http://{choices.bundles_host}:{choices.port('bundles')}",
        "GALAXY_FLOWER_URL": f"http://{LOOPBACK}:{choices.port('flower')}",
        "FLOWER_BASIC_AUTH": f"{FLOWER_USER}:{choices.flower_password}",
    }


def exports(values: Mapping[str, str]) -> str:
    """Lines that a shell can `eval`, whatever the values hold."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def write_redis_client(checkout: Checkout, choices: Choices) -> None:
    """A `redis-cli` that talks to the stack's Redis, unless it is told another server.

    The password is not on its command line, and is told to no other server.
    """
    program = find("redis-cli") or "redis-cli"
    if program == str(checkout.bin / "redis-cli"):
        return
    text = (
        "#!/bin/sh\n"
        f"program={shlex.quote(program)}\n"
        'for argument; do case $argument in -h | -p | -s | -u) exec "$program" "$@" ;; esac; done\n'
        f"export REDISCLI_AUTH={choices.redis_password}\n"
        f'exec "$program" -h {LOOPBACK} -p {choices.port("redis")} "$@"\n'
    )
    write_private(checkout.bin / "redis-cli", text, mode=0o700)


def _path(checkout: Checkout) -> str:
    ours = [str(checkout.bin), str(checkout.venv / "bin")]
    rest = [part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if part not in ours]
    return os.pathsep.join([*ours, *rest])
