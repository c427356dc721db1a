"""Tries from inside a build container what one must not reach."""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from galaxy.domain.base_images.contract import bash_command
from galaxy.domain.base_images.image_reference import ImageReference
from galaxy.domain.cancellation import never_cancelled
from galaxy.domain.capabilities import CAPABILITIES
from galaxy.domain.diagnosis.probe import ProbeReport, Seen, Service, Target, endpoint_of, report, targets
from galaxy.domain.errors import BaseImageUnusable, EngineError
from galaxy.domain.names import LOOK

if TYPE_CHECKING:
    from collections.abc import Callable

    from galaxy.adapters.engine.ports import Engine, Image
    from galaxy.adapters.registry import RegistryClient
    from galaxy.domain.log import Stream
    from galaxy.settings import Settings

#: Needs bash alone. It reads `ADDRESS PORT ADDRESS PORT …` on stdin and prints a line for each thing it finds out.
#: File 9 is a pipe that nobody writes to: reading it is how bash waits without a program for that.
_SCRIPT: Final = r"""
LC_ALL=C
read -ra pairs
[[ $( { exec 3<>/dev/tcp/127.0.0.1/1; } 2>&1 ) == *refused* ]] && echo "can connect"
while IFS= read -r -d '' variable; do echo "variable ${variable%%=*}"; done </proc/self/environ
while read -r name value; do
  case $name in CapBnd:|NoNewPrivs:) echo "status $name $value" ;; esac
done </proc/self/status
exec 9<> <(:)
for ((i = 0; i < ${#pairs[@]}; i += 2)); do
  ( exec 3<>"/dev/tcp/${pairs[i]}/${pairs[i + 1]}" && echo "reached ${pairs[i]} ${pairs[i + 1]}" ) 2>/dev/null &
  tries+=($!)
done
( read -rt SECONDS -u 9; kill "${tries[@]}" ) 2>/dev/null &
wait "${tries[@]}" 2>/dev/null
echo done
exit 0
"""
_PATIENCE_S: Final = 1.5
_FORGOTTEN_AFTER_S: Final = 120
_GUARDED: Final = ("the registry", "the mirror of Docker Hub")


class IsolationProbe:
    """One probe of the engine of this process, under exactly the isolation that its build containers get.

    Args:
        addresses_of: Addresses of a host name; of an address, itself; none if it is unknown.
        own_addresses: Addresses of the machine that this process is on, as far as it can tell.
    """

    def __init__(
        self,
        engine: Engine,
        registry: RegistryClient,
        settings: Settings,
        *,
        addresses_of: Callable[[str], tuple[str, ...]],
        own_addresses: Callable[[], tuple[str, ...]],
    ) -> None:
        self._engine = engine
        self._registry = registry
        self._settings = settings
        self._addresses_of = addresses_of
        self._own_addresses = own_addresses

    def run(self, *, pull_s: float = 600.0) -> ProbeReport:
        """Starts a container of the default base image, lets it try, and removes it. Takes a few seconds.

        Args:
            pull_s: How long pulling the base image may take, if the engine does not have it.

        Raises:
            EngineError: No engine can be reached from here, the network or the runtime does not exist, or the pull
                takes longer.
            RegistryError, BaseImageNotFound: The default base image can't be had.
            BaseImageUnusable: The default base image's bash can't do it.
        """
        self._remove_forgotten()
        tried = self._targets()
        image = self._base_image(pull_s)
        variables = image.config.get("Env")
        return report(
            self._settings.build_network,
            tried,
            self._look(image, tried),
            intended_capabilities=CAPABILITIES.values(),
            image_variables=[str(each) for each in variables] if isinstance(variables, list) else [],
        )

    def _remove_forgotten(self) -> None:
        """Containers of probes whose process ended before they did, and their volumes."""
        prefix = f"{self._settings.name}-probe-"

        def is_forgotten(name: str) -> bool:
            began = name.removeprefix(prefix).partition("-")[0]
            return began.isdigit() and int(began) < time.time() - _FORGOTTEN_AFTER_S

        for container in self._engine.containers(prefix):
            if is_forgotten(container.name):
                self._engine.remove_container(container.id)
        for volume in self._engine.volumes(prefix):
            if is_forgotten(volume):
                with suppress(EngineError):  # its container may be on its way out
                    self._engine.remove_volume(volume)

    def _base_image(self, pull_s: float) -> Image:
        give_up_at = time.monotonic() + pull_s

        def check_cancelled() -> None:
            if time.monotonic() > give_up_at:
                raise EngineError(
                    f"Pulling {base}, which the probe needs, takes longer than {pull_s:g} s.",
                    "Try again when this engine has built something on it.",
                )

        base = ImageReference.parse(self._settings.default_base_image)
        digest = str(self._registry.resolve(base))
        return self._engine.pull(self._registry.pull_source(base), digest, check_cancelled)

    def _targets(self) -> tuple[Target, ...]:
        machine = self._engine.machine()
        services = {each: self._addresses_of(each.host) for each in self._endpoints(machine.api_url)}
        addresses = dict.fromkeys((*machine.addresses, *self._own_addresses()))
        return targets(services, tuple(addresses), guarded=_GUARDED)

    def _endpoints(self, engine_url: str) -> tuple[Service, ...]:
        settings = self._settings
        urls = {
            "Redis (broker)": settings.broker_url.get_secret_value(),
            "Redis (store)": settings.store_url.get_secret_value(),
            "Redis (logs)": settings.logs_url.get_secret_value(),
            "the registry": settings.registry,
            "the mirror of Docker Hub": settings.docker_hub_mirror or "",
            "Flower": settings.flower_url,
            "the engine's API": engine_url,
        }
        return tuple(found for what, url in urls.items() if (found := endpoint_of(what, url)))

    def _look(self, image: Image, tried: tuple[Target, ...]) -> Seen:
        name = f"{self._settings.name}-probe-{time.time():.0f}-{secrets.token_hex(6)}"
        script = self._engine.setup_script(image, name=name + LOOK)
        try:
            bash = bash_command(script)
        except ValueError as error:
            raise BaseImageUnusable(
                f"The base image {self._settings.default_base_image} has no script for bash, which the probe needs.",
                "Name another one in GALAXY_DEFAULT_BASE_IMAGE.",
            ) from error
        printed: list[bytes] = []

        def collect(_: Stream, data: bytes) -> None:
            printed.append(data)

        command = (*bash, "-c", _SCRIPT.replace("SECONDS", str(_PATIENCE_S)))
        with self._engine.build_container(image, name=name, command=command) as container:
            container.run(" ".join(f"{each.address} {each.port}" for each in tried), collect, never_cancelled)
        return self._seen(b"".join(printed).decode(errors="replace"))

    def _seen(self, printed: str) -> Seen:
        lines = [line.split() for line in printed.splitlines()]
        if ["done"] not in lines:
            raise EngineError("The probe container ended early.", "Look at the engine's own log.")
        if ["can", "connect"] not in lines:
            raise BaseImageUnusable(
                f"The bash of {self._settings.default_base_image} can't open connections, so it can't be a probe.",
                "Name a base image in GALAXY_DEFAULT_BASE_IMAGE whose bash has /dev/tcp.",
            )
        status = {line[1]: line[2] for line in lines if line[0] == "status"}
        return Seen(
            reached=frozenset((line[1], int(line[2])) for line in lines if line[0] == "reached"),
            variables=frozenset(line[1] for line in lines if line[0] == "variable"),
            capabilities=int(status["CapBnd:"], 16),
            no_new_privileges=status.get("NoNewPrivs:") == "1",
        )
