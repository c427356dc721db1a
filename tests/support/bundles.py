"""An HTTP server that tells build containers what to do: a bundle is a line of shell for setup.sh."""

from __future__ import annotations

import ipaddress
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Event, Thread
from typing import TYPE_CHECKING

from tests.support.base_images import BaseImageSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

#: A base image whose setup.sh runs what it finds at the bundle's URL.
OBEDIENT = BaseImageSpec(setup='set -e; told=$(wget -q -O - "$1"); eval "$told"')

_LONGEST_HOLD_S = 60


class Bundle:
    """One bundle: the first container that asks gets the first line, and so on; the last line stays.

    Attributes:
        url: Where build containers find it.
        asked: How often it was asked for.
    """

    def __init__(self, url: str, lines: tuple[str, ...]) -> None:
        self.url = url
        self.asked = 0
        self._lines = lines
        self._open = Event()
        self._open.set()

    def hold(self) -> None:
        """From now on, who asks waits for `release`."""
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    def answer(self) -> str:
        line = self._lines[min(self.asked, len(self._lines) - 1)]
        self.asked += 1
        self._open.wait(_LONGEST_HOLD_S)
        return line


class Bundles:
    """All bundles of a run."""

    def __init__(self, authority: str) -> None:
        self._authority = authority
        self._numbers = count()
        self._by_path: dict[str, Bundle] = {}

    def add(self, *lines: str, query: str = "") -> Bundle:
        """A bundle that makes setup.sh run a line; `query` is a part of the URL that is kept secret."""
        path = f"/{next(self._numbers)}.tar.gz"
        bundle = Bundle(f"http://{self._authority}{path}?{query}", lines or ("true",))
        self._by_path[path] = bundle
        return bundle

    def release_all(self) -> None:
        for bundle in self._by_path.values():
            bundle.release()

    def answer(self, path: str) -> str:
        return self._by_path[path.partition("?")[0]].answer()


def reachable_from_containers(api: docker.APIClient) -> str:
    """This machine's address on the network of the build containers."""
    (config, *_) = api.inspect_network("bridge")["IPAM"]["Config"]
    return str(config.get("Gateway") or next(ipaddress.ip_network(config["Subnet"]).hosts()))


@contextmanager
def bundle_server(address: str) -> Iterator[Bundles]:
    """Serves on a free port of this address, which build containers can reach."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = bundles.answer(self.path).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Silence."""

    server = ThreadingHTTPServer((address, 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # containers are killed while they ask
    bundles = Bundles(f"{address}:{server.server_port}")
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield bundles
    bundles.release_all()
    server.shutdown()
    server.server_close()
