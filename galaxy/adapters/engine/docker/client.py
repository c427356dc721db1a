"""A client of a Docker engine whose calls can be given up, and whose errors are the project's."""

from __future__ import annotations

import re
import socket
import time
import weakref
from contextlib import contextmanager, suppress
from functools import cached_property
from tarfile import TarError
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar

import docker
from docker.constants import DEFAULT_DOCKER_API_VERSION
from docker.errors import APIError, DockerException, StreamParseError
from docker.utils import kwargs_from_env
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from galaxy.adapters.interruptible import interruptible
from galaxy.domain.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from urllib3.connectionpool import ConnectionPool

T = TypeVar("T")

#: What the SDK raises when the engine goes away: requests' errors for answers, urllib3's in the middle of a stream.
UNREACHABLE: Final = (DockerException, StreamParseError, RequestException, HTTPError, TarError, OSError)

#: What is removed is removed within this, or later by the reaper. An engine goes on with it though nobody waits.
_CLEANUP_S: Final = 10.0


class DockerClient:
    """The SDK's low-level client. For one thread, and one call at a time.

    Attributes:
        is_cut_off: A call was given up; whatever else there is to do takes another client.

    Args:
        url: As in DOCKER_HOST; None takes the environment's, or the default socket.
        timeout_s: Longest silence of one answer.
    """

    def __init__(self, url: str | None, timeout_s: int) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self.is_cut_off = False
        self._connections: weakref.WeakSet[Any] = weakref.WeakSet()
        self._remembers = Lock()

    @cached_property
    def api(self) -> docker.APIClient:
        """The SDK's client, which talks to the engine as soon as it is made."""
        environment = kwargs_from_env()
        if self._url:
            environment["base_url"] = self._url
        api = docker.APIClient(**environment, version=DEFAULT_DOCKER_API_VERSION, timeout=self._timeout_s)
        # no proxy is between us and an engine; looking for one in the environment is a third of a call's cost
        api.trust_env = False
        self._remember_connections(api)
        # as "auto" does, which would ask before the two lines above
        asked = api.version(api_version=False)["ApiVersion"]
        api._version = asked  # type: ignore[attr-defined] # noqa: SLF001 - the SDK sets it in its constructor only
        return api

    def call(self, call: Callable[[docker.APIClient], T], check_cancelled: Callable[[], None]) -> T:
        """Calls the engine; when `check_cancelled` raises, the connections are closed and no more are opened.

        To an engine that means: nobody waits any more. It ends a pull and a push at once. A commit or a removal goes
        on to its end.
        """
        return interruptible(lambda: call(self.api), check_cancelled, self._cut_off)

    def clean_up(self, call: Callable[[docker.APIClient], T]) -> T:
        """Makes calls that remove something. An engine that hangs may not hold up whoever cleans up.

        Raises:
            TimeoutError: The engine has not done it in time.
        """
        give_up_at = time.monotonic() + _CLEANUP_S

        def check_cancelled() -> None:
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"no answer within {_CLEANUP_S:g} s")

        return self.call(call, check_cancelled)

    def _cut_off(self) -> None:
        self.is_cut_off = True
        with self._remembers:
            connections = list(self._connections)
        for connection in connections:
            if connection.sock is not None:
                with suppress(OSError):  # it is over already
                    connection.sock.shutdown(socket.SHUT_RDWR)

    def _remember_connections(self, api: docker.APIClient) -> None:
        """Notes every connection that this client opens: one that is in use can be had in no other way.

        They are kept in one pool. The SDK's adapter for sockets has one for each URL, and would connect for each call.
        """
        adapter: Any = api.get_adapter(api.base_url)
        get_pool = adapter.get_connection_with_tls_context
        pools: list[Any] = []

        def get_watched_pool(*args: object, **options: object) -> ConnectionPool:
            if not pools:
                pool = get_pool(*args, **options)
                pool._new_conn = self._remembering(pool._new_conn)  # noqa: SLF001 - urllib3 has no hook for it
                pools.append(pool)
            return pools[0]  # type: ignore[no-any-return] # an adapter is untyped here

        adapter.get_connection_with_tls_context = get_watched_pool

    def _remembering(self, make: Callable[[], Any]) -> Callable[[], object]:
        def new_connection() -> object:
            connection = make()
            connection.connect = self._unless_cut_off(weakref.WeakMethod(connection.connect))
            with self._remembers:
                self._connections.add(connection)
            return connection

        return new_connection

    def _unless_cut_off(self, connect: weakref.WeakMethod[Callable[[], object]]) -> Callable[[], None]:
        """Opens no connection for a call that was given up between two requests: nobody would watch the second.

        urllib3 opens connections anew that were closed.
        """

        def guarded() -> None:
            self._check_not_cut_off()
            if opens := connect():
                opens()
            self._check_not_cut_off()  # what was not open yet could not be closed

        return guarded

    def _check_not_cut_off(self) -> None:
        if self.is_cut_off:
            raise ConnectionAbortedError("The call was given up.")


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Turns what the SDK raises into errors of the project."""
    try:
        yield
    except APIError as error:
        said = str(error.explanation or error).rstrip(".")
        raise EngineError(
            f"The engine could not {action}: {said}.", _suggestion(said), quotes=[said]
        ) from error
    except UNREACHABLE as error:
        raise EngineError(
            f"The engine could not {action}: it can't be reached ({type(error).__name__}).",
            "Operators: check its address and that it runs.",
            quotes=(),
        ) from error


def _suggestion(said: str) -> str:
    """What to do about an error of the engine, by its own words: its status codes tell less."""
    if re.search(r"\bruntime (specified|name)\b", said):
        return "Operators: make that runtime known to the engine, or choose another one for builds."
    if re.search(r"\bnetwork \S+ not found", said):
        return "Operators: make that network with deploy/build-network, or choose another one for builds."
    return "Operators: look at the engine's own log."


def last_word(events: Iterable[dict[str, Any]], on_progress: Callable[[], None]) -> dict[str, Any]:
    """Reads a progress stream to its end; errors come in it, with HTTP status 200. Returns its last `aux`."""
    last: dict[str, Any] = {}
    error = None
    for event in events:  # to the end also after an error, which frees the connection
        on_progress()
        error = error or event.get("error")
        last = event.get("aux") or last
    if error:
        raise EngineError(
            f"The engine said: {error}.",
            "Operators: check the registry and the engine's log.",
            quotes=[str(error)],
        )
    return last
