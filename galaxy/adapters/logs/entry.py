"""The format of log entries: a block of lines as the fields of an entry in a Redis stream, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from zstandard import FRAME_HEADER, ZstdCompressor, ZstdDecompressor

from galaxy.domain.log import LogBlock, Source, Stream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Names and values that XADD is given for each entry.
ARGUMENTS_PER_ENTRY: Final = 16

#: An entry takes at most this in Redis besides its text; 60 were measured for small entries, 170 for those of 32 KiB.
ENTRY_OVERHEAD_BYTES: Final = 256

#: Shorter texts are kept as they are: most are single lines, which stay readable in redis-cli.
_COMPRESSED_FROM_BYTES: Final = 1024
#: Higher levels save little more of build output, and cost the worker's time.
_COMPRESSION_LEVEL: Final = 1


def to_arguments(blocks: Sequence[LogBlock]) -> list[str | bytes | int]:
    """Field names and values of all entries, one entry after the other.

    Each entry has the same names in the same order, so that Redis keeps them once. Long texts are compressed, to about
    a quarter of their size for the output of builds.
    """
    compressor = ZstdCompressor(
        level=_COMPRESSION_LEVEL
    )  # for one batch: it may not be shared between threads
    return [
        argument
        for block in blocks
        for argument in (
            "at", block.at_ms,
            "source", block.source.value,
            "stream", block.stream.value,
            "version", "" if block.version is None else block.version,
            "attempt", "" if block.attempt is None else block.attempt,
            "error", int(block.error),
            "continued", int(block.continued),
            "text", _compressed(block.text.encode(errors="backslashreplace"), compressor),
        )
    ]  # fmt: skip


def from_fields(fields: Mapping[bytes, bytes]) -> LogBlock:
    """Reads a block from the fields of an entry."""
    version, attempt = fields[b"version"], fields[b"attempt"]
    return LogBlock(
        text=_expanded(fields[b"text"]).decode(),
        at_ms=int(fields[b"at"]),
        source=Source(fields[b"source"].decode()),
        stream=Stream(fields[b"stream"].decode()),
        version=int(version) if version else None,
        attempt=int(attempt) if attempt else None,
        error=fields[b"error"] == b"1",
        continued=fields[b"continued"] == b"1",
    )


def _compressed(text: bytes, compressor: ZstdCompressor) -> bytes:
    return text if len(text) < _COMPRESSED_FROM_BYTES else compressor.compress(text)


def _expanded(text: bytes) -> bytes:
    # no UTF-8 begins as a compressed text does, so the text itself tells which of both it is
    return ZstdDecompressor().decompress(text) if text.startswith(FRAME_HEADER) else text
