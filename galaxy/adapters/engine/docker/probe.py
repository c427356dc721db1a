"""Looks at this machine's engine, and at the registry through its eyes; gives up soon."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import docker
import requests
from docker.errors import APIError, DockerException
from docker.utils import kwargs_from_env
from requests.exceptions import RequestException

from galaxy.adapters.registry.endpoints import RegistryEndpoint
from galaxy.domain.diagnosis.engine import EngineFacts, RegistryFacts

if TYPE_CHECKING:
    from collections.abc import Mapping

_SOCKET: Final = Path("/var/run/docker.sock")
#: A repository that nobody has to have: `not found` is an answer too.
_ANY_IMAGE: Final = "apps/doctor:1"
_CLIENT_ERRORS: Final = range(400, 500)


def look_at_engine(registry: str, environ: Mapping[str, str], *, timeout_s: int) -> EngineFacts:
    """Asks the engine of DOCKER_HOST, or of the standard socket."""
    address = environ.get("DOCKER_HOST") or f"unix://{_SOCKET}"
    if not environ.get("DOCKER_HOST") and not _SOCKET.exists():
        return EngineFacts(here=False, address=address)
    try:
        with closing(
            docker.APIClient(**kwargs_from_env(dict(environ)), version="auto", timeout=timeout_s)
        ) as api:
            return _asked(api, address, registry)
    except (DockerException, RequestException, OSError) as error:
        found, advice = _why(error, address)
        return EngineFacts(address=address, failure=found, advice=advice)


def _asked(api: docker.APIClient, address: str, registry: str) -> EngineFacts:
    info: dict[str, Any] = api.info()
    version = api.version()
    root = str(info.get("DockerRootDir", ""))
    return EngineFacts(
        address=address,
        version=version["Version"],
        api=version["ApiVersion"],
        driver=str(info.get("Driver", "")),
        root=root,
        memory_bytes=int(info.get("MemTotal", 0)),
        disk_free_bytes=_free(address, root),
        networks=tuple(network["Name"] for network in api.networks()),
        runtimes=tuple(info.get("Runtimes", {})),
        registry_failure=_registry_failure(api, registry),
    )


def _free(address: str, root: str) -> int | None:
    """Free bytes where the engine keeps its data; None when its machine, or its files, are not ours to see."""
    if not address.startswith("unix://") or not root:
        return None
    try:
        there = os.statvfs(root)
    except OSError:
        return None
    return there.f_bavail * there.f_frsize


def _registry_failure(api: docker.APIClient, registry: str) -> str:
    try:
        api.inspect_distribution(f"{registry}/{_ANY_IMAGE}")
    except APIError as error:
        if error.status_code in _CLIENT_ERRORS:
            return ""  # the registry itself has answered
        return f"{str(error.explanation or error).rstrip('.')}."
    except RequestException:
        return "it does not answer in time."
    return ""


def _why(error: Exception, address: str) -> tuple[str, str]:
    text = str(error)
    if "Permission denied" in text:
        return (
            f"{address} does not let this user in.",
            "Run as root or as a member of the group that owns the socket (stat -c %G /var/run/docker.sock).",
        )
    if isinstance(error, requests.Timeout) or "timed out" in text:
        return f"{address} does not answer in time.", "Look at the engine's own log; restart it if it hangs."
    return f"{address} can't be reached.", "Start the engine, or mend DOCKER_HOST."


def look_at_registry(registry: str, *, timeout_s: float) -> RegistryFacts:
    """Asks the registry for app images whether it is one."""
    endpoint = RegistryEndpoint.as_written(registry)
    loopback = endpoint.scheme == "http"
    try:
        answer = requests.get(f"{endpoint}/v2/", timeout=timeout_s, allow_redirects=False)
    except RequestException as error:
        failure = f"{registry} can't be reached ({type(error).__name__})."
        return RegistryFacts(address=registry, failure=failure, loopback=loopback)
    version = answer.headers.get("Docker-Distribution-Api-Version", "")
    # 401 is how a registry asks for a login
    is_registry = answer.ok or (answer.status_code == requests.codes.unauthorized and version)
    failure = "" if is_registry else f"{registry} answers {answer.status_code} for /v2/, as no registry does."
    return RegistryFacts(address=registry, version=version, failure=failure, loopback=loopback)
