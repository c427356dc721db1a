"""Connections that check the address they go to, and that end at a deadline however slowly bytes drip in."""

from __future__ import annotations

import io
import math
import socket
from concurrent.futures import Future
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from galaxy.adapters.registry.endpoints import NotReachable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from urllib3.response import HTTPResponse

    from galaxy.adapters.registry.endpoints import Reach

#: What `socket.getaddrinfo` answers with: family, kind, protocol, canonical name, address.
_Address = tuple[int, int, int, str, tuple[Any, ...]]
_POOLS: Final = 32


class GuardedAdapter(HTTPAdapter):
    """The adapter of requests, with our connections in its pools.

    Args:
        connections: How many kept-alive connections a host may have; as many as threads that ask at once.
    """

    def __init__(self, reach: Reach, *, connections: int) -> None:
        self._connection_pools = _pools(reach)
        super().__init__(pool_connections=_POOLS, pool_maxsize=connections)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the base class's own signature
        """Puts the guarded connections in."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._connection_pools


def _pools(by: Reach) -> dict[str, type[HTTPConnectionPool]]:
    """urllib3 makes connections by class, so what they need to know has to be in the class."""

    class GuardedHTTPConnection(_Guarded, HTTPConnection):
        reach = by

    class GuardedHTTPSConnection(_Guarded, HTTPSConnection):
        reach = by

    class GuardedHTTPPool(HTTPConnectionPool):
        ConnectionCls = GuardedHTTPConnection

    class GuardedHTTPSPool(HTTPSConnectionPool):
        ConnectionCls = GuardedHTTPSConnection

    return {"http": GuardedHTTPPool, "https": GuardedHTTPSPool}


class _Guarded(HTTPConnection):
    """Mixed into urllib3's connections. The name is looked up once, and only what was checked is connected to."""

    reach: Reach

    def _new_conn(self) -> socket.socket:
        ends_at = monotonic() + (self.timeout or math.inf)
        error: OSError | None = None
        try:
            addresses = _lookup(self.host, self.port, ends_at - monotonic())
        except socket.gaierror as failure:
            raise NameResolutionError(self.host, self, failure) from failure
        except TimeoutError as failure:
            raise ConnectTimeoutError(self, "looking up its name took too long") from failure
        if not all(self.reach.permits_address(self.host, self.port, end[4][0]) for end in addresses):
            raise NotReachable("has an address that is not on the public internet")
        for family, kind, protocol, _, address in addresses:
            try:
                return _connected(socket.socket(family, kind, protocol), address, ends_at)
            except TimeoutError as failure:
                raise ConnectTimeoutError(self, "connecting took too long") from failure
            except OSError as failure:
                error = failure
        raise NewConnectionError(self, str(error or "its name has no address")) from error

    def connect(self) -> None:
        super().connect()
        self.sock = _DeadlineSocket(self.sock)

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3's own
        """From here to the end of the body is one read as far as the time-out is concerned."""
        if isinstance(self.sock, _DeadlineSocket):
            self.sock.ends_at = monotonic() + (self.timeout or math.inf)
        return super().getresponse()


def _connected(sock: socket.socket, address: tuple[Any, ...], ends_at: float) -> socket.socket:
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(_left(ends_at))
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _lookup(host: str, port: int, within_s: float) -> Sequence[_Address]:
    """Looks a name up in a thread of its own: the system's resolver knows no time-out."""
    answer: Future[Sequence[_Address]] = Future()

    def ask() -> None:
        try:
            answer.set_result(socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answer.set_exception(error if isinstance(error, OSError) else socket.gaierror(str(error)))

    Thread(target=ask, name="registry-name-lookup", daemon=True).start()
    return answer.result(within_s if math.isfinite(within_s) else None)


def _left(ends_at: float) -> float:
    left = ends_at - monotonic()
    if left <= 0:
        raise TimeoutError("the time for this request is over")
    return left


class _DeadlineSocket:
    """A connected socket whose files stop at `ends_at` (monotonic seconds); all else is the socket's own."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.ends_at = math.inf

    def makefile(self, mode: str = "rb", *_: object) -> io.BufferedReader:
        """What http.client reads responses from."""
        if mode != "rb":
            raise ValueError("responses are read as bytes")
        return io.BufferedReader(_DeadlineReader(self, self._sock.makefile("rb", buffering=0)))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the socket has
        return getattr(self._sock, name)


class _DeadlineReader(io.RawIOBase):
    """Gives each read only the time that is left of the whole."""

    def __init__(self, sock: _DeadlineSocket, raw: io.RawIOBase) -> None:
        self._sock = sock
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:  # noqa: ANN401 - any writable buffer
        if math.isfinite(self._sock.ends_at):
            self._sock.settimeout(_left(self._sock.ends_at))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
