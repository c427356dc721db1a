"""Names and addresses, as this machine knows them."""

from __future__ import annotations

import socket

#: RFC 5737: belongs to nobody. Nothing is sent there.
_ANYWHERE = ("192.0.2.1", 9)


def addresses_of(host: str) -> tuple[str, ...]:
    """All addresses of a host; of an address, itself; none if it is unknown here."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


def own_addresses() -> tuple[str, ...]:
    """The address from which this machine talks to others; none without a route to them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ANYWHERE)  # for UDP, this only looks up the route
        except OSError:
            return ()
        return (str(probe.getsockname()[0]),)
