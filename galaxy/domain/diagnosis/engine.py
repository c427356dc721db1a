"""Rules about the engine of this machine and the registry for app images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from galaxy.domain.diagnosis.finding import fine, problem, unreachable, warning
from galaxy.domain.diagnosis.probe import is_default_network
from galaxy.domain.diagnosis.words import size
from galaxy.domain.models import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from galaxy.domain.diagnosis.finding import Finding

SUBJECT: Final = "engine"
REGISTRY: Final = "registry"
_MIN_API: Final = (1, 40)
_DISK_WARNING, _DISK_PROBLEM = 20 * 1024**3, 5 * 1024**3


class EngineFacts(Frozen):
    """What the engine says of itself.

    Attributes:
        here: There is an engine to talk to: one is named, or the standard socket exists.
        address: As in DOCKER_HOST.
        failure: Why it could not be asked; empty when it answered.
        advice: What to do about the failure.
        root: Where it keeps images and containers.
        disk_free_bytes: On the file system of `root`; None when that can't be seen from here.
        networks: Names of its networks.
        runtimes: Names of its OCI runtimes.
        registry_failure: Why the engine can't use the registry for app images; empty when it can.
    """

    here: bool = True
    address: str = ""
    failure: str = ""
    advice: str = ""
    version: str = ""
    api: str = ""
    driver: str = ""
    root: str = ""
    memory_bytes: int = 0
    disk_free_bytes: int | None = None
    networks: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = ()
    registry_failure: str = ""

    @property
    def answers(self) -> bool:
        """Whether anything is known of it."""
        return self.here and not self.failure


class BuildNeeds(Frozen):
    """What the settings want of the engine; 0 and None as in the settings."""

    network: str
    runtime: str | None
    memory_bytes: int


class RegistryFacts(Frozen):
    """What the registry for app images says to a request from this machine.

    Attributes:
        address: Host and port.
        version: Its API version header.
        failure: Why it did not answer as a registry; empty when it did.
        loopback: The address means another machine wherever it is used.
    """

    address: str
    version: str = ""
    failure: str = ""
    loopback: bool = False


def judge_engine(facts: EngineFacts, needs: BuildNeeds) -> Iterator[Finding]:
    """What is wrong with the engine for builds with these needs, or that nothing is."""
    if not facts.here:
        yield warning(
            SUBJECT,
            "No engine here, so engine, builds' network and the way to the registry were not looked at.",
            "Run the doctor on each build worker too.",
        )
        return
    if facts.failure:
        yield unreachable(SUBJECT, facts.failure, facts.advice)
        return
    disk = "" if facts.disk_free_bytes is None else f", {size(facts.disk_free_bytes)} free"
    yield fine(
        SUBJECT,
        f"Docker {facts.version} at {facts.address}, API {facts.api}, {facts.driver} in {facts.root}{disk}.",
    )
    if tuple(map(int, facts.api.split("."))) < _MIN_API:
        yield problem(SUBJECT, f"API {facts.api} is too old.", "Update the engine to 19.03 or newer.")
    yield from _disk(facts)
    yield from _what_builds_need(facts, needs)


def _disk(facts: EngineFacts) -> Iterator[Finding]:
    free = facts.disk_free_bytes
    if free is None or free >= _DISK_WARNING:
        return
    yield (problem if free < _DISK_PROBLEM else warning)(
        SUBJECT,
        f"Only {size(free)} are free in {facts.root}.",
        "Free some: `docker image prune --all --filter until=168h` removes images that nothing runs; or add disk.",
    )


def _what_builds_need(facts: EngineFacts, needs: BuildNeeds) -> Iterator[Finding]:
    if needs.network not in facts.networks:
        yield problem(
            SUBJECT,
            f"It has no network {needs.network}, so no build can start.",
            "Create it as docs/operating.md says, or set GALAXY_BUILD_NETWORK to one that it has.",
        )
    elif is_default_network(needs.network):
        yield problem(
            SUBJECT,
            f"Builds run on the engine's own network {needs.network}, from which they reach the host and its networks.",
            "Make a network for them with deploy/build-network, and name it in GALAXY_BUILD_NETWORK.",
        )
    if needs.runtime and needs.runtime not in facts.runtimes:
        yield problem(
            SUBJECT,
            f"It has no runtime {needs.runtime}, so no build can start; it has {', '.join(facts.runtimes)}.",
            "Install it and name it in the engine's daemon.json, or change GALAXY_BUILD_RUNTIME.",
        )
    if facts.memory_bytes and needs.memory_bytes > facts.memory_bytes:
        yield warning(
            SUBJECT,
            f"A build may use {size(needs.memory_bytes)}, more than the machine's {size(facts.memory_bytes)}.",
            "Lower GALAXY_BUILD_MEMORY_BYTES, so that a hungry build fails and not its neighbours.",
        )


def judge_registry(registry: RegistryFacts, engine: EngineFacts) -> Iterator[Finding]:
    """Whether the registry for app images can be used. The engine pushes to it, so what the engine says counts."""
    version = f" ({registry.version})" if registry.version else ""
    if engine.answers and engine.registry_failure:
        yield unreachable(
            REGISTRY,
            f"The engine can't use {registry.address}: {engine.registry_failure}",
            "Start the registry, or mend GALAXY_REGISTRY; without TLS, an engine trusts a registry on loopback or in"
            " `insecure-registries` of its daemon.json only.",
        )
    elif engine.answers:
        yield fine(REGISTRY, f"The engine reaches {registry.address}{version}.")
    elif not registry.failure:
        yield fine(REGISTRY, f"{registry.address} answers{version}; no engine here to ask.")
    elif registry.loopback:
        yield warning(
            REGISTRY,
            f"{registry.address} is on the engines' own machines, and can't be looked at from here.",
            "Run the doctor on each build worker too.",
        )
    else:
        yield unreachable(REGISTRY, registry.failure, "Start the registry, or mend GALAXY_REGISTRY.")
