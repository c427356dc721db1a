"""The engine's attach stream: one socket with stdin one way, stdout and stderr in frames the other way.

Format: https://docs.docker.com/reference/api/engine/version/v1.41/#operation/ContainerAttach
"""

from __future__ import annotations

import socket
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from struct import Struct
from typing import TYPE_CHECKING, Final, Protocol

from galaxy.domain.log import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HEADER: Final = Struct(">BxxxL")
_STREAMS: Final = {1: Stream.STDOUT, 2: Stream.STDERR}
_READ_BYTES: Final = 256 * 1024
#: How often `check_cancelled` is asked while nothing is printed.
_ASK_EVERY_S: Final = 0.2


class SupportsClose(Protocol):
    """Anything that is closed by `close`."""

    def close(self) -> object:
        """Closes it."""
        ...


class FrameDecoder:
    """Takes frames apart, wherever the reads cut them. Holds at most one header and what is left of a frame."""

    def __init__(self) -> None:
        self._header = b""
        self._stream = Stream.STDOUT
        self._left = 0

    def feed(self, data: bytes) -> Iterator[tuple[Stream, bytes]]:
        """Yields the pieces of output in `data`, each with its stream."""
        at = 0
        while at < len(data):
            if self._left:
                piece = data[at : at + self._left]
                self._left -= len(piece)
                at += len(piece)
                yield self._stream, piece
                continue
            header = self._header + data[at : at + _HEADER.size - len(self._header)]
            at += len(header) - len(self._header)
            self._header = header
            if len(header) == _HEADER.size:
                number, self._left = _HEADER.unpack(header)
                self._stream, self._header = _STREAMS.get(number, Stream.STDOUT), b""


class AttachStream:
    """An open attach stream of a container that was not started yet.

    Args:
        connection: Where the frames come from.
        owner: What holds the connection open besides: the HTTP response that it was upgraded from.
    """

    def __init__(self, connection: socket.socket, owner: SupportsClose) -> None:
        self._socket = connection
        self._owner = owner
        self._socket.settimeout(_ASK_EVERY_S)

    def send_line(self, line: str) -> None:
        """Sends one line. Stdin stays open: shutting down one direction would take TLS from the other too."""
        self._socket.sendall(line.encode() + b"\n")

    def read(self, on_output: Callable[[Stream, bytes], None], check_cancelled: Callable[[], None]) -> None:
        """Passes output on until the engine closes the stream, which says nothing about success."""
        decoder = FrameDecoder()
        while True:
            check_cancelled()
            try:
                data = self._socket.recv(_READ_BYTES)
            except TimeoutError:
                continue
            if not data:
                return
            # a frame is often one line: whoever takes the output is called less often
            for stream, frames in groupby(decoder.feed(data), key=itemgetter(0)):
                on_output(stream, b"".join(piece for _, piece in frames))

    def close(self) -> None:
        """Ends the connection. An unread stream would block the engine's kill and remove."""
        with suppress(OSError):  # the engine was quicker
            self._socket.shutdown(socket.SHUT_RDWR)
        self._owner.close()
        self._socket.close()
