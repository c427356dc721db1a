from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from bench import __main__ as program
from bench.measure import CannotRun, Pair, Result, in_pairs


def result(*pairs: Pair) -> Result:
    return Result("example", goal=1.5, pairs=pairs)


def test_the_ratio_is_the_median_of_the_pairs_ratios() -> None:
    measured = result(Pair(1.0, 1.0), Pair(9.0, 1.0), Pair(4.0, 2.0))

    assert measured.ratio == 2.0
    assert "ratio 2.000 (min 1.000, max 9.000, 3 pairs)" in measured.line()


@pytest.mark.parametrize(
    ("ours_s", "said"), [(1.5, "goal at most 1.5: pass"), (1.6, "goal at most 1.5: MISS")]
)
def test_a_line_says_whether_the_goal_is_reached(ours_s: float, said: str) -> None:
    assert result(Pair(ours_s, 1.0)).line().endswith(said)


def test_pairs_take_turns_in_going_first_and_the_first_pair_does_not_count() -> None:
    turns: list[str] = []

    def ours() -> float:
        turns.append("ours")
        return float(len(turns))

    def floor() -> float:
        turns.append("floor")
        return 1.0

    pairs = in_pairs(ours, floor, pairs=2)

    assert turns == ["ours", "floor", "ours", "floor", "floor", "ours"]
    assert pairs == (Pair(3.0, 1.0), Pair(6.0, 1.0))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str, outcome: Result | Exception) -> tuple[int, str]:
    def benchmark() -> Result:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(program, "BENCHMARKS", {"cli_help": benchmark})
    ended = CliRunner().invoke(program.main, arguments)
    return ended.exit_code, ended.stdout


def test_a_missed_goal_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = run(monkeypatch, outcome=result(Pair(3.0, 1.0)))

    assert code == 0
    assert "MISS" in said


def test_a_benchmark_that_could_not_run_is_an_error_that_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = run(monkeypatch, outcome=CannotRun("There is no engine."))

    assert code == 1
    assert "cli_help: could not run. There is no engine." in said


def test_json_has_every_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    _, said = run(monkeypatch, "--json", outcome=result(Pair(3.0, 2.0)))

    assert json.loads(said)["pairs"] == [{"ours_s": 3.0, "floor_s": 2.0}]
