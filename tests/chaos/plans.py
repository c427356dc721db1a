"""What the bundles of a run do: lines of shell that a build container fetches and runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

#: Exit code of a script that fails on purpose.
ON_PURPOSE: Final = 7

#: One error line after so many lines.
_OUT_PER_ERROR: Final = 10


@dataclass(frozen=True)
class Plan:
    """How one version's setup script behaves, each time that it is run.

    Attributes:
        kind: For the report.
        lines: On stdout; half of them before the pause.
        pause_s: It prints nothing for so long.
        fails: So many of its first runs end with exit code `ON_PURPOSE`.
    """

    kind: str
    lines: int
    pause_s: float
    fails: int = 0

    @property
    def error_lines(self) -> int:
        """On stderr."""
        return self.lines // _OUT_PER_ERROR

    @property
    def never_works(self) -> bool:
        """No retry helps."""
        return self.fails >= 4

    def script(self, run: int, earlier: int, *, secrets: tuple[str, ...], end_url: str) -> str:
        """What bash runs: every line that it prints names the run and its own number.

        Args:
            run: Number of this run.
            earlier: How many runs of this version there were before.
            secrets: Printed too; the log may not show them.
            end_url: Asked for at the end.
        """
        half = self.lines // 2
        printed = "\n".join(f"echo 'The secret is {secret}.'" for secret in secrets)
        code = ON_PURPOSE if earlier < self.fails else 0
        return f"""
set +e
echo "The bundle is at $1."
{printed}
say() {{
  i=$1
  while [ $i -lt $2 ]; do
    i=$((i + 1))
    echo "run {run} stdout $i/{self.lines} {"x" * 40}"
    if [ $((i % {_OUT_PER_ERROR})) = 0 ]; then
      echo "run {run} stderr $((i / {_OUT_PER_ERROR}))/{self.error_lines}" >&2
    fi
  done
}}
say 0 {half}
echo {run} >/app/run
echo {run} >/data/run
sleep {self.pause_s}
say {half} {self.lines}
wget -q -O - '{end_url}'
exit {code}
"""


def choose(rng: Random) -> Plan:
    """A plan at random; most are good, and long enough to be hit."""
    kind = rng.choices(["quick", "slow", "loud", "flaky", "failing"], [3, 6, 1, 2, 1])[0]
    match kind:
        case "quick":
            return Plan(kind, rng.randrange(0, 200), 0)
        case "slow":
            return Plan(kind, rng.randrange(10, 100), round(rng.uniform(1, 6), 1))
        case "loud":
            return Plan(kind, rng.randrange(15_000, 30_000), 0.5)
        case "flaky":
            return Plan(kind, rng.randrange(10, 50), round(rng.uniform(0, 1), 1), fails=1)
        case _:
            return Plan(kind, rng.randrange(10, 50), 0, fails=4)
