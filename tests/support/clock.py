"""A clock for fakeredis that tests move."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

from fakeredis.commands_mixins import server_mixin

if TYPE_CHECKING:
    import pytest


class RedisClock:
    """What scripts read with TIME: it stands still until a test advances it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ms = 1_800_000_000_000
        monkeypatch.setattr(server_mixin, "time", SimpleNamespace(time=lambda: self.now_ms / 1000))

    def advance(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)
