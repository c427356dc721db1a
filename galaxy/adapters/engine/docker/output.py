"""Reads what a container printed from the engine's json-file logs."""

from __future__ import annotations

import calendar
import time
from typing import TYPE_CHECKING, Any, Final

from galaxy.domain.containers import OutputChunk

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

#: Before each piece: the stream, three zeros, and the length (the engine's API, "Stream format" of attach).
_HEADER: Final = 8
_STDERR: Final = 2
_READ_BYTES: Final = 64 * 1024


def read_output(api: docker.APIClient, container: str, *, since: str, follow: bool) -> Iterator[OutputChunk]:
    """See `Runtime.logs`. The engine's stream is closed when the iterator is."""
    parameters = {
        "stdout": 1,
        "stderr": 1,
        "timestamps": 1,
        "follow": int(follow),
        # as text: a float would lose the nanoseconds, and the SDK's own method takes no text
        "since": since or "0",
    }
    url = api._url("/containers/{0}/logs", container)  # type: ignore[attr-defined] # noqa: SLF001 - see above
    response: Any = api._get(url, params=parameters, stream=True, timeout=None)  # type: ignore[attr-defined] # noqa: SLF001 - as above
    try:
        api._raise_for_status(response)  # type: ignore[attr-defined] # noqa: SLF001 - as above
        yield from _chunks(response.raw)
    finally:
        response.close()


def _chunks(raw: Any) -> Iterator[OutputChunk]:  # noqa: ANN401 - urllib3's response, which the SDK does not type
    held = b""
    while data := raw.read1(_READ_BYTES) if hasattr(raw, "read1") else raw.read(1):
        held += data
        while len(held) >= _HEADER:
            end = _HEADER + int.from_bytes(held[4:_HEADER])
            if len(held) < end:
                break
            stamp, _, line = held[_HEADER:end].partition(b" ")
            yield OutputChunk(seconds(stamp.decode()), held[0] == _STDERR, line)
            held = held[end:]


def seconds(stamp: str) -> str:
    """`2026-01-31T12:00:00.123456789Z` as the engine takes it for `since`: `1769860800.123456789`."""
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    at = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
    return f"{at}.{fraction or '0':0<9}"
