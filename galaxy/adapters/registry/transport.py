"""One HTTP answer from a registry: redirects, deadlines, size caps, and errors told apart."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

import urllib3
from requests import Request, RequestException
from requests.exceptions import SSLError

from galaxy.adapters.registry.connection import GuardedAdapter
from galaxy.adapters.registry.endpoints import NotReachable, RegistryEndpoint
from galaxy.domain.errors import RegistryBlocked, RegistryError, RegistryThrottled, RegistryUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests import Response
    from requests.structures import CaseInsensitiveDict

    from galaxy.adapters.registry.endpoints import Reach
    from galaxy.adapters.registry.limits import HostGate, HostGates

#: Registries take manifests of 4 MiB at least (OCI distribution specification), and hardly any takes more.
MAX_BODY_BYTES: Final = 4 * 1024 * 1024
MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_OK: Final = 200
_TOO_MANY_REQUESTS: Final = 429
_SERVER_ERRORS: Final = 500
_CHUNK_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class RegistryCall:
    """One question about an image; all requests that it takes share the deadline.

    Attributes:
        image: For messages.
        registry: Who was asked first; what it sends us to gets no more trust than it has itself.
        ends_at: Monotonic seconds.
        insists: Hosts that failed several times are asked too.
    """

    image: str
    registry: RegistryEndpoint
    ends_at: float
    insists: bool = False

    @property
    def left_s(self) -> float:
        """Seconds until the deadline; never negative."""
        return max(0.0, self.ends_at - monotonic())

    def unavailable(self, host: RegistryEndpoint, what: str) -> RegistryUnavailable:
        """The error for an outage."""
        return RegistryUnavailable(
            f"{host.authority} {what}, so {self.image} could not be looked up.",
            "If this lasts, check that the host is up and can be reached from the workers.",
        )

    def throttled(self, host: RegistryEndpoint, seconds: float) -> RegistryThrottled:
        """The error for a pause that the host asked for."""
        error = RegistryThrottled(
            f"{host.authority} asked for a pause of {seconds:.0f} s, so {self.image} could not be looked up.",
            "If this happens often, ask the operator for a mirror of it.",
        )
        error.retry_after_s = seconds
        return error

    def senseless(self, host: RegistryEndpoint, what: str) -> RegistryError:
        """The error for an answer that no registry should give."""
        return RegistryError(
            f"{host.authority} {what}, so {self.image} could not be looked up.",
            "Check that a registry runs there, and what stands between it and the workers.",
        )


@dataclass(frozen=True, slots=True)
class RegistryResponse:
    """What a registry or a token service answered, after redirects. `body` is as sent, at most `MAX_BODY_BYTES`."""

    status: int
    headers: CaseInsensitiveDict[str]
    body: bytes
    endpoint: RegistryEndpoint


class Transport:
    """Sends requests; threads share it. Knows hosts and limits, nothing of images, tokens or manifests.

    It uses requests' adapter without a Session: no cookies, no netrc, no proxy from the environment that would
    hide the address we connect to, no redirects but our own.
    """

    def __init__(self, reach: Reach, gates: HostGates, *, connections: int, ca_bundle: str | None) -> None:
        self._reach = reach
        self._gates = gates
        self._adapter = GuardedAdapter(reach, connections=connections)
        self._verify: bool | str = ca_bundle or True

    def close(self) -> None:
        """Closes the kept-alive connections."""
        self._adapter.close()

    def send(self, call: RegistryCall, method: str, url: str, headers: Mapping[str, str]) -> RegistryResponse:
        """Sends HEAD or GET and follows redirects; Authorization goes to the first endpoint only.

        Returns:
            Any answer but a redirect, 429 and 5xx.

        Raises:
            RegistryThrottled: 429, now or before.
            RegistryUnavailable: Unreachable, too slow, 5xx, broken TLS, or failing for a while already.
            RegistryBlocked: It led to where we do not go.
            RegistryError: Too many redirects, or too large an answer.
        """
        endpoint = call.registry
        sent = dict(headers)
        for _ in range(MAX_REDIRECTS + 1):
            try:
                previous, endpoint = endpoint, RegistryEndpoint.of_url(url)
                self._reach.check(endpoint, asked_by=call.registry)
                answer = self._send_once(call, method, url, endpoint, sent)
            except NotReachable as error:
                raise _blocked(call, endpoint, error) from error
            target = answer.headers.get("location")
            if answer.status not in _REDIRECTS or target is None:
                return answer
            try:
                url = urljoin(url, target)
            except ValueError as error:
                raise call.senseless(endpoint, "redirected to a malformed address") from error
            if _leaves(url, endpoint):
                sent.pop("Authorization", None)
        raise call.senseless(previous, f"redirected more than {MAX_REDIRECTS} times")

    def _send_once(
        self,
        call: RegistryCall,
        method: str,
        url: str,
        endpoint: RegistryEndpoint,
        headers: Mapping[str, str],
    ) -> RegistryResponse:
        if call.left_s <= 0:
            raise call.unavailable(endpoint, "could not be asked in time")
        gate = self._gates.of(endpoint.authority)
        closed = gate.closed()
        if closed and closed.throttled:
            raise call.throttled(endpoint, closed.for_s)
        if closed and not call.insists:
            raise call.unavailable(
                endpoint, f"failed several times and is left alone for {closed.for_s:.0f} s"
            )
        answer = self._exchange(call, method, url, endpoint, headers, gate)
        if answer.status == _TOO_MANY_REQUESTS:
            raise call.throttled(endpoint, gate.throttled(answer.headers))
        if answer.status >= _SERVER_ERRORS:
            gate.failed()
            raise call.unavailable(endpoint, f"answered with the error {answer.status}")
        gate.answered(answer.headers)
        return answer

    def _exchange(  # noqa: PLR0913, PLR0917 - one request's parts, none of which belong together elsewhere
        self,
        call: RegistryCall,
        method: str,
        url: str,
        endpoint: RegistryEndpoint,
        headers: Mapping[str, str],
        gate: HostGate,
    ) -> RegistryResponse:
        """The request itself, a second time if a kept-alive connection turns out to be closed."""
        try:
            try:
                return self._request(call, method, url, endpoint, headers)
            except (RequestException, urllib3.exceptions.HTTPError) as error:
                if not _was_stale(error):
                    raise
                return self._request(call, method, url, endpoint, headers)
        except SSLError as error:
            gate.failed()
            raise call.unavailable(endpoint, "could not prove over TLS that it is that host") from error
        except (RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            gate.failed()
            raise call.unavailable(endpoint, _what_happened(call, error)) from error

    def _request(
        self,
        call: RegistryCall,
        method: str,
        url: str,
        endpoint: RegistryEndpoint,
        headers: Mapping[str, str],
    ) -> RegistryResponse:
        # identity: the digest is of the bytes as stored, and nothing small can unpack into something huge
        request = Request(method, url, headers={**headers, "Accept-Encoding": "identity"}).prepare()
        total = urllib3.Timeout(total=max(call.left_s, 0.001))
        timeout: tuple[float, float] = total  # type: ignore[assignment] # requests takes it, and does not say so
        response = self._adapter.send(request, stream=True, timeout=timeout, verify=self._verify)
        try:
            body = _body(response)
        except BaseException:
            response.close()
            raise
        if body is None:
            response.close()
            if response.status_code == _OK:
                raise call.senseless(endpoint, f"answered with more than {MAX_BODY_BYTES} bytes")
        else:
            response.raw.release_conn()
        return RegistryResponse(response.status_code, response.headers, body or b"", endpoint)


def _body(response: Response) -> bytes | None:
    """The bytes as sent; None when there are more than we take."""
    length = response.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > MAX_BODY_BYTES and response.request.method != "HEAD":
        return None
    body = bytearray()
    while chunk := response.raw.read(_CHUNK_BYTES, decode_content=False):
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    return bytes(body)


def _leaves(url: str, endpoint: RegistryEndpoint) -> bool:
    try:
        return RegistryEndpoint.of_url(url) != endpoint
    except NotReachable:
        return True


def _was_stale(error: Exception) -> bool:
    """The server closed a connection, and not because it was asked something: it answered nothing at all."""
    cause: BaseException | None = (
        error.args[0] if error.args and isinstance(error.args[0], Exception) else error
    )
    if isinstance(cause, urllib3.exceptions.MaxRetryError):
        cause = cause.reason
    if not isinstance(cause, urllib3.exceptions.ProtocolError):
        return False
    return any(isinstance(part, ConnectionResetError | BrokenPipeError) for part in cause.args)


def _what_happened(call: RegistryCall, error: Exception) -> str:
    """In words of our own: requests' texts hold URLs, and those may hold what nobody should read in a log."""
    if call.left_s <= 0 or "timed out" in str(error) or isinstance(error, TimeoutError):
        return "did not answer in time"
    if "NameResolutionError" in repr(error):
        return "has no address in the name service"
    return "can't be reached"


def _blocked(call: RegistryCall, endpoint: RegistryEndpoint, error: NotReachable) -> RegistryBlocked:
    return RegistryBlocked(
        f"{call.image} is not looked up: {endpoint.authority} {error}.",
        "Use an image in a public registry, or have the operator name this host as one of the pipeline's own.",
    )
