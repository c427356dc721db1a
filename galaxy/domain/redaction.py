"""Secrets in what a build prints are replaced before anything is kept."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from galaxy.domain.needles import Needles
from galaxy.domain.utf8 import character_start

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Shorter values are left alone: replacing every `1` or `no` would make a log unreadable and hide nothing.
MIN_SECRET_LENGTH: Final = 4

MASK: Final = b"[redacted]"

#: A part of a URL counts as a secret of its own from this length on: a token, hardly a word of a path.
_TOKEN_LENGTH: Final = 20
_QUERY_VALUE_LENGTH: Final = 8

#: Shorter values are not looked for in base64: what is left of them there is like many a word.
_BASE64_LENGTH: Final = 8

_LINE_END: Final = re.compile(r"[\r\n]+")

_URL_SAFE: Final = str.maketrans("+/", "-_")

#: UTF-8 characters have at most this many bytes.
_MAX_CHARACTER_BYTES: Final = 4


class OpenLine(NamedTuple):
    """The beginning of a line whose end is not known yet.

    Attributes:
        passed: What may be shown now, redacted.
        rest: What has to wait, because a secret may begin in it.
        covered: How many bytes at the start of `rest` belong to a secret that `passed` has already masked.
    """

    passed: bytes
    rest: bytes
    covered: int


class Redactor:
    """Replaces secrets and the forms in which programs print them by `[redacted]`.

    Works on whole lines of UTF-8 bytes. Overlapping secrets are masked together. Values shorter than
    `MIN_SECRET_LENGTH` characters are not redacted.

    Args:
        secrets: The bundle URL and the values of the settings' `env`. Each line of a value with several
            lines counts as a secret. Looked for is a value as it is, percent-encoded, in JSON, XML and shell
            quotes, and in base64, alone or amid other text; of a URL also its decoded form, the one without its
            scheme, its login and password, its query and long values in it, and long parts of its path.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form.encode(errors="replace") for secret in secrets for form in _forms(secret)}
        self._needles = Needles(forms)
        self.longest = self._needles.longest

    def redact(self, data: bytes, covered: int = 0, *, cut_off: bool = False) -> bytes:
        """Masks all secrets in whole lines.

        Args:
            data: Lines; the first one may be the end of an open line.
            covered: Of that open line, see `OpenLine`.
            cut_off: The last line may end inside a secret of which the rest never comes: what there is of it is masked.
        """
        begun = self._needles.begun_at(data, MIN_SECRET_LENGTH) if cut_off else len(data)
        spans = self._spans(data, (0, covered), (begun, len(data)))
        return _masked(data, spans, len(data), covered) if spans else data

    def redact_text(self, text: str) -> str:
        """Masks all secrets in a sentence."""
        return self.redact(text.encode(errors="backslashreplace")).decode()

    def redact_open(self, data: bytes, covered: int = 0) -> OpenLine:
        """Masks what is certain in the beginning of a line; a secret or character cut off there waits."""
        cut = character_start(data, len(data) - max(self.longest, _MAX_CHARACTER_BYTES) + 1)
        if cut <= 0:
            return OpenLine(b"", data, covered)
        spans = self._spans(data, (0, covered))
        return OpenLine(_masked(data, spans, cut, covered), data[cut:], _reach(spans, cut))

    def reach(self, before: bytes, after: bytes) -> int:
        """How many bytes at the beginning of `after` belong to secrets that begin in `before`."""
        return _reach(self._spans(before + after[: self.longest]), len(before))

    def _spans(self, data: bytes, *known: tuple[int, int]) -> list[tuple[int, int]]:
        """Where secrets are, the known ones among them: [start, end), in order, without overlaps."""
        found = [*self._needles.spans(data), *(span for span in known if span[0] < span[1])]
        merged: list[tuple[int, int]] = []
        for start, end in sorted(found):
            if merged and start < merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return merged


def _reach(spans: list[tuple[int, int]], cut: int) -> int:
    """How far the span that crosses a place goes on after it."""
    return next((end - cut for start, end in spans if start < cut < end), 0)


def _masked(data: bytes, spans: list[tuple[int, int]], cut: int, covered: int) -> bytes:
    """`data[:cut]` with a mask for each span that begins there; the covered one's was passed on before."""
    parts = []
    at = 0
    for start, end in spans:
        if start >= cut:
            break
        parts.append(data[at:start])
        if start or not covered:
            parts.append(MASK)
        at = end
    parts.append(data[at:cut])
    return b"".join(parts)


def _forms(secret: str) -> Iterator[str]:
    """All spellings that are looked for; none is shorter than `MIN_SECRET_LENGTH` or holds a line end."""
    for value in {secret.strip(), *(line.strip() for line in _LINE_END.split(secret))}:
        if len(value) < MIN_SECRET_LENGTH:
            continue
        for form in (*_spellings(value), *_parts_of_url(value)):
            yield from (line for line in _LINE_END.split(form) if len(line) >= MIN_SECRET_LENGTH)


def _spellings(value: str) -> Iterator[str]:
    """A value as it is, and as URLs, JSON, XML and `set -x` spell it."""
    yield value
    yield quote(value, safe="")
    yield quote(value)
    yield quote_plus(value)
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield value.replace("&", "&amp;")
    yield value.replace("'", "'\\''")
    yield from _in_base64(value.encode(errors="replace"))


def _in_base64(value: bytes) -> Iterator[str]:
    """What base64 makes of a value wherever it stands in a text, less the digits that depend on its neighbours."""
    if len(value) < _BASE64_LENGTH:
        return
    for before in range(3):
        encoded = b64encode(b"\0" * before + value).decode().rstrip("=")
        depends_on_next = bool((before + len(value)) % 3)
        own = encoded[(before * 8 + 5) // 6 : len(encoded) - depends_on_next]
        yield own
        yield own.translate(_URL_SAFE)


def _parts_of_url(value: str) -> Iterator[str]:
    """Of a URL: its other spellings, and the parts that programs print by themselves."""
    if "://" not in value:
        return
    yield unquote(value)
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
        yield from (password, unquote(password))
    if url.query:
        yield from (url.query, unquote(url.query), url.query.replace("&", "&amp;"))
    for _, found in parse_qsl(url.query):
        if len(found) >= _QUERY_VALUE_LENGTH:
            yield from (found, quote(found, safe=""))
    for segment in url.path.split("/"):
        if len(segment) >= _TOKEN_LENGTH:
            yield from (segment, unquote(segment))
