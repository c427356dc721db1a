"""What `make mutants` changes, and which tests it runs for a change."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.mutants import lua_mutations, python_mutations, reasons
from tests.mutants.mutation import Mutation
from tests.mutants.reach import Reach

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]


def changed(find: Callable[[str, bytes], list[Mutation]], source: str) -> set[str]:
    return {each.applied(source.encode()).decode() for each in find("x", source.encode())}


@pytest.mark.parametrize(
    ("source", "results"),
    [
        ("a < b", {"a <= b"}),
        ("a <= (b)", {"a < (b)"}),
        ("a == b", {"a != b"}),
        ("a is not b", {"a is b"}),
        ("a not in b", {"a in b"}),
        ("a < b >= c", {"a <= b >= c", "a < b > c"}),
        ("f(a) and (b or c)", {"f(a) or (b or c)", "True and (b or c)", "f(a) and (True)"}),
        ("not (a)", {" (a)"}),
        ("a + b", {"a - b"}),
        ("a += b", {"a -= b"}),
        ("a = 3", {"a = 4"}),
        ("a = 2.5", {"a = 5.0"}),
        ("a = True", {"a = False"}),
        ("x if y else z", {"x if not (y) else z"}),
        ("[x for x in y if z]", {"[x for x in y if not (z)]"}),
        ("'a' + b", set()),
        ("x: int | None", set()),
        ("@d(frozen=True)\nclass A: pass", set()),
        ("if TYPE_CHECKING:\n  a = 1", set()),
    ],
)
def test_changes_of_python(source: str, results: set[str]) -> None:
    found = changed(python_mutations.mutations, source)
    assert results <= found
    assert found == results or "b or c" in source  # what is in there has changes of its own


def test_an_operator_is_found_behind_a_comment() -> None:
    source = "x = (a  # < not this one\n     < b)"
    assert changed(python_mutations.mutations, source) == {source.replace("     <", "     <=")}


def test_every_change_of_the_project_is_python_still() -> None:
    for path in (ROOT / "galaxy" / "domain").rglob("*.py"):
        source = path.read_bytes()
        for mutation in python_mutations.mutations(str(path), source):
            ast.parse(mutation.applied(source))


@pytest.mark.parametrize(
    ("source", "results"),
    [
        (
            "if a > b then c() end",
            {"if a >= b then c() end", "if true then c() end", "if false then c() end"},
        ),
        (
            "if a or b == d then c() end",
            {
                "if a and b == d then c() end",
                "if a or b ~= d then c() end",
                "if b == d then c() end",
                "if a then c() end",
            },
        ),
        ("return KEYS[1] .. 'a < 1'", set()),
        ("-- a < 1\nlocal x = y + 10", {"-- a < 1\nlocal x = y - 10", "-- a < 1\nlocal x = y + 11"}),
        ("f('a', -1)", {"f('a', -2)"}),
    ],
)
def test_changes_of_lua(source: str, results: set[str]) -> None:
    assert changed(lua_mutations.mutations, source) == results


@pytest.mark.parametrize(
    ("source", "reached"),
    [
        ("a = 1", None),
        ("def f(a=1): pass", None),
        ("class A:\n  b = 1", None),
        ("def f():\n  a = (\n    1)", (2, 3)),
        ("def f():\n  if b < c:\n    pass", (2, 2)),
        ("def f():\n  if b:\n    x = [\n      y < z]", (3, 4)),
    ],
)
def test_the_lines_of_a_change(source: str, reached: tuple[int, int] | None) -> None:
    assert python_mutations.mutations("x", source.encode())[-1].reached_by == reached


@pytest.fixture
def reach(tmp_path: Path) -> Reach:
    observed = {
        "seconds": {"slow": 2, "quick": 1, "other": 0.5},
        "failed": [],
        "lines": {"a.py": {"3": ["slow", "quick", ""], "4": ["slow"]}, "b.py": {"1": ["other", "slow"]}},
        "scripts": {"prelude\nlocal x = {row = true}\nthe script": ["quick", "slow"], "another": ["other"]},
    }
    path = tmp_path / "observed.json"
    path.write_text(json.dumps(observed), encoding="utf-8")
    (tmp_path / "a.py").write_text("A = 1")
    (tmp_path / "b.py").write_text("from a import A")
    return Reach([path], tmp_path)


def change(path: str, lines: tuple[int, int] | None) -> Mutation:
    return Mutation(path, 0, 1, b"", 1, lines)


def test_the_tests_that_run_a_line_are_run_the_quickest_first(reach: Reach) -> None:
    assert reach.of(change("a.py", (3, 3)), b"") == ["quick", "slow"]
    assert reach.of(change("a.py", (4, 5)), b"") == ["slow"]
    assert reach.of(change("a.py", (7, 7)), b"") == []


def test_for_what_is_done_at_import_the_tests_of_those_who_import_it_are_run_too(reach: Reach) -> None:
    assert reach.of(change("a.py", None), b"") == ["quick", "slow", "other"]


def test_a_script_is_recognised_although_python_filled_it_in(reach: Reach) -> None:
    assert reach.of(change("a.lua", (1, 9)), b"prelude\nlocal x = {@ROWS@}") == ["quick", "slow"]
    assert reach.of(change("b.lua", (1, 9)), b"nobody runs this") == []


def test_each_reason_is_about_a_line_that_is_there() -> None:
    for reason in reasons.read():
        lines = [line.strip() for line in (ROOT / reason.file).read_text(encoding="utf-8").splitlines()]
        assert reason.line in lines, f"{reason.file} has no line {reason.line!r} any more"
