"""What a build container may do on the engine's machine. It runs other people's code, often as root."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from docker.types import LogConfig

from galaxy.adapters.engine.docker.disk_watch import NO_LIMITS, DiskLimits
from galaxy.domain.capabilities import CAPABILITIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import docker
    from docker.types import Mount

_PERIOD_US: Final = 100_000


@dataclass(frozen=True, kw_only=True)
class Isolation:
    """Limits of one build container.

    Attributes:
        network: The engine's network that it is attached to.
        memory_bytes: Memory, swap included; a process that asks for more is killed. 0: no limit.
        cpus: Processors' worth of time. 0: no limit.
        pids: Processes and threads. 0: no limit.
        runtime: An OCI runtime that the engine knows, such as gVisor's `runsc`; None takes the engine's default.
        disk: What it may write. /dev/shm and other files in memory count as memory.
    """

    network: str = "bridge"
    memory_bytes: int = 0
    cpus: float = 0
    pids: int = 0
    runtime: str | None = None
    disk: DiskLimits = NO_LIMITS

    def host_config(self, api: docker.APIClient, mounts: Sequence[Mount]) -> dict[str, Any]:
        """The limits as the engine's API takes them. None of them gets into the committed image."""
        return api.create_host_config(
            mounts=list(mounts),
            network_mode=self.network,
            log_config=LogConfig(type="none"),  # the attach stream has it all, and a log file fills the disk
            mem_limit=self.memory_bytes or None,
            memswap_limit=self.memory_bytes or None,
            # as a quota, which may be more than the machine has; "nano CPUs" may not
            cpu_period=_PERIOD_US if self.cpus else None,
            cpu_quota=int(self.cpus * _PERIOD_US) or None,
            pids_limit=self.pids or None,
            runtime=self.runtime,
            cap_drop=["ALL"],
            cap_add=list(CAPABILITIES),
            security_opt=["no-new-privileges:true"],
        )
