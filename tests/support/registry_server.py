"""A registry over real HTTP that misbehaves on demand, and counts what it is asked.

It plays the read side of the distribution API, and Docker Hub's ways: a token service, throttling, missing headers,
redirects, outages, slow answers. Tests set its attributes; a fault stays until it is taken back.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import ssl
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
ALL_TYPES = frozenset({DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX})
PLATFORM = {"os": "linux", "architecture": "amd64"}


def digest_of(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def image_manifest(config: bytes, media_type: str = DOCKER_MANIFEST) -> bytes:
    """A manifest of an image without layers; `config` is the whole difference between two of them."""
    descriptor = {
        "mediaType": "application/vnd.docker.container.image.v1+json",
        "size": len(config),
        "digest": digest_of(config),
    }
    document = {"schemaVersion": 2, "mediaType": media_type, "config": descriptor, "layers": []}
    return json.dumps(document, indent=3).encode()


def index(images: dict[str, bytes], media_type: str = DOCKER_LIST) -> bytes:
    """An index of manifests by platform, spelled `os/architecture[/variant]`."""
    entries = []
    for platform, body in images.items():
        parts = zip(("os", "architecture", "variant"), platform.split("/"), strict=False)
        entries.append(
            {
                "mediaType": DOCKER_MANIFEST if media_type == DOCKER_LIST else OCI_MANIFEST,
                "size": len(body),
                "digest": digest_of(body),
                "platform": dict(parts),
            }
        )
    return json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": entries}).encode()


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    connection: int
    """Names the TCP connection it came on."""

    @property
    def authorization(self) -> str | None:
        return self.headers.get("authorization")


@dataclass
class Faults:
    """What goes wrong with manifest requests."""

    status: int | None = None
    """Answer with this status and `headers`."""
    token_status: int | None = None
    """Answer token requests with this status and `headers`."""
    headers: dict[str, str] = field(default_factory=dict)
    redirect_to: str | None = None
    """`{path}` is replaced by the request's path."""
    token_redirect_to: str | None = None
    omit_digest: bool = False
    wrong_digest: str | None = None
    no_head: bool = False
    body: bytes | None = None
    """Instead of the manifest's."""
    endless_body: bool = False
    silent: bool = False
    drip_s: float | None = None
    """Send headers forever, a byte each so many seconds."""
    close_after_answer: bool = False
    """End the kept-alive connection after an answer, without a word."""
    hang_up: bool = False
    """Close the connection instead of answering."""


