"""Lists the forms in which programs print a value, so that a secret is found in all of them."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from html import escape
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Shorter values are left alone: replacing every `1` or `no` would make a log unreadable and hide nothing.
MIN_SECRET_LENGTH: Final = 4

#: A part of a URL counts as a secret of its own from this length on: a token, hardly a word of a path.
_TOKEN_LENGTH: Final = 20
_QUERY_VALUE_LENGTH: Final = 8

#: Shorter values are not looked for in base64: what is left of them there is like many a word.
_BASE64_LENGTH: Final = 8

_LINE_END: Final = re.compile(r"[\r\n]+")

_URL_SAFE: Final = str.maketrans("+/", "-_")

#: What JavaScript's encodeURIComponent and encodeURI leave as it is, besides what Python always does.
_SAFE_IN_JAVASCRIPT: Final = ("!'()*", ";,/?:@&=+$!'()*#")
_PERCENT: Final = re.compile(r"%[0-9A-F]{2}")

#: What libraries escape in JSON, so that it may stand in a web page: those of Go, of Python and of Java.
_JSON_IN_HTML: Final = tuple(
    str.maketrans({char: rf"\u{ord(char):04x}" for char in chars}) for chars in ("<>&", "<>&'", "<>&'=")
)
_JSON_ESCAPE: Final = re.compile(r"\\u[0-9a-f]{4}")

#: How libraries spell both quotes in HTML and XML.
_QUOTES_IN_MARKUP: Final = (
    ("&quot;", "&#x27;"),
    ("&quot;", "&#39;"),
    ("&#34;", "&#39;"),
    ("&quot;", "&apos;"),
)

#: As bash spells them in `$'...'`.
_IN_BASH: Final = {
    "\a": r"\a", "\b": r"\b", "\x1b": r"\E", "\f": r"\f", "\t": r"\t", "\v": r"\v", "\\": r"\\", "'": r"\'",
}  # fmt: skip
_SINGLE_QUOTES: Final = (re.compile("'"), re.compile("'+"))
_FOR_DOUBLE_QUOTES: Final = re.compile(r'(["$`\\])')
_FOR_NO_QUOTES: Final = re.compile(r"""([ '"\\|&;()<>!{}*\[?\]^$`,]|(?<=[:=])~)""")


def spellings(secret: str, *, whole: bool = False) -> Iterator[str]:
    """All forms that are looked for. Each has at least `MIN_SECRET_LENGTH` characters and no line end.

    The value and each of its lines are listed as they are, and as URLs, JSON, HTML, XML, shells, Python's bytes and
    base64 spell them, base64 also amid other text. A URL is listed in its decoded form too. Unless `whole` is set,
    these parts of a URL are listed: the URL without its scheme or login, its login and password, its query and long
    values in it, and long parts of its path.
    """
    for value in {secret.strip(), *(line.strip() for line in _LINE_END.split(secret))}:
        if len(value) < MIN_SECRET_LENGTH:
            continue
        forms = [*_forms(value)]
        if "://" in value:
            forms += [unquote(value), *(() if whole else _parts_of_url(value))]
        for form in forms:
            yield from (line for line in _LINE_END.split(form) if len(line) >= MIN_SECRET_LENGTH)


def _forms(value: str) -> Iterator[str]:
    if len(value) < MIN_SECRET_LENGTH:
        return
    yield value
    yield from _in_urls(value)
    yield from _in_json(value)
    yield from _in_markup(value)
    yield from _in_shells(value)
    yield repr(value.encode(errors="replace"))[2:-1]
    yield from _in_base64(value.encode(errors="replace"))


def _in_urls(value: str) -> Iterator[str]:
    forms = {quote(value, safe=safe) for safe in ("", "/", *_SAFE_IN_JAVASCRIPT)}
    forms |= {quote_plus(value), quote_plus(value, safe="*").replace("~", "%7E")}
    for form in forms:
        yield form
        yield _PERCENT.sub(lambda found: found[0].lower(), form)


def _in_json(value: str) -> Iterator[str]:
    for form in (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
        yield form
        yield form.replace("/", r"\/")
        yield from (form.translate(table) for table in _JSON_IN_HTML)
        yield _JSON_ESCAPE.sub(lambda found: rf"\u{found[0][2:].upper()}", form)


def _in_markup(value: str) -> Iterator[str]:
    yield value.replace("&", "&amp;")
    without_quotes = escape(value, quote=False)
    yield without_quotes
    for double, single in _QUOTES_IN_MARKUP:
        yield without_quotes.replace('"', double).replace("'", single)


def _in_shells(value: str) -> Iterator[str]:
    """The value as `set -x`, `export -p` and `printf %q` of bash, dash and busybox spell it, in any locale."""
    yield value.replace("'", "'\\''")
    for quotes in _SINGLE_QUOTES:
        form = quotes.sub(lambda found: f"'\"{found[0]}\"'", value)
        # at both ends, nothing of the value stands between its own quotes and those around it
        yield form[value.startswith("'") : len(form) - value.endswith("'")]
    yield _FOR_DOUBLE_QUOTES.sub(r"\\\1", value)
    yield _FOR_NO_QUOTES.sub(r"\\\1", value)
    for only_ascii in (False, True):
        yield "".join(_in_bash(char, only_ascii=only_ascii) for char in value)


def _in_bash(char: str, *, only_ascii: bool) -> str:
    if known := _IN_BASH.get(char):
        return known
    if char.isprintable() if char.isascii() else not only_ascii:
        return char
    return "".join(rf"\{byte:03o}" for byte in char.encode(errors="replace"))


def _in_base64(value: bytes) -> Iterator[str]:
    """The value in base64 at each of the three offsets, without the digits that depend on neighbouring bytes."""
    if len(value) < _BASE64_LENGTH:
        return
    for before in range(3):
        encoded = b64encode(b"\0" * before + value).decode().rstrip("=")
        depends_on_next = bool((before + len(value)) % 3)
        own = encoded[(before * 8 + 5) // 6 : len(encoded) - depends_on_next]
        yield own
        yield own.translate(_URL_SAFE)


def _parts_of_url(value: str) -> Iterator[str]:
    """The parts of a URL that programs print by themselves."""
    try:
        url = urlsplit(value)
    except ValueError:
        return
    yield value.partition("://")[2]
    login, at, _ = url.netloc.rpartition("@")
    if at:
        yield from (login, unquote(login), b64encode(unquote(login).encode()).decode())
        yield value.replace(f"{login}@", "", 1)
        yield value.partition("://")[2].replace(f"{login}@", "", 1)
        password = login.split(":", 1)[-1]
        yield password
        yield from _forms(unquote(password))
    if url.query:
        yield from (url.query, unquote(url.query), url.query.replace("&", "&amp;"))
    for _, found in parse_qsl(url.query):
        if len(found) >= _QUERY_VALUE_LENGTH:
            yield from _forms(found)
    for segment in url.path.split("/"):
        if len(segment) >= _TOKEN_LENGTH:
            yield segment
            yield from _forms(unquote(segment))
