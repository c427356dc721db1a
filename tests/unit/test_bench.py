from __future__ import annotations

import json
from collections import Counter

import pytest
import structlog
from click.testing import CliRunner

from bench import __main__ as program
from bench.log_ingest import LINE_BYTES, assert_all, line, number_of
from bench.measure import CannotRun, Latencies, Pair, Quantity, Result, Throughput, in_pairs, percentile
from bench.poll import requests_found
from bench.worker_memory import kib_in


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
    def benchmark(*, quick: bool) -> list[Result]:
        assert quick == ("--quick" in arguments)
        if isinstance(outcome, Exception):
            raise outcome
        return [outcome]

    monkeypatch.setattr(program, "BENCHMARKS", {"cli_help": benchmark})
    ended = CliRunner().invoke(program.main, arguments)
    structlog.reset_defaults()  # the program sends events to what CliRunner took for its stderr
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
    _, said = run(monkeypatch, "--json", "--quick", outcome=result(Pair(3.0, 2.0)))

    assert json.loads(said)["pairs"] == [{"ours_s": 3.0, "floor_s": 2.0}]


def test_a_throughput_is_the_floors_time_over_ours() -> None:
    slow = Throughput("example", 0.9, count=10, pairs=(Pair(20.0, 10.0), Pair(10.0, 10.0), Pair(12.5, 10.0)))

    assert slow.ratio == 0.8
    assert slow.line() == (
        "example: ours 48.0 a minute, floor 60.0, ratio 0.800 (min 0.500, max 1.000, 3 pairs),"
        " goal at least 0.9: MISS"
    )
    assert Throughput("example", 0.8, count=10, pairs=slow.pairs).reached
    assert "ours 2.0 a second, floor 4.0," in Throughput("example", 0.9, 4, (Pair(2.0, 1.0),), per_s=1).line()


def test_requests_of_a_poll_that_are_too_many_too_few_or_others_are_counted() -> None:
    head = "HEAD /v2/bench/poll/manifests/tag-{}".format
    assert requests_found(Counter([head(0), head(1)]), tags=2).value == 0
    assert requests_found(Counter([head(0), head(0), head(1)]), tags=2).value == 1
    assert requests_found(Counter([head(0), "GET /v2/bench/poll/manifests/tag-0"]), tags=2).value == 2


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([3.0], 99, 3.0), ([2.0, 1.0], 50, 1.0), ([*range(1, 101)], 99, 99), ([*range(1, 102)], 99, 100)],
)
def test_a_percentile_is_a_value_that_was_seen(values: list[float], percent: int, expected: float) -> None:
    assert percentile(values, percent) == expected


def test_latencies_are_compared_at_their_99th_percentile() -> None:
    late = Latencies("example", 0.06, ours_s=(0.001, 0.08), floor_s=(0.01, 0.02))

    assert late.above_floor_s == pytest.approx(0.06)
    assert "60.0 ms above the floor, goal at most 60" in late.line()
    assert not Latencies("example", 0.06, ours_s=(0.09,), floor_s=(0.02,)).reached


@pytest.mark.parametrize(("value", "said"), [(3, "pass"), (3.1, "MISS")])
def test_a_quantity_is_held_against_its_bound(value: float, said: str) -> None:
    assert Quantity("example", value, "MiB", 3, "of 4").line() == (
        f"example: {value} MiB (of 4), goal at most 3: {said}"
    )


@pytest.mark.parametrize("numbers", [[2, 4], [2, 2, 3], [2, 3, 4, 5], [3, 2, 4], []])
def test_lines_that_are_lost_doubled_or_out_of_order_are_noticed(numbers: list[int]) -> None:
    assert_all([2, 3, 4], 2, 5)
    with pytest.raises(CannotRun):
        assert_all(numbers, 2, 5)


def test_printed_lines_have_their_length_and_their_number() -> None:
    assert len(line(999_999)) == LINE_BYTES
    assert number_of(line(4711).decode().rstrip("\n")) == 4711
    assert number_of("4711 lines were left out.") is None


def test_a_value_that_the_kernel_tells_is_found_by_its_whole_name() -> None:
    told = "Pss_Anon:   7 kB\nPss:        12 kB\nSwapPss:    9 kB\n"
    assert kib_in(told, "Pss") == 12
    with pytest.raises(CannotRun, match="VmHWM"):
        kib_in(told, "VmHWM")
