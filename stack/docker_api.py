"""The few calls of the engine's API that the stack makes. No client program is needed for them."""

from __future__ import annotations

import base64
import http.client
import ipaddress
import json
import os
import socket
import ssl
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stack.console import StackError

DEFAULT_HOST = "unix:///var/run/docker.sock"


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Refused(StackError):
    """The engine answered with an error.

    Args:
        status: The HTTP status.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Engine:
    """A container engine at `host`, spelled as in `DOCKER_HOST`."""

    host: str

    def call(self, method: str, path: str, body: object = None, *, timeout_s: float = 60) -> Any:  # noqa: ANN401 - JSON
        """One call with JSON on both sides; an answer of several JSON lines becomes a list.

        Raises:
            OSError: the engine can't be reached.
            StackError: it refused, at once or in the middle of its answer.
        """
        headers = {"X-Registry-Auth": base64.urlsafe_b64encode(b"{}").decode()}
        if isinstance(body, bytes):
            data, headers["Content-Type"] = body, "application/x-tar"
        else:
            data = b"" if body is None else json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        connection = self._connect(timeout_s)
        try:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        finally:
            connection.close()
        if answer.status >= http.client.BAD_REQUEST:
            raise Refused(f"The container engine refused {method} {path}: {text.strip()}", answer.status)
        return _parsed(text, lines=path.startswith(("/build", "/images")))

    def problem(self) -> str | None:
        """Why the engine can't be used; None if it answers."""
        try:
            self.call("GET", "/version", timeout_s=10)
        except PermissionError:
            return f"You have no right to use {self.host}: run as root, or join the group `docker`."
        except (OSError, http.client.HTTPException) as error:
            return f"No container engine answers at {self.host} ({error})."
        return None

    def gateway(self) -> str:
        """The host's address on the default bridge, which containers can reach; "" if the engine does not tell."""
        configs = self.call("GET", "/networks/bridge")["IPAM"]["Config"] or [{}]
        if "Gateway" in configs[0] or "Subnet" not in configs[0]:
            return str(configs[0].get("Gateway", ""))
        # an engine that has just made its bridge tells the subnet only; it took the first address for itself
        return str(next(ipaddress.ip_network(configs[0]["Subnet"]).hosts()))

    def ensure_network(self, name: str, *, mtu: int | None) -> None:
        """Have a bridge network whose containers don't reach each other. Its bridge has the same name."""
        try:
            self.call("GET", f"/networks/{name}")
        except Refused as refused:
            if refused.status != http.client.NOT_FOUND:
                raise
        else:
            return
        options = {
            "com.docker.network.bridge.name": name,
            "com.docker.network.bridge.enable_icc": "false",
        }
        if mtu:  # a bridge does not learn the uplink's by itself
            options["com.docker.network.driver.mtu"] = str(mtu)
        wanted = {"Name": name, "CheckDuplicate": True, "Driver": "bridge", "Options": options}
        self.call("POST", "/networks/create", wanted)

    def remove_network(self, name: str) -> None:
        """Remove a network, unless it is gone."""
        try:
            self.call("DELETE", f"/networks/{name}")
        except Refused as refused:
            if refused.status != http.client.NOT_FOUND:
                raise

    def build(self, context: bytes, tag: str) -> None:
        """Build the Dockerfile in a tar archive."""
        query = urllib.parse.urlencode({"t": tag, "rm": 1, "forcerm": 1})
        self.call("POST", f"/build?{query}", context, timeout_s=600)

    def push(self, repository: str, tag: str) -> str:
        """Push one tag.

        Returns:
            The digest under which the registry has it.
        """
        lines = self.call("POST", f"/images/{repository}/push?tag={tag}", timeout_s=600)
        digests = [line["aux"]["Digest"] for line in lines if "Digest" in line.get("aux", {})]
        if not digests:
            raise StackError(f"The engine pushed {repository}:{tag} but named no digest.")
        return str(digests[-1])

    def pull(self, repository: str, digest: str) -> None:
        """Pull an image by its digest."""
        query = urllib.parse.urlencode({"fromImage": repository, "tag": digest})
        self.call("POST", f"/images/create?{query}", timeout_s=600)

    def images(self) -> dict[str, list[str]]:
        """All names of each image on this engine, with tags and with digests, by its id."""
        listed = self.call("GET", "/images/json")
        return {item["Id"]: [*(item["RepoTags"] or ()), *(item["RepoDigests"] or ())] for item in listed[0]}

    def history(self, image: str) -> list[dict[str, Any]]:
        """The steps that made an image, the last one first; none if it is gone."""
        try:
            found: list[dict[str, Any]] = self.call("GET", f"/images/{image}/history")[0]
        except Refused as refused:
            if refused.status != http.client.NOT_FOUND:
                raise
            return []
        return found

    def remove_image(self, name: str) -> None:
        """Take a name from an image, and remove it if that was its last one. Nothing happens if it is gone.

        Raises:
            Refused: With the status 409, if a container uses it.
        """
        try:
            self.call("DELETE", f"/images/{name}")
        except Refused as refused:
            if refused.status != http.client.NOT_FOUND:
                raise

    def containers(self, *, running_only: bool) -> dict[str, str]:
        """Names of the containers on this engine, by id."""
        listed = self.call("GET", f"/containers/json?all={int(not running_only)}")
        return {item["Id"]: (item["Names"] or ["/"])[0].lstrip("/") for item in listed}

    def remove_container(self, container: str) -> None:
        """End and remove a container with its anonymous volumes, unless it is gone or going."""
        self._remove(f"/containers/{container}?force=1&v=1")

    def volumes(self) -> list[str]:
        """Names of the volumes on this engine."""
        return [item["Name"] for item in self.call("GET", "/volumes")["Volumes"] or ()]

    def remove_volume(self, name: str) -> None:
        """Remove a volume, unless it is gone or somebody uses it."""
        self._remove(f"/volumes/{name}")

    def run(self, image: str, *, name: str, port: int) -> tuple[str, int]:
        """Start a container with `port` published on a free port of 127.0.0.1.

        Returns:
            The container's id, and that free port.
        """
        binding = {f"{port}/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}
        wanted = {
            "Image": image,
            "ExposedPorts": {f"{port}/tcp": {}},
            "HostConfig": {"PortBindings": binding},
        }
        container = str(self.call("POST", f"/containers/create?name={name}", wanted)["Id"])
        self.call("POST", f"/containers/{container}/start")
        ports = self.call("GET", f"/containers/{container}/json")["NetworkSettings"]["Ports"]
        return container, int(ports[f"{port}/tcp"][0]["HostPort"])

    def _remove(self, path: str) -> None:
        try:
            self.call("DELETE", path)
        except Refused as refused:
            if refused.status not in {http.client.NOT_FOUND, http.client.CONFLICT}:
                raise

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        scheme, _, address = self.host.partition("://")
        if scheme == "unix":
            return _UnixConnection(address, timeout_s)
        if scheme != "tcp":
            raise StackError(f"DOCKER_HOST={self.host}: the stack can use unix:// and tcp:// only.")
        parts = urllib.parse.urlsplit(self.host)
        if os.environ.get("DOCKER_TLS_VERIFY") or parts.port == 2376:  # noqa: PLR2004 - IANA: Docker with TLS
            return http.client.HTTPSConnection(
                parts.hostname or "", parts.port, timeout=timeout_s, context=_client_certificate()
            )
        return http.client.HTTPConnection(parts.hostname or "", parts.port or 2375, timeout=timeout_s)


def _client_certificate() -> ssl.SSLContext:
    folder = Path(os.environ.get("DOCKER_CERT_PATH", Path.home() / ".docker"))
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def _parsed(text: str, *, lines: bool) -> Any:  # noqa: ANN401 - JSON
    if not lines:
        return json.loads(text) if text.strip() else None
    parsed = [json.loads(line) for line in text.splitlines() if line.strip()]
    for line in parsed:
        if "error" in line:
            raise StackError(f"The container engine failed: {line['error']}")
    return parsed
