"""What somebody asks for with a deploy, checked as a whole before anything is recorded."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

from galaxy.domain.deploys.app_name import AppName, parse_app_name
from galaxy.domain.deploys.app_settings import AppSettings, DeployRules
from galaxy.domain.deploys.problems import Problems, not_a_string, refused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from galaxy.domain.deploys.problem import Problem

MAX_URL_LENGTH: Final = 8 * 1024
MAX_NOTE_LENGTH: Final = 200
#: Who deployed, where nobody said.
UNKNOWN: Final = "unknown"

_EXAMPLE_URL: Final = "https://bundles.example.com/www-42.tar.gz"
_HOST = re.compile(r"\w(?:[\w-]*\w)?(?:\.\w(?:[\w-]*\w)?)*\.?")
_MAX_HOST_LENGTH: Final = 253
_LOCALHOST: Final = (
    "The bundle's URL names localhost, which inside the build container is the container itself. Give a host name or"
    " an address at which build containers reach the server of bundles."
)
#: Addresses that mean the machine that asks: 127.0.0.0/8, also as `127.1`, and 0.0.0.0, also as `0`.
_OWN_IPV4 = re.compile(r"127(?:\.[0-9]{1,10}){0,3}|0(?:\.0){0,3}")


@dataclass(frozen=True, slots=True)
class DeployRequest:
    """Deploy this bundle of this app with these settings.

    Attributes:
        app: The app's name.
        settings: Its settings, with the base image and the environment.
        bundle_url: Where the bundle is; one line, http or https. May hold credentials.
        deployed_by: Who asks for it.
        idempotency_key: Names this request, so that sending it again makes no second version.
    """

    app: AppName
    settings: AppSettings
    bundle_url: str = field(repr=False)
    deployed_by: str = UNKNOWN
    idempotency_key: str | None = None

    @classmethod
    def parse(  # noqa: PLR0913 - these are the arguments of a deploy, by name
        cls,
        *,
        app: object,
        settings: object,
        bundle_url: object,
        deployed_by: object = None,
        idempotency_key: object = None,
        rules: DeployRules,
        mistakes: Iterable[Problem] = (),
    ) -> DeployRequest:
        """Check all arguments of a deploy.

        Args:
            app: A hostname.
            settings: JSON text, UTF-8 bytes, or a decoded JSON object.
            bundle_url: An http or https URL.
            deployed_by: None for unknown.
            idempotency_key: None for a request that is never the same as another.
            rules: The operator's.
            mistakes: What the caller has found wrong already.

        Raises:
            InvalidInput: Tells every mistake of every argument, one a line.
        """
        problems = Problems(mistakes)
        with problems.gathered():
            name = parse_app_name(app)
        with problems.gathered():
            app_settings = AppSettings.parse(settings, rules)
        with problems.gathered():
            url = parse_bundle_url(bundle_url)
        with problems.gathered():
            who = parse_who(deployed_by, path="deployed_by")
        with problems.gathered():
            key = _parse_note(idempotency_key, path="idempotency_key", example="release-2024-05-17")
        problems.refuse()
        return cls(name, app_settings, url, who, key)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is accepted and yet may be a mistake, as sentences. Holds nothing of the bundle URL but `localhost`."""
        return (*_bundle_warnings(self.bundle_url), *self.settings.warnings)

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, of what is asked for: app, settings and bundle.

        How the settings are written down (blanks, order of keys) does not count, nor does who asks.
        """
        content = [self.app, self.settings.content, self.bundle_url]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def parse_bundle_url(value: object) -> str:
    """An http or https URL with a host, on one line. Userinfo, queries and fragments are left as they are.

    Raises:
        InvalidInput: With path `bundle_url`; nothing of the URL is repeated.
    """
    if not isinstance(value, str):
        raise refused("bundle_url", not_a_string(value), _EXAMPLE_URL)
    what = _characters_mistake(value) or _url_mistake(value)
    if what is not None:
        raise refused("bundle_url", what, _EXAMPLE_URL)
    return value


def _characters_mistake(url: str) -> str | None:
    if not url:
        return "is empty"
    if len(url) > MAX_URL_LENGTH:
        return f"has {len(url)} characters; {MAX_URL_LENGTH} are the most"
    # setup.sh gets it as one line, and a reader of lines may take a backslash for an escape
    if not url.isprintable() or "\\" in url or any(character.isspace() for character in url):
        return "has white space, a backslash, or a character that can't be printed; percent-encode them"
    return None


def _url_mistake(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is not a valid URL: its host or port can't be read"
    if parts.scheme not in {"http", "https"} or not url[len(parts.scheme) :].startswith("://"):
        return "must begin with http:// or https://"
    if port == 0 or not _has_host(parts):
        return "has no valid host and port after http:// or https://"
    return None


def _has_host(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    if "[" not in parts.netloc:
        return len(host) <= _MAX_HOST_LENGTH and _HOST.fullmatch(host) is not None
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _bundle_warnings(url: str) -> tuple[str, ...]:
    return (_LOCALHOST,) if _names_own_machine(urlsplit(url).hostname or "") else ()


def _names_own_machine(host: str) -> bool:
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost") or _OWN_IPV4.fullmatch(name):
        return True
    try:
        address = ipaddress.IPv6Address(name)
    except ValueError:
        return False
    its = address.ipv4_mapped or address
    return its.is_loopback or its.is_unspecified


def parse_who(value: object, *, path: str) -> str:
    """Who asks for something, on one line; `UNKNOWN` for None.

    Raises:
        InvalidInput: With the path.
    """
    return _parse_note(value, path=path, example="jane@example.com") or UNKNOWN


def _parse_note(value: object, *, path: str, example: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise refused(path, not_a_string(value), example)
    if not value.strip():
        raise refused(path, "is empty; leave it out if there is none", example)
    if len(value) > MAX_NOTE_LENGTH:
        raise refused(path, f"has {len(value)} characters; {MAX_NOTE_LENGTH} are the most", example)
    if not value.isprintable():
        raise refused(path, "has a character that can't be printed, such as a line end", example)
    return value
