"""Lines of an app's log, and blocks of lines as they are written and kept."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Source(StrEnum):
    """Who wrote a line."""

    SERVICE = "service"
    """The pipeline, and what the build containers printed."""
    APP = "app"
    """The app's running containers."""


class Stream(StrEnum):
    """Which stream a line was printed on; the pipeline's own sentences are on stdout."""

    STDOUT = "stdout"
    STDERR = "stderr"


class LogBlock(BaseModel):
    """Consecutive lines that share everything but their text.

    Attributes:
        at_ms: When the lines were read, milliseconds since the epoch.
        version: The version they belong to; None for lines about the app as a whole.
        attempt: The attempt they belong to, from 1; None outside the build stage.
        error: The lines tell of something that went wrong.
        lines: Text without line ends; at least one.
    """

    model_config = ConfigDict(frozen=True)

    at_ms: int
    source: Source
    stream: Stream = Stream.STDOUT
    version: int | None = None
    attempt: int | None = None
    error: bool = False
    lines: tuple[str, ...]


class LogLine(BaseModel):
    """One line as it is read back. `cursor` is where reading goes on after the block that holds this line."""

    model_config = ConfigDict(frozen=True)

    at_ms: int
    source: Source
    stream: Stream
    version: int | None
    attempt: int | None
    error: bool
    text: str
