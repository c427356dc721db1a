"""A process reads its settings once, in one place."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

from galaxy.settings import current

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_settings_are_read_once_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    current.cache_clear()
    monkeypatch.setenv("GALAXY_LEASE_S", "7")
    try:
        assert current().lease_s == 7
        monkeypatch.setenv("GALAXY_LEASE_S", "8")
        assert current().lease_s == 7
    finally:
        current.cache_clear()


def test_nobody_else_makes_settings() -> None:
    sources = [ROOT / "celeryconfig.py", ROOT / "flowerconfig.py"]
    for package in ("galaxy", "tasks", "workers", "beat"):
        sources += (ROOT / package).rglob("*.py")
    makers = {
        str(path.relative_to(ROOT))
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "Settings"
    }
    assert makers == {"galaxy/settings.py"}
