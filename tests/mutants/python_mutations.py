"""The changes that can be made to a Python module."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from tests.mutants.mutation import Mutation, other_number

if TYPE_CHECKING:
    from collections.abc import Iterator

_COMPARISONS: Final[dict[type[ast.cmpop], tuple[str, str]]] = {
    ast.Lt: (r"<", "<="),
    ast.LtE: (r"<=", "<"),
    ast.Gt: (r">", ">="),
    ast.GtE: (r">=", ">"),
    ast.Eq: (r"==", "!="),
    ast.NotEq: (r"!=", "=="),
    ast.Is: (r"\bis\b", "is not"),
    ast.IsNot: (r"\bis\s+not\b", "is"),
    ast.In: (r"\bin\b", "not in"),
    ast.NotIn: (r"\bnot\s+in\b", "in"),
}
_OPERATORS: Final[dict[type[ast.operator], tuple[str, str]]] = {
    ast.Add: (r"\+", "-"),
    ast.Sub: (r"-", "+"),
    ast.Mult: (r"\*", "/"),
    ast.Div: (r"/", "*"),
    ast.FloorDiv: (r"//", "*"),
    ast.Mod: (r"%", "*"),
    ast.Pow: (r"\*\*", "*"),
    ast.BitOr: (r"\|", "&"),
    ast.BitAnd: (r"&", "|"),
}
_COMPOUND = (ast.If, ast.While, ast.For, ast.With, ast.Try, ast.Match)
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def mutations(path: str, source: bytes) -> list[Mutation]:
    """All changes of a module."""
    return [*_Module(path, source).found()]


class _Module:
    def __init__(self, path: str, source: bytes) -> None:
        self._path = path
        self._source = source
        self._tree = ast.parse(source)
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def found(self) -> Iterator[Mutation]:
        yield from self._within(self._tree, None)

    def _within(self, node: ast.AST, reached_by: tuple[int, int] | None) -> Iterator[Mutation]:
        """The changes of a node's children; `reached_by` as in `Mutation`."""
        if isinstance(node, ast.JoinedStr):
            return  # Python 3.11 does not say where the parts of an f-string are
        for field, value in ast.iter_fields(node):
            if field in {"annotation", "returns", "decorator_list"}:
                continue
            inside = reached_by
            if isinstance(node, _FUNCTION) and field == "body":
                inside = (node.lineno, node.lineno)  # each of its statements says better
            elif isinstance(node, ast.Lambda) and field == "body":
                inside = (node.lineno, node.end_lineno or node.lineno)
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not _is_type_checking(child):
                    yield from self._at(child, _lines(child, inside))
                    yield from self._within(child, _lines(child, inside))

    def _at(self, node: ast.AST, reached_by: tuple[int, int] | None) -> Iterator[Mutation]:
        for start, end, new in self._changes(node):
            line = self._source.count(b"\n", 0, start) + 1
            yield Mutation(self._path, start, end, new.encode(), line, reached_by)

    def _changes(self, node: ast.AST) -> Iterator[tuple[int, int, str]]:
        match node:
            case ast.Compare() | ast.BoolOp() | ast.BinOp() | ast.AugAssign():
                yield from self._operators(node)
            case ast.UnaryOp(op=ast.Not()):
                yield self._start(node), self._start(node) + len("not"), ""
            case ast.Constant(value=bool()):
                yield self._start(node), self._end(node), str(not node.value)
            case ast.Constant(value=int()):
                yield self._start(node), self._end(node), repr(other_number(node.value))
            case ast.Constant(value=float()):
                yield self._start(node), self._end(node), repr(node.value * 2 or 1.0)
            case ast.If() | ast.While() | ast.IfExp():
                yield from self._negated(node.test)
            case ast.comprehension():
                for each in node.ifs:
                    yield from self._negated(each)

    def _operators(
        self, node: ast.Compare | ast.BoolOp | ast.BinOp | ast.AugAssign
    ) -> Iterator[tuple[int, int, str]]:
        match node:
            case ast.Compare():
                for (left, right), operator in zip(
                    pairwise([node.left, *node.comparators]), node.ops, strict=True
                ):
                    pattern, new = _COMPARISONS[type(operator)]
                    yield (*self._between(left, right, pattern), new)
            case ast.BoolOp():
                old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
                for left, right in pairwise(node.values):
                    yield (*self._between(left, right, rf"\b{old}\b"), new)
                for each in node.values:
                    if not isinstance(each, ast.Constant):  # a default, which is not a condition
                        yield self._start(each), self._end(each), str(isinstance(node.op, ast.And))
            case ast.BinOp() if type(node.op) in _OPERATORS and not _joins_texts(node):
                pattern, new = _OPERATORS[type(node.op)]
                yield (*self._between(node.left, node.right, pattern), new)
            case ast.AugAssign(op=ast.Add() | ast.Sub()) if not _is_text(node.value):
                pattern, new = (r"\+=", "-=") if isinstance(node.op, ast.Add) else ("-=", "+=")
                yield (*self._between(node.target, node.value, pattern), new)

    def _negated(self, condition: ast.expr) -> Iterator[tuple[int, int, str]]:
        """A condition that has no other change of its own."""
        if not isinstance(condition, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Constant):
            start, end = self._start(condition), self._end(condition)
            yield start, end, f"not ({self._source[start:end].decode()})"

    def _between(self, left: ast.expr, right: ast.expr, pattern: str) -> tuple[int, int]:
        start, end = self._end(left), self._start(right)
        # not in a comment of an expression that has several lines
        text = re.sub(rb"#[^\n]*", lambda comment: b" " * len(comment[0]), self._source[start:end])
        found = re.search(pattern.encode(), text)
        assert found, f"{self._path}: {pattern} is not in {text!r}"
        return start + found.start(), start + found.end()

    def _start(self, node: ast.expr) -> int:
        return self._starts[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.expr) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._starts[node.end_lineno - 1] + node.end_col_offset


def _lines(node: ast.AST, outside: tuple[int, int] | None) -> tuple[int, int] | None:
    """First and last line of the statement, without the statements in it; unchanged if the node is none."""
    if outside is None or not isinstance(node, ast.stmt):
        return outside
    if isinstance(node, (*_COMPOUND, *_FUNCTION, ast.ClassDef)):
        inner = node.cases[0].pattern if isinstance(node, ast.Match) else node.body[0]
        return node.lineno, max(node.lineno, inner.lineno - 1)
    return node.lineno, node.end_lineno or node.lineno


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    )


def _joins_texts(node: ast.BinOp) -> bool:
    """Another operator between texts is an error wherever it is met: no question to the tests."""
    return _is_text(node.left) or _is_text(node.right)
