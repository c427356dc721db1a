"""Where requests may go: scheme, host and port, and which of them the operator vouches for."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

_DEFAULT_PORT: Final = {"http": 80, "https": 443}
#: How networks without IPv4 reach it: the last 32 bits are an IPv4 address (RFC 6052).
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


class NotReachable(Exception):
    """We do not go there. The message completes the sentence `HOST ...`."""


@dataclass(frozen=True, slots=True)
class RegistryEndpoint:
    """Scheme, host in lower case, and port: what has to be the same for a credential to be sent again."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of_url(cls, url: str) -> RegistryEndpoint:
        """The endpoint of a URL.

        Raises:
            NotReachable: For anything but http and https, for malformed URLs, and for URLs with a user in them,
                which requests would turn into a login.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise NotReachable("is no valid address") from error
        if parts.scheme not in _DEFAULT_PORT or not parts.hostname:
            raise NotReachable("is no http or https address")
        if "@" in parts.netloc:
            raise NotReachable("has a login in its address")
        return cls(parts.scheme, parts.hostname, port or _DEFAULT_PORT[parts.scheme])

    @classmethod
    def as_written(cls, text: str) -> RegistryEndpoint:
        """`http://HOST[:PORT]` or `https://...`; without scheme https, and http for loopback hosts, as engines do.

        Raises:
            ValueError: When there is more to it than that.
        """
        if "://" not in text:
            text = f"{'http' if is_loopback_name(urlsplit(f'//{text}').hostname or '') else 'https'}://{text}"
        try:
            endpoint = cls.of_url(text)
        except NotReachable as error:
            raise ValueError(f"a registry's address {error}; write http://HOST:PORT or HOST:PORT") from error
        parts = urlsplit(text)
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("a registry's address is a host and a port, without a path")
        return endpoint

    @property
    def authority(self) -> str:
        """Host and port as a reference spells them; no port when it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORT[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


class Reach:
    """Which endpoints may be asked, and which addresses connections to them may have.

    The operator's own endpoints may be plain http and anywhere; everything else is https at public addresses only.
    """

    def __init__(self, own: Iterable[RegistryEndpoint]) -> None:
        self._own = frozenset(own)
        self._own_hosts = frozenset((endpoint.host, endpoint.port) for endpoint in self._own)

    def check(self, target: RegistryEndpoint, *, asked_by: RegistryEndpoint) -> None:
        """Says no to plain http, and to the operator's endpoints when a stranger sends us there.

        Raises:
            NotReachable: Nothing was sent.
        """
        if target in self._own:
            if target != asked_by and asked_by not in self._own:
                raise NotReachable("is an internal address that a registry outside sent us to")
        elif target.scheme != "https":
            raise NotReachable("is to be reached without TLS, which only the operator can allow")
        elif (target.host, target.port) in self._own_hosts:
            raise NotReachable("speaks plain http by the operator's word, and was asked for in https")

    def permits_address(self, host: str, port: int, address: str) -> bool:
        """Whether a connection to `host` may go to the IP address that its name led to just now."""
        return (host.lower(), port) in self._own_hosts or is_public(address)


def is_loopback_name(host: str) -> bool:
    """`localhost`, or an address in 127.0.0.0/8 or ::1: what engines speak plain http to."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_public(address: str) -> bool:
    """Whether an IP address is on the public internet, and so is the IPv4 address that hides in it."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
        if ip.sixtofour or ip.teredo or ip.ipv4_mapped:
            return False  # tunnels that nobody serves a registry from, and that may end anywhere
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)
