"""How log lines look: on a terminal, as plain text, as NDJSON. Light to import, as all of the CLI."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from galaxy.domain.log import LogLine

#: What a build prints must not reach the operator's terminal as commands to it: control characters, and the
#: ones that reorder text or end lines in Unicode. Shown as `\x1b` and the like.
_UNSAFE: Final = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)

#: Colours say nothing, and spelled out they would make coloured output unreadable: the only ones to be dropped.
_COLOUR: Final = re.compile("\x1b\\[[0-9;:]*m")

_DIM, _RED, _RESET = "\x1b[2m", "\x1b[31m", "\x1b[0m"

#: Wide enough for `service:stderr`, the longest marker.
_MARKER_WIDTH: Final = 14


def renderer(out: TextIO, environ: Mapping[str, str], *, as_json: bool = False) -> Callable[[LogLine], str]:
    """The form that suits what the lines are written to: NDJSON if asked for, colour on terminals."""
    if as_json:
        return ndjson
    return coloured if wants_colour(out, environ) else plain


def wants_colour(out: TextIO, environ: Mapping[str, str]) -> bool:
    """A terminal that can show colours, whose user does not mind them (https://no-color.org)."""
    return out.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def plain(line: LogLine) -> str:
    """`TIME VERSION/ATTEMPT SOURCE TEXT`, harmless to any terminal."""
    return f"{_prefix(line)} {_shown(line)}"


def coloured(line: LogLine) -> str:
    """The line as `plain` writes it, with errors in red and everything but the text dimmed."""
    text = _shown(line)
    return f"{_DIM}{_prefix(line)}{_RESET} {_RED + text + _RESET if line.error else text}"


def ndjson(line: LogLine) -> str:
    r"""One JSON object with all fields; ASCII only, control characters as `\u001b`."""
    return json.dumps(
        {
            "at": iso_time(line.at_ms),
            "at_ms": line.at_ms,
            "source": line.source,
            "stream": line.stream,
            "version": line.version,
            "attempt": line.attempt,
            "error": line.error,
            "continued": line.continued,
            "text": line.text,
        }
    ).replace("\x7f", "\\u007f")


def visible(text: str) -> str:
    """The text without colours, and with everything else that could act on a terminal spelled out."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(_spelled, _COLOUR.sub("", text))


@lru_cache(maxsize=64)
def iso_time(at_ms: int) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    seconds, ms = divmod(at_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


def _prefix(line: LogLine) -> str:
    return _prefix_of(line.at_ms, line.source, line.stream, line.version, line.attempt)


@lru_cache(maxsize=64)  # the many lines of a block have the same
def _prefix_of(at_ms: int, source: str, stream: str, version: int | None, attempt: int | None) -> str:
    which = "-" if version is None else f"v{version}"
    which += "" if attempt is None else f"/{attempt}"
    marker = source if stream == "stdout" else f"{source}:{stream}"
    return f"{iso_time(at_ms)} {which:<5} {marker:<{_MARKER_WIDTH}}"


def _shown(line: LogLine) -> str:
    return visible(line.text) + ("…" if line.continued else "")


def _spelled(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"  # noqa: PLR2004 - fits two digits
