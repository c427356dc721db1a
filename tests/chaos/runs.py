"""The bundle server of a run: hands out scripts, and is told when they begin and end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import token_hex
from threading import Lock, Thread
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs, urlsplit

from galaxy.domain.names import parse_container_name
from tests.chaos.facts import Run
from tests.support.base_images import BaseImageSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from galaxy.domain.models import VersionRef
    from tests.chaos.plans import Plan

#: A base image whose setup.sh runs what it finds at the bundle's URL, and says which container asks. It has a volume,
#: so that volumes can be left behind.
BASE_IMAGE = BaseImageSpec(
    dockerfile='VOLUME /data\nCMD ["/bin/true"]',
    setup='set -e; script=$(wget -q -O - "$1&from=$(cat /etc/hostname)"); eval "$script"',
)


class Bundle(NamedTuple):
    """What a deploy is made with. Both secrets are printed by its script."""

    plan: Plan
    url: str
    secrets: tuple[str, ...]


@dataclass
class _Begun:
    """A run while it goes on."""

    bundle: int
    container: str
    name: str
    started_at: float
    ended_at: float | None = None
    seen_at: float = 0.0


class BundleServer:
    """Serves on a free port of an address that build containers reach.

    Args:
        name_of: Finds a container's name by its id, "" if the engine does not answer.
    """

    def __init__(self, address: str, name_of: Callable[[str], str]) -> None:
        self._name_of = name_of
        self._bundles: list[Bundle] = []
        self._runs: list[_Begun] = []
        self._lock = Lock()
        self._server = ThreadingHTTPServer((address, 0), _handler(self))
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign] # clients are killed in the middle
        self._url = f"http://{address}:{self._server.server_port}"
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def add(self, plan: Plan) -> int:
        """A new bundle; returns its number."""
        signature, password = f"signature-{token_hex(8)}", f"password-{token_hex(8)}"
        with self._lock:
            url = f"{self._url}/{len(self._bundles)}.tar.gz?signature={signature}"
            self._bundles.append(Bundle(plan, url, (signature, password)))
            return len(self._bundles) - 1

    def bundle(self, number: int) -> Bundle:
        return self._bundles[number]

    def secrets(self) -> tuple[str, ...]:
        return tuple(secret for bundle in self._bundles for secret in bundle.secrets)

    def see(self, containers: set[str]) -> None:
        """Remembers which containers run now; by the beginnings of their ids, which are their hostnames."""
        now = time.time()
        with self._lock:
            for run in self._runs:
                if run.container in containers:
                    run.seen_at = now

    def runs(self, pipeline: str, refs: Mapping[int, VersionRef]) -> tuple[Run, ...]:
        """All runs so far. `refs`: the version that was made from each bundle."""
        with self._lock:
            found = []
            for number, run in enumerate(self._runs):
                claim = parse_container_name(pipeline, run.name)
                seen_at = max(run.seen_at, run.ended_at or run.started_at)
                token = claim.token if claim else None
                found.append(Run(number, refs[run.bundle], token, run.started_at, run.ended_at, seen_at))
        return tuple(found)

    def begin(self, bundle: int, container: str) -> str:
        """A container asks for its script."""
        name = self._name_of(container)
        with self._lock:
            earlier = sum(run.bundle == bundle for run in self._runs)
            self._runs.append(_Begun(bundle, container, name, time.time()))
            number = len(self._runs) - 1
        plan, _, secrets = self._bundles[bundle]
        return plan.script(number, earlier, secrets=secrets, end_url=f"{self._url}/end?run={number}")

    def end(self, run: int) -> str:
        """A script has reached its end."""
        self._runs[run].ended_at = time.time()
        return ""

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(server: BundleServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            if parts.path == "/end":
                answer = server.end(int(query["run"][0]))
            else:
                answer = server.begin(int(parts.path[1:].removesuffix(".tar.gz")), query["from"][0].strip())
            body = answer.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Silence."""

    return Handler
