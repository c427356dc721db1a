"""What a build container must not reach, and what one was found to reach and to have."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from galaxy.domain.models import Frozen

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

#: Where clouds tell a machine's own secrets: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html,
#: and the same address at the others; the second is for containers of Amazon ECS.
_METADATA: Final = ("169.254.169.254", "169.254.170.2", "fd00:ec2::254")
_METADATA_PORT: Final = 80
#: The engine's API without and with TLS, as IANA has them.
_ENGINE_PORTS: Final = (2375, 2376)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "redis": 6379, "rediss": 6379, "tcp": 2375}
#: What every engine puts into a container's environment.
_ENGINE_VARIABLES: Final = frozenset({"PATH", "HOSTNAME", "HOME", "TERM"})
_DEFAULT_NETWORKS: Final = frozenset({"bridge", "default", "host"})


class Service(NamedTuple):
    """A service as its users know it. `host`: a name or an address, as seen from a worker."""

    what: str
    host: str
    port: int


class Target(Frozen):
    """One address that is tried from inside. `expected_public`: it may be the internet's, where a login protects it."""

    what: str
    address: str
    port: int
    expected_public: bool = False

    def __str__(self) -> str:
        return f"{self.what} at {_authority(self.address, self.port)}"


class Seen(Frozen):
    """What a probe container saw.

    Attributes:
        reached: Addresses and ports that took a connection.
        variables: Names in its environment.
        capabilities: Of its processes at the most, as a bit set: capability(7).
        no_new_privileges: No program in it gains privileges by its file's mode.
    """

    reached: frozenset[tuple[str, int]] = frozenset()
    variables: frozenset[str] = frozenset()
    capabilities: int = 0
    no_new_privileges: bool = False


class ProbeReport(Frozen):
    """What build containers on this engine can reach and have.

    Attributes:
        network: The engine's network that they are on.
        tried: How many addresses were tried.
        reached: Those that should not have been reached, and were.
        leaked: Names of environment variables that are not the base image's.
        excess_capabilities: Numbers of capabilities that were not meant: capability(7).
        no_new_privileges: As it has to be: true.
    """

    network: str
    tried: int
    reached: tuple[Target, ...]
    leaked: tuple[str, ...]
    excess_capabilities: tuple[int, ...]
    no_new_privileges: bool


def endpoint_of(what: str, url: str) -> Service | None:
    """The host and port of a URL, or of `HOST:PORT`; None if it names none, as for a unix socket."""
    parts = urlsplit(url if "://" in url else f"https://{url}")
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    return Service(what, parts.hostname, port) if parts.hostname and port else None


def targets(
    services: Mapping[Service, Collection[str]], machine: Collection[str], *, guarded: Collection[str] = ()
) -> tuple[Target, ...]:
    """What to try from inside, each address and port once.

    Args:
        services: Each with its addresses, as resolved where workers are: a container may resolve nothing.
        machine: Addresses of the engine's machine. What listens on a worker's loopback or on all addresses may
            answer there too.
        guarded: Services (by `Service.what`) that ask for a login, so that they may be on the internet.
    """
    found: dict[tuple[str, int], Target] = {}

    def add(what: str, address: str, port: int) -> None:
        public = what in guarded and ipaddress.ip_address(address).is_global
        target = Target(what=what, address=address, port=port, expected_public=public)
        found.setdefault((address, port), target)

    for service, addresses in services.items():
        for address in [*addresses, *machine]:
            ip = ipaddress.ip_address(address)
            if not (ip.is_loopback or ip.is_unspecified):  # inside, these are the container itself
                add(service.what, address, service.port)
    for address in machine:
        for port in _ENGINE_PORTS:
            add("the engine's API", address, port)
    for address in _METADATA:
        add("the machine's metadata service", address, _METADATA_PORT)
    return tuple(found.values())


def report(
    network: str,
    tried: tuple[Target, ...],
    seen: Seen,
    *,
    intended_capabilities: Iterable[int],
    image_variables: Iterable[str],
) -> ProbeReport:
    """Holds what was seen against what was meant.

    Args:
        network: The engine's network that build containers are on.
        tried: As from `targets`.
        seen: By the probe container.
        intended_capabilities: Numbers of the capabilities that build containers may have.
        image_variables: The base image's `Env`, as NAME=VALUE.
    """
    excess = seen.capabilities & ~sum(1 << number for number in intended_capabilities)
    known = _ENGINE_VARIABLES | {variable.partition("=")[0] for variable in image_variables}
    return ProbeReport(
        network=network,
        tried=len(tried),
        reached=tuple(each for each in tried if (each.address, each.port) in seen.reached),
        leaked=tuple(sorted(seen.variables - known)),
        excess_capabilities=tuple(bit for bit in range(excess.bit_length()) if excess >> bit & 1),
        no_new_privileges=seen.no_new_privileges,
    )


def is_default_network(network: str) -> bool:
    """One that the engine made for everybody, so that build containers are not alone on it."""
    return network in _DEFAULT_NETWORKS or network.startswith("container:")


def _authority(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
