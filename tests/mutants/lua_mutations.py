"""The changes that can be made to a Lua script."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from tests.mutants.mutation import Mutation, other_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TOKEN: Final = re.compile(
    rb"""(?P<comment>--[^\n]*)|(?P<text>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")"""
    rb"""|(?P<number>\d+)|(?P<name>[A-Za-z_]\w*)|(?P<sign>==|~=|<=|>=|\.\.|[^\s])"""
)
_SWAPPED: Final = {
    b"==": b"~=",
    b"~=": b"==",
    b"<": b"<=",
    b"<=": b"<",
    b">": b">=",
    b">=": b">",
    b"+": b"-",
    b"-": b"+",
    b"*": b"/",
    b"/": b"*",
    b"and": b"or",
    b"or": b"and",
    b"not": b"",
    b"true": b"false",
    b"false": b"true",
}
_CONDITIONS: Final = {b"if": b"then", b"elseif": b"then", b"while": b"do"}
_OPENING, _CLOSING = frozenset(b"([{"), frozenset(b")]}")


@dataclass(frozen=True)
class _Token:
    kind: str
    text: bytes
    start: int
    end: int


def mutations(path: str, source: bytes) -> list[Mutation]:
    """All changes of a script."""
    tokens = [
        _Token(found.lastgroup or "", found[0], *found.span())
        for found in _TOKEN.finditer(source)
        if found.lastgroup != "comment"
    ]
    changes = [*_swaps(tokens), *_conditions(tokens)]
    lines = source.count(b"\n") + 1
    return [
        Mutation(path, start, end, new, source.count(b"\n", 0, start) + 1, (1, lines))
        for start, end, new in dict.fromkeys(changes)
    ]


def _swaps(tokens: Sequence[_Token]) -> Iterator[tuple[int, int, bytes]]:
    for before, token in zip([_Token("", b"", 0, 0), *tokens], tokens, strict=False):
        if token.kind in {"name", "sign"} and token.text in _SWAPPED:
            if token.text == b"-" and (before.kind == "sign" and before.text not in {b")", b"]"}):
                continue  # a sign, not a difference
            yield token.start, token.end, _SWAPPED[token.text]
        elif token.kind == "number" and before.text != b"[":  # not which key or argument is meant
            yield token.start, token.end, b"%d" % other_number(int(token.text))


def _conditions(tokens: Sequence[_Token]) -> Iterator[tuple[int, int, bytes]]:
    """A condition without one of its parts; one without parts is always true, or never."""
    for at, token in enumerate(tokens):
        if token.kind != "name" or token.text not in _CONDITIONS:
            continue
        end = next(i for i in range(at, len(tokens)) if tokens[i].text == _CONDITIONS[token.text])
        yield from _without_parts(tokens[at + 1 : end])


def _without_parts(tokens: Sequence[_Token]) -> Iterator[tuple[int, int, bytes]]:
    for operator in (b"or", b"and"):
        parts = _split(tokens, operator)
        if len(parts) == 1:
            continue
        yield parts[0][0].start, parts[1][0].start, b""
        for left, right in pairwise(parts):
            yield left[-1].end, right[-1].end, b""
        for part in parts:
            if len(_split(part, b"and")) > 1:
                yield from _without_parts(part)
        return
    for fixed in (b"true", b"false"):
        yield tokens[0].start, tokens[-1].end, fixed


def _split(tokens: Sequence[_Token], operator: bytes) -> list[list[_Token]]:
    parts: list[list[_Token]] = [[]]
    depth = 0
    for token in tokens:
        if token.kind == "sign":
            depth += (token.text[0] in _OPENING) - (token.text[0] in _CLOSING)
        if depth == 0 and token.text == operator:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts
