"""What processes in containers may do beyond an ordinary user."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What package managers, `useradd` and `chown` need. Of Docker's defaults these are left out: raw sockets (to forge
#: packets on the bridge), device nodes, audit records, low ports, and passing capabilities on. The numbers are the
#: kernel's: capability(7).
CAPABILITIES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "CHOWN": 0,
        "DAC_OVERRIDE": 1,
        "FOWNER": 3,
        "FSETID": 4,
        "KILL": 5,
        "SETFCAP": 31,
        "SETGID": 6,
        "SETUID": 7,
        "SYS_CHROOT": 18,
    }
)

#: What ordinary images need to run: an entrypoint that begins as root, hands files to a user and becomes that user, and
#: servers on ports below 1024.
APP_CAPABILITIES: Final[Mapping[str, int]] = MappingProxyType(
    {"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "KILL": 5, "SETGID": 6, "SETUID": 7, "NET_BIND_SERVICE": 10}
)
