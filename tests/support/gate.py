"""A door between a client and a real server that can be shut at a certain request, as if the server hung."""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

    import docker

_REQUEST = re.compile(rb"(?:GET|HEAD|POST|PUT|PATCH|DELETE) \S+")
_HELD_S = 60


def engine_address(api: docker.APIClient) -> str | int:
    """Where an engine listens, for a gate in front of it."""
    url = urlsplit(api.base_url)
    if url.scheme == "http+docker":
        return str(api.get_adapter(api.base_url).socket_path)  # type: ignore[attr-defined] # of the SDK's own
    return int(url.port or 2375)


class Gate:
    """Passes bytes on, both ways, until a request comes at which it is shut.

    Attributes:
        address: Where clients connect: `HOST:PORT`.
        requests: Method and path of all requests, those that were held back included.
        held: It was shut by a request.

    Args:
        server: Where the server is: the path of a unix socket, or a port of 127.0.0.1.
        tls: Makes the clients' side TLS.
    """

    def __init__(self, server: str | int, *, tls: ssl.SSLContext | None = None) -> None:
        self._server = server
        self._tls = tls
        self._pattern: re.Pattern[bytes] | None = None
        self._open = Event()
        self._open.set()
        self.held = Event()
        self.requests: list[str] = []
        self._closed = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._sockets: list[socket.socket] = [self._listener]

    def shut_at(self, pattern: str) -> None:
        """From the next such request on nothing gets through any more, on no connection."""
        self._pattern = re.compile(pattern.encode())

    def open(self) -> None:
        """Lets through what was held back, and all that comes."""
        self._pattern = None
        self._open.set()

    def __enter__(self) -> Self:
        Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._closed = True
        self.open()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError):
            if self._tls:
                client = self._tls.wrap_socket(client, server_side=True)
            if isinstance(self._server, int):
                server = socket.create_connection(("127.0.0.1", self._server))
            else:
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
            self._sockets += [client, server]
            back = Thread(target=self._pass_on, args=(server, client), daemon=True)
            back.start()
            self._pass_on(client, server, watched=True)

    def _pass_on(self, source: socket.socket, target: socket.socket, *, watched: bool = False) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if watched and (request := _REQUEST.match(data)):
                    self.requests.append(request[0].decode())
                    if self._pattern and self._pattern.search(request[0]):
                        self._open.clear()
                        self.held.set()
                self._open.wait(_HELD_S)
                if self._closed:  # what was held back is lost
                    return
                target.sendall(data)
        with suppress(OSError):  # whole connections end, as with a server that is gone
            target.shutdown(socket.SHUT_RDWR)
