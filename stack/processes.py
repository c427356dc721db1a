"""The processes of a stack, as data. To add one, add an entry to `services` or to `pipeline`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from galaxy.domain.fleet import CELERY, WORKER_KINDS
from stack import readiness
from stack.environment import LOOPBACK
from stack.packages import find

if TYPE_CHECKING:
    from pathlib import Path

    from stack.checkout import Checkout, Choices
    from stack.readiness import Check

WORKER_GRACE_S = 15
_WORKER_ENDS = readiness.logged("shutdown (MainProcess)")  # "Warm" or "Cold" stands before it
SOURCES = ("galaxy/**/*.py", "galaxy/**/*.lua", "tasks/**/*.py", "workers/**/*.py", "beat/**/*.py", "*.py")


@dataclass(frozen=True)
class Process:
    """A process of the stack.

    Attributes:
        command: The program by its whole path, and its arguments. No passwords: everybody can read these.
        ready: When it can do its work.
        ending: When it runs, and is about to end.
        config: A file that is written before the start; starts again when its text changes.
        port: The user's name of the port that it listens on, if any.
        reads: Which files of the checkout it has read at its start; it starts again when they change.
        grace_s: From the polite signal to the one that kills.
    """

    name: str
    command: tuple[str, ...]
    ready: Check
    ending: Check = readiness.never
    config: tuple[Path, str] | None = None
    port: str | None = None
    reads: tuple[str, ...] = ()
    ready_within_s: float = 60
    grace_s: float = 10
    environment: dict[str, str] = field(default_factory=dict)


def services(checkout: Checkout, choices: Choices) -> list[Process]:
    """What the pipeline needs around it."""
    bundles = choices.port("bundles")
    serve = (
        "-m",
        "http.server",
        str(bundles),
        "--bind",
        choices.bundles_host,
        "--directory",
        str(checkout.bundles),
    )
    return [
        _redis(checkout, choices),
        _registry(checkout, choices, "mirror"),
        _registry(checkout, choices, "apps"),
        Process(
            "bundles",
            (str(checkout.python), *serve),
            readiness.answers_http(bundles, "/", choices.bundles_host),
            port="bundles",
        ),
    ]


def pipeline(checkout: Checkout, choices: Choices) -> list[Process]:
    """The pipeline's own processes."""
    celery = (str(checkout.venv / "bin" / "celery"), *CELERY[1:])
    flower = choices.port("flower")
    workers = [
        Process(
            kind.service,
            (celery[0], *kind.command[1:]),
            readiness.logged(" ready."),
            ending=_WORKER_ENDS,
            reads=SOURCES,
            grace_s=WORKER_GRACE_S,
        )
        for kind in WORKER_KINDS
    ]
    return [
        *workers,
        Process(
            "beat",
            (*celery, "beat", "-l", "INFO"),
            readiness.logged("beat: Starting"),
            reads=SOURCES,
        ),
        Process(
            "flower",
            (*celery, "flower", "--conf=flowerconfig.py", f"--address={LOOPBACK}", f"--port={flower}"),
            readiness.answers_http(flower, "/healthcheck"),
            port="flower",
            reads=SOURCES,
        ),
    ]


def _redis(checkout: Checkout, choices: Choices) -> Process:
    data = checkout.redis
    data.mkdir(parents=True, exist_ok=True)
    config = checkout.run / "redis.conf"
    port = choices.port("redis")
    text = f"""bind {LOOPBACK}
port {port}
requirepass {choices.redis_password}
dir {json.dumps(str(data))}
appendonly yes
maxmemory-policy noeviction
save ""
"""
    return Process(
        "redis",
        (find("redis-server") or "redis-server", str(config)),
        readiness.answers_redis(port, choices.redis_password),
        config=(config, text),
        port="redis",
    )


def _registry(checkout: Checkout, choices: Choices, name: str) -> Process:
    """A CNCF distribution. JSON is YAML, too."""
    port = choices.port(name)
    config = checkout.run / f"registry-{name}.yml"
    settings = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(checkout.registries / name)},
            "delete": {"enabled": True},
        },
        "http": {"addr": f"{LOOPBACK}:{port}", "secret": choices.registry_secret},
    }
    return Process(
        f"registry-{name}",
        (find("docker-registry", "registry") or "docker-registry", "serve", str(config)),
        readiness.answers_http(port, "/v2/"),
        config=(config, json.dumps(settings, indent=2) + "\n"),
        port=name,
    )
