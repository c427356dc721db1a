"""Looks at a file in a container that was never started, through the engine's archive API."""

from __future__ import annotations

import io
import stat
import tarfile
from contextlib import closing
from typing import TYPE_CHECKING, Final

from docker.errors import APIError
from docker.errors import NotFound as NoSuchObject

from galaxy.domain.base_images.contract import FileKind, SetupScript

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

#: Go's os.FileMode, as the archive API reports it.
_GO_DIR: Final = 1 << 31
_GO_SYMLINK: Final = 1 << 27
_MAX_LINKS: Final = 8
_FIRST_LINE_BYTES: Final = 256


def look_at_script(api: docker.APIClient, container: str, path: str) -> SetupScript:
    """What stands at a path; links are followed."""
    linked = False
    for _ in range(_MAX_LINKS):
        try:
            chunks, found = api.get_archive(container, path)
        except NoSuchObject:
            return SetupScript(kind=FileKind.DANGLING_LINK if linked else FileKind.MISSING)
        except APIError as error:
            if "too many links" in str(error):  # a circle
                return SetupScript(kind=FileKind.CIRCULAR_LINK)
            raise
        with closing(chunks):
            if not found["mode"] & (_GO_SYMLINK | _GO_DIR):
                return _script(found["mode"], chunks)
        if found["mode"] & _GO_DIR:
            return SetupScript(kind=FileKind.OTHER)
        path, linked = found["linkTarget"], True
    return SetupScript(kind=FileKind.CIRCULAR_LINK)


def _script(mode: int, chunks: Iterator[bytes]) -> SetupScript:
    """Reads the first line of the one file in an archive, and no more than that."""
    with tarfile.open(fileobj=_ChunkReader(chunks), mode="r|") as archive:
        member = archive.next()
        content = archive.extractfile(member) if member else None
        head = content.read(_FIRST_LINE_BYTES) if content else b""
    return SetupScript(
        kind=FileKind.FILE if content else FileKind.OTHER,
        executable=bool(mode & (stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)),
        first_line=head.split(b"\n", 1)[0].decode(errors="replace"),
    )


class _ChunkReader(io.RawIOBase):
    """Lets tarfile read from an iterator of chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._rest) < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            self._rest += chunk
        cut = len(self._rest) if size < 0 else size
        data, self._rest = self._rest[:cut], self._rest[cut:]
        return data
