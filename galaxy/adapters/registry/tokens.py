"""How registries have us prove who asks: the token flow of Docker Hub and CNCF distribution, and Basic."""

from __future__ import annotations

import base64
import json
import re
from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlencode, urlsplit, urlunsplit

from galaxy.domain.errors import RegistryDenied

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from galaxy.adapters.registry.endpoints import RegistryEndpoint
    from galaxy.adapters.registry.transport import RegistryCall, RegistryResponse, Transport

#: For tokens that do not say how long they live (the token specification's default).
DEFAULT_LIFETIME_S: Final = 60.0
MAX_LIFETIME_S: Final = 3600.0
#: Renewed this long before the end, or at three quarters of a short life.
RENEW_BEFORE_S: Final = 30.0
#: A token that is refused at this age is refused for what it is: another one would not do better.
YOUNG_S: Final = 10.0
MAX_TOKENS: Final = 4096
MAX_TOKEN_CHARACTERS: Final = 16 * 1024
_OK: Final = 200
_LOGIN_REFUSED: Final = frozenset({401, 403})

_SCHEME_OR_PARAMETER = re.compile(
    r"""(?P<name>[A-Za-z0-9_-]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s,"]+))"""
    r"""|(?P<scheme>[A-Za-z0-9_-]+)(?=\s|,|$)"""
)


@dataclass(frozen=True, slots=True)
class Credential:
    """A login for one registry. Its text forms hide the password."""

    user: str = field(repr=False)
    password: str = field(repr=False)

    @property
    def header(self) -> str:
        """The value of an Authorization header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


class Challenge(NamedTuple):
    """What a registry wants: `realm` None is Basic; `scope` None is the pull scope of the repository in question."""

    realm: str | None
    service: str
    scope: str | None

    @classmethod
    def of_header(cls, header: str, repository: str) -> Challenge | None:
        """Reads `WWW-Authenticate`, Bearer before Basic; None when it has neither."""
        schemes: dict[str, dict[str, str]] = {}
        parameters: dict[str, str] = {}
        for found in _SCHEME_OR_PARAMETER.finditer(header):
            if found["scheme"]:
                parameters = schemes.setdefault(found["scheme"].lower(), {})
            else:
                value = found["bare"] if found["quoted"] is None else re.sub(r"\\(.)", r"\1", found["quoted"])
                parameters.setdefault(found["name"].lower(), value)
        bearer = schemes.get("bearer", {})
        if "realm" in bearer:
            scope = bearer.get("scope") or None
            own = scope == pull_scope(repository)
            return cls(bearer["realm"], bearer.get("service", ""), None if own else scope)
        return cls(None, "", None) if "basic" in schemes else None


class _Key(NamedTuple):
    realm: str
    service: str
    scope: str
    credential: Credential | None


@dataclass(slots=True)
class _Token:
    header: str
    fetched_at: float
    renew_at: float


class _Slot:
    """Place of one token; whoever holds the lock fetches it."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.token: _Token | None = None


def pull_scope(repository: str) -> str:
    """The scope for reading a repository, as Docker Hub and distribution spell it."""
    return f"repository:{repository}:pull"


class Tokens:
    """Authorization headers, fetched once per realm, service, scope and credential, however many threads need them.

    Args:
        credentials: Logins by the registry's host and port; Docker Hub's under the host that is asked for it.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        transport: Transport,
        credentials: Mapping[RegistryEndpoint, Credential],
        clock: Callable[[], float],
    ) -> None:
        self._transport = transport
        self._credentials = credentials
        self._clock = clock
        self._lock = Lock()
        self._slots: OrderedDict[_Key, _Slot] = OrderedDict()
        self._challenges: dict[RegistryEndpoint, Challenge] = {}

    def header(self, call: RegistryCall, repository: str) -> str | None:
        """What to send at once: a registry that wanted a token before wants one again. None: nothing so far."""
        challenge = self._challenges.get(call.registry)
        return None if challenge is None else self._answer(call, challenge, repository, refused=None)

    def after_401(
        self, call: RegistryCall, repository: str, answer: RegistryResponse, sent: str | None
    ) -> str | None:
        """What to send after a 401; None when nothing better than `sent` can be had."""
        challenge = Challenge.of_header(answer.headers.get("www-authenticate", ""), repository)
        if challenge is None:
            return None
        self._challenges[call.registry] = challenge
        header = self._answer(call, challenge, repository, refused=sent)
        return None if header == sent else header

    def _answer(
        self, call: RegistryCall, challenge: Challenge, repository: str, refused: str | None
    ) -> str | None:
        credential = self._credentials.get(call.registry)
        if challenge.realm is None:
            return credential.header if credential else None
        scope = challenge.scope or pull_scope(repository)
        return self._token(call, _Key(challenge.realm, challenge.service, scope, credential), refused)

    def _token(self, call: RegistryCall, key: _Key, refused: str | None) -> str:
        slot = self._slot(key)
        if not slot.lock.acquire(timeout=call.left_s):
            raise call.unavailable(call.registry, "has a token service that did not answer in time")
        try:
            if slot.token is None or self._is_over(slot.token, refused):
                slot.token = self._fetched(call, key)
            return slot.token.header
        finally:
            slot.lock.release()

    def _is_over(self, token: _Token, refused: str | None) -> bool:
        now = self._clock()
        return now >= token.renew_at or (token.header == refused and now - token.fetched_at > YOUNG_S)

    def _slot(self, key: _Key) -> _Slot:
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
            self._slots.move_to_end(key)
            if len(self._slots) > MAX_TOKENS:
                self._slots.popitem(last=False)
            return slot

    def _fetched(self, call: RegistryCall, key: _Key) -> _Token:
        query = urlencode(
            {name: value for name, value in (("service", key.service), ("scope", key.scope)) if value}
        )
        headers = {"Authorization": key.credential.header} if key.credential else {}
        answer = self._transport.send(call, "GET", _with_query(call, key.realm, query), headers)
        if answer.status in _LOGIN_REFUSED:
            raise RegistryDenied(
                f"{answer.endpoint.authority} refused "
                f"{'the login' if key.credential else 'a token without a login'} for {call.image}.",
                f"Check the login for {call.registry.authority}."
                if key.credential
                else "Make the image public.",
            )
        if answer.status != _OK:
            raise call.senseless(answer.endpoint, f"answered with {answer.status} instead of a token")
        token, lifetime_s = _read_token(answer.body)
        if token is None:
            raise call.senseless(answer.endpoint, "answered with something that is no token")
        now = self._clock()
        return _Token(f"Bearer {token}", now, now + lifetime_s - min(RENEW_BEFORE_S, lifetime_s / 4))


def _with_query(call: RegistryCall, realm: str, query: str) -> str:
    try:
        parts = urlsplit(realm)
    except ValueError:
        raise call.senseless(call.registry, "named a token service whose address is malformed") from None
    return urlunsplit(
        parts._replace(query="&".join(part for part in (parts.query, query) if part), fragment="")
    )


def _read_token(body: bytes) -> tuple[str | None, float]:
    """Token and lifetime in seconds; None unless it is fit for a header."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None, 0.0
    if not isinstance(document, dict):
        return None, 0.0
    token = document.get("token") or document.get("access_token")
    if not isinstance(token, str) or not re.fullmatch(rf"[!-~]{{1,{MAX_TOKEN_CHARACTERS}}}", token):
        return None, 0.0
    lifetime = document.get("expires_in")
    if isinstance(lifetime, int | float) and lifetime > 0:
        return token, min(float(lifetime), MAX_LIFETIME_S)
    return token, DEFAULT_LIFETIME_S