class RegistryServer:
    """The server. `url` and `authority` say where it is.

    Attributes:
        realm: Where its challenges send for tokens; None: it wants no token. Its own service is at `/token`.
        logins: User to password. Without any, everybody gets a token.
        private: Repositories that only logged-in users see.
        seen: Every request, in order.
    """

    def __init__(self) -> None:
        self.faults = Faults()
        self.realm: str | None = None
        self.service = "registry.example"
        self.scope: str | None = None
        self.challenge: str | None = None
        self.token_lifetime_s: int | None = 300
        self.token_delay_s = 0.0
        self.logins: dict[str, str] = {}
        self.private: set[str] = set()
        self.rate_limit: tuple[str, str] | None = None
        self.seen: list[Seen] = []
        self.connections = 0
        self.endless_bytes = 0
        self.issued: list[str] = []
        self.stopping = Event()
        self._lock = Lock()
        self._manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self._tokens: dict[str, tuple[str, str]] = {}
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.registry = self
        self._scheme = "http"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self._scheme}://{self.authority}"

    @contextmanager
    def running(self, certificate: Path | None = None) -> Iterator[RegistryServer]:
        """Serves until the block ends; with a certificate (and its key, in one file) over TLS."""
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            self._scheme = "https"
        self._thread.start()
        try:
            yield self
        finally:
            self.stopping.set()
            self._server.shutdown()
            self._server.end_connections()
            self._server.server_close()
            self._thread.join()

    def want_tokens(self) -> None:
        self.realm = f"{self.url}/token"

    def put(self, repository: str, name: str, body: bytes, media_type: str = DOCKER_MANIFEST) -> str:
        """Puts a manifest under a tag and under its digest, which is returned."""
        with self._lock:
            self._manifests[repository, name] = (media_type, body)
            self._manifests[repository, digest_of(body)] = (media_type, body)
        return digest_of(body)

    def publish_image(self, repository: str, tag: str, config: bytes) -> str:
        return self.put(repository, tag, image_manifest(config))

    def publish_index(self, repository: str, tag: str, configs: dict[str, bytes]) -> str:
        for config in configs.values():
            self.put(repository, digest_of(image_manifest(config)), image_manifest(config))
        manifests = {platform: image_manifest(config) for platform, config in configs.items()}
        return self.put(repository, tag, index(manifests), DOCKER_LIST)

    def forget_tokens(self) -> None:
        with self._lock:
            self._tokens.clear()

    def count(self, method: str, containing: str = "/manifests/") -> int:
        return sum(seen.method == method and containing in seen.path for seen in list(self.seen))

    def record(self, seen: Seen) -> None:
        with self._lock:
            self.seen.append(seen)

    def manifest(self, repository: str, name: str) -> tuple[str, bytes] | None:
        with self._lock:
            return self._manifests.get((repository, name))

    def issue(self, scope: str, user: str) -> str:
        with self._lock:
            token = f"secret-token-{len(self.issued)}"
            self.issued.append(token)
            self._tokens[f"Bearer {token}"] = (scope, user)
            return token

    def admits(self, repository: str, authorization: str | None) -> bool:
        if self.challenge == "Basic":
            return self.user_of(authorization) is not None
        if self.realm is None and self.challenge is None:
            return True
        scope, user = self._tokens.get(authorization or "", ("", ""))
        known = any(key[0] == repository for key in self._manifests)
        return (
            scope in {f"repository:{repository}:pull", self.scope}
            and known
            and (repository not in self.private or bool(user))
        )

    def user_of(self, authorization: str | None) -> str | None:
        """The user of a Basic header; '' without a header, None for a wrong login."""
        if authorization is None:
            return None if self.challenge == "Basic" else ""
        decoded = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        user, _, password = decoded.partition(":")
        return user if self.logins.get(user) == password else None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    registry: RegistryServer

    def __init__(self, *args: Any) -> None:  # noqa: ANN401 - the base class's own
        super().__init__(*args)
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base class's own
        self._open.add(request)
        self.registry.connections += 1
        super().process_request(request, client_address)

    def end_connections(self) -> None:
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet an answer

    @property
    def registry(self) -> RegistryServer:
        assert isinstance(self.server, _Server)
        return self.server.registry

    def log_message(self, *_: object) -> None:
        """Tests say what they need to say."""

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        connection = self.client_address[1]
        seen = Seen(self.command, parts.path, parse_qs(parts.query), headers, connection)
        self.registry.record(seen)
        if parts.path.endswith("/token"):
            self._token(seen)
            return
        if self._fails(seen):
            return
        found = re.fullmatch(r"/v2/(?P<repository>.+)/manifests/(?P<name>[^/]+)", parts.path)
        if found is None:
            self._answer(404, b"{}")
        elif not self.registry.admits(found["repository"], seen.authorization):
            self._answer(401, b"{}", {"WWW-Authenticate": self._challenge(found["repository"])})
        else:
            self._manifest(found["repository"], found["name"], headers.get("accept", ""))

    def _fails(self, seen: Seen) -> bool:
        faults = self.registry.faults
        if faults.hang_up:
            self.close_connection = True
        elif faults.silent:
            self.registry.stopping.wait(30)
            self.close_connection = True
        elif faults.drip_s is not None:
            self._drip(faults.drip_s)
        elif faults.redirect_to is not None:
            self._answer(307, b"", {"Location": faults.redirect_to.format(path=seen.path)})
        elif faults.status is not None:
            self._answer(faults.status, b"{}", faults.headers)
        elif faults.no_head and seen.method == "HEAD":
            self._answer(405, b"")
        elif faults.endless_body:
            self._endless()
        else:
            return False
        return True

    def _manifest(self, repository: str, name: str, accept: str) -> None:
        registry, faults = self.registry, self.registry.faults
        stored = registry.manifest(repository, name)
        if stored is None:
            self._answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
            return
        media_type, body = stored
        if media_type in ALL_TYPES and media_type not in {part.strip() for part in accept.split(",")}:
            self._answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
            return
        headers = {"Content-Type": media_type}
        if not faults.omit_digest:
            headers["Docker-Content-Digest"] = faults.wrong_digest or digest_of(body)
        if registry.rate_limit:
            headers["RateLimit-Limit"], headers["RateLimit-Remaining"] = registry.rate_limit
        self._answer(200, faults.body if faults.body is not None else body, headers)

    def _challenge(self, repository: str) -> str:
        registry = self.registry
        if registry.challenge is not None:
            return registry.challenge
        scope = registry.scope or f"repository:{repository}:pull"
        return f'Bearer realm="{registry.realm}",service="{registry.service}",scope="{scope}"'

    def _token(self, seen: Seen) -> None:
        registry = self.registry
        time.sleep(registry.token_delay_s)
        user = registry.user_of(seen.authorization)
        if registry.faults.token_redirect_to is not None:
            self._answer(307, b"", {"Location": registry.faults.token_redirect_to})
        elif registry.faults.token_status is not None:
            self._answer(registry.faults.token_status, b"{}", registry.faults.headers)
        elif user is None:
            self._answer(401, b"{}")
        else:
            document: dict[str, object] = {"token": registry.issue(seen.query.get("scope", [""])[0], user)}
            if registry.token_lifetime_s is not None:
                document["expires_in"] = registry.token_lifetime_s
            self._answer(200, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _drip(self, every_s: float) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.sendall(b"HTTP/1.1 200 OK\r\nX-Drip: ")
            while not self.registry.stopping.wait(every_s):
                self.connection.sendall(b"x")

    def _endless(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            while not self.registry.stopping.is_set():
                self.connection.sendall(b" " * 65536)
                self.registry.endless_bytes += 65536

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.close_connection = self.close_connection or self.registry.faults.close_after_answer
