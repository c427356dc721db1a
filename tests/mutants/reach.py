"""Which tests can notice a change: those that run the changed line, the quickest first."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.mutants.mutation import Mutation

_INSERTED = re.compile(r"@\w+@")


class Reach:
    """What was observed of the unchanged project.

    Args:
        observed: Files that `trial.Observed` has written.
        root: Of the project.
    """

    def __init__(self, observed: Iterable[Path], root: Path) -> None:
        self._root = root
        self._seconds: dict[str, float] = {}
        self._lines: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        self._scripts: dict[str, set[str]] = defaultdict(set)
        #: Tests that failed while they were watched, which takes longer.
        self.failed: list[str] = []
        for path in observed:
            found = json.loads(path.read_text(encoding="utf-8"))
            self._seconds |= found["seconds"]
            self.failed += found["failed"]
            for file, lines in found["lines"].items():
                for line, tests in lines.items():
                    self._lines[file][int(line)].update(test for test in tests if test)
            for text, tests in found["scripts"].items():
                self._scripts[text].update(tests)

    @property
    def tests(self) -> int:
        return len(self._seconds)

    @property
    def seconds(self) -> float:
        """All tests together."""
        return sum(self._seconds.values())

    def of(self, mutation: Mutation, source: bytes) -> list[str]:
        """Tests for a change, in the order in which to run them."""
        if mutation.path.endswith(".lua"):
            return self._sorted(self._running(source.decode()))
        lines = self._lines[mutation.path]
        if mutation.reached_by is not None:
            first, last = mutation.reached_by
            return self._sorted({test for line in range(first, last + 1) for test in lines[line]})
        # it runs at import, and those depend on it that run anything of this module or of one that imports it
        near = {test for tests in lines.values() for test in tests}
        modules = (self._lines[path] for path in self._importers(mutation.path))
        far = {test for module in modules for tests in module.values() for test in tests}
        return [*self._sorted(near), *self._sorted(far - near)]

    def _importers(self, path: str) -> list[str]:
        name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        imports = re.compile(rf"^\s*(?:from|import) {re.escape(name)}\b", re.MULTILINE)
        return [each for each in self._lines if imports.search(self._read(each))]

    @cache  # noqa: B019 - there is one of these, as long as the process
    def _read(self, path: str) -> str:
        return (self._root / path).read_text(encoding="utf-8")

    def _running(self, source: str) -> set[str]:
        """Tests that gave Redis a script with this file in it."""
        pieces = [piece.strip() for piece in _INSERTED.split(source)]
        return {
            test
            for text, tests in self._scripts.items()
            if all(piece in text for piece in pieces)
            for test in tests
        }

    def _sorted(self, tests: Iterable[str]) -> list[str]:
        return sorted(tests, key=lambda test: (self._seconds.get(test, 0), test))
