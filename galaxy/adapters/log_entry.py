"""How a block of log lines is spelled in an entry of a Redis stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from galaxy.domain.log import LogBlock, Source, Stream

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Names and values that XADD is given for each entry.
ARGUMENTS_PER_ENTRY: Final = 16

#: An entry takes at most this in Redis besides its text; 60 were measured for small entries, 170 for those of 32 KiB.
ENTRY_OVERHEAD_BYTES: Final = 256


def to_arguments(block: LogBlock) -> list[str | bytes | int]:
    """Field names and values, always the same names in the same order, so that Redis keeps them once."""
    return [
        "at", block.at_ms,
        "source", block.source.value,
        "stream", block.stream.value,
        "version", "" if block.version is None else block.version,
        "attempt", "" if block.attempt is None else block.attempt,
        "error", int(block.error),
        "continued", int(block.continued),
        "text", block.text.encode(errors="backslashreplace"),
    ]  # fmt: skip


def from_fields(fields: Mapping[str | bytes, str | bytes]) -> LogBlock:
    """The block of an entry, whether the client decodes responses or not."""
    known = {_text(name): _text(value) for name, value in fields.items()}
    return LogBlock(
        text=known["text"],
        at_ms=int(known["at"]),
        source=Source(known["source"]),
        stream=Stream(known["stream"]),
        version=int(known["version"]) if known["version"] else None,
        attempt=int(known["attempt"]) if known["attempt"] else None,
        error=known["error"] == "1",
        continued=known["continued"] == "1",
    )


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
