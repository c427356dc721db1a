"""Names of apps, and the image repository that belongs to each."""

from __future__ import annotations

import hashlib
import re
from typing import Final, NewType

from galaxy.domain.deploys.problems import not_a_string, refused

AppName = NewType("AppName", str)
"""A lower-case hostname, checked by `parse_app_name`."""

MAX_LENGTH: Final = 253
MAX_LABEL_LENGTH: Final = 63
EXAMPLE: Final = "www.example.com"

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_FOREIGN = re.compile(r"[^a-z0-9.-]")

#: Longest `apps/APP` that is used as it is. Docker allows 255 characters, the registry's host included.
_MAX_REPOSITORY_LENGTH: Final = 180
_KEPT_OF_LONG_NAMES: Final = 150


def parse_app_name(value: object) -> AppName:
    """A hostname by RFC 1123, lower-cased. One label is enough; a trailing dot and IP addresses are refused.

    A name that ends in a number is refused with the IP addresses: browsers read every such host as one
    (WHATWG URL, "ends in a number").

    Raises:
        InvalidInput: With path `app`. The name is not repeated: it may be a URL put into the wrong place.
    """
    if not isinstance(value, str):
        raise refused("app", not_a_string(value), EXAMPLE)
    # before lower(), which turns some letters beyond ASCII, such as the Kelvin sign, into ASCII
    if not value.isascii():
        raise refused(
            "app",
            "has characters beyond ASCII; write international names in punycode",
            "xn--bcher-kva.example",
        )
    name = value.lower()
    what = _mistake(name)
    if what is not None:
        raise refused("app", what, EXAMPLE)
    return AppName(name)


def _mistake(name: str) -> str | None:
    if not name:
        return "is empty"
    if "/" in name or ":" in name:
        return "must be a hostname alone, without scheme, port and path"
    foreign = _FOREIGN.search(name)
    if foreign:
        return f"has the character {foreign[0]!r}; a hostname has letters, digits, hyphens and dots only"
    if len(name) > MAX_LENGTH:
        return f"has {len(name)} characters; a hostname has {MAX_LENGTH} at most"
    if name.endswith("."):
        return "ends with a dot"
    return _label_mistake(name.split("."))


def _label_mistake(labels: list[str]) -> str | None:
    for label in labels:
        if not label:
            return "has an empty part between two dots or before the first one"
        if len(label) > MAX_LABEL_LENGTH:
            return f"has a part of {len(label)} characters between dots; {MAX_LABEL_LENGTH} is the most"
        if not _LABEL.fullmatch(label):
            return "has a part between dots that begins or ends with a hyphen"
    if _NUMBER.fullmatch(labels[-1]):
        return "ends in a number, as IP addresses do; it must be a hostname"
    return None


def image_repository(app: AppName) -> str:
    """Where the app's images are kept in the registry for app images: `apps/APP`.

    A hostname may be too long for that. Such a name is cut and gets a hash: `apps/CUT__HASH`, where the
    underscores, which no hostname has, keep it apart from every other app's.
    """
    repository = f"apps/{app}"
    if len(repository) <= _MAX_REPOSITORY_LENGTH:
        return repository
    digest = hashlib.sha256(app.encode()).hexdigest()[:16]
    return f"apps/{app[:_KEPT_OF_LONG_NAMES].rstrip('.-')}__{digest}"
