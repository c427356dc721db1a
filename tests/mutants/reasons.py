"""Why some changes need not be noticed: the list in reasons.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.mutants.mutation import Mutation

FILE: Final = Path(__file__).parent / "reasons.toml"


@dataclass(frozen=True)
class Reason:
    """A change that no test can or has to notice.

    Attributes:
        file: From the project's root.
        line: The text of the line, without the space around it.
        change: As the runner prints it: `old -> new`.
        reason: Why.
    """

    file: str
    line: str
    change: str
    reason: str

    def explains(self, mutation: Mutation, source: bytes) -> bool:
        return (self.file, self.line, self.change) == (
            mutation.path,
            mutation.line_text(source),
            mutation.name(source),
        )


def read() -> list[Reason]:
    """The list. A reason without words is refused."""
    reasons = [Reason(**each) for each in tomllib.loads(FILE.read_text(encoding="utf-8")).get("change", [])]
    assert all(each.reason.strip() for each in reasons), "each change in reasons.toml needs its reason"
    return reasons
