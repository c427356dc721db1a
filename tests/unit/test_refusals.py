"""How mistakes in a deploy are told: as many as help, as long as can be read, and none of them twice."""

from __future__ import annotations

import json

import pytest

from galaxy.domain.deploys.problem import Problem
from galaxy.domain.deploys.problems import (
    MAX_KEY_SHOWN,
    MAX_LISTED,
    Problems,
    json_path,
    kind,
    quoted,
    refusal,
)
from galaxy.domain.deploys.strict_json import parse_document
from galaxy.domain.errors import InvalidInput

MIB = 1024 * 1024


def problems(count: int) -> list[Problem]:
    return [Problem(f"$.a{number}", "is wrong", "1") for number in range(count)]


def test_a_hundred_mistakes_are_told_and_the_others_counted() -> None:
    few, many = refusal(problems(MAX_LISTED)), refusal(problems(MAX_LISTED + 3))
    assert len(str(few).splitlines()) == MAX_LISTED == 100
    assert str(many).splitlines()[:-1] == str(few).splitlines()
    assert str(many).splitlines()[-1] == "... and 3 more mistakes of this kind"
    assert len(many.problems) == MAX_LISTED + 3


def test_a_key_is_shown_up_to_sixty_characters() -> None:
    assert json.loads(quoted("k" * MAX_KEY_SHOWN)) == "k" * 60
    assert json.loads(quoted("k" * (MAX_KEY_SHOWN + 1))) == "k" * 57 + "..."
    assert json_path("a", "k" * MAX_KEY_SHOWN) == f"$.a.{'k' * 60}"
    assert json_path("a", "k" * (MAX_KEY_SHOWN + 1)) == f'$.a["{"k" * 57}..."]'


@pytest.mark.parametrize(
    ("key", "path"), [("a", "$.a"), (2, "$[2]"), ("a b", '$["a b"]'), ("é", '$["é"]'), ("1", '$["1"]')]
)
def test_a_path_is_jsonpath(key: str | int, path: str) -> None:
    assert json_path(key) == path


def test_what_acts_on_a_terminal_is_shown_as_an_escape() -> None:
    assert quoted("\x1b[31m") == r'"\u001b[31m"'
    assert quoted("é") == '"é"'


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (True, "true or false"),
        (1, "a number"),
        (1.5, "a number"),
        ("a", "a string"),
        ([], "an array"),
        ((), "an array"),
        ({}, "an object"),
        (b"", "a Python bytes"),
    ],
)
def test_a_value_is_named_in_the_words_of_json(value: object, words: str) -> None:
    assert kind(value) == words


def test_mistakes_are_gathered_and_an_error_without_any_passes() -> None:
    gathered = Problems()
    with gathered.gathered():
        raise refusal(problems(2))
    with pytest.raises(InvalidInput) as refused:
        gathered.refuse()
    assert refused.value.problems == tuple(problems(2))
    with pytest.raises(InvalidInput, match="alone"), gathered.gathered():
        raise InvalidInput("alone")


def document_of(size: int) -> str:
    """Settings of so many bytes, with a mistake in them."""
    head = '{"a": 1, "a": 2, "b": "'
    return f'{head}{"x" * (size - len(head) - 2)}"}}'


@pytest.mark.parametrize(("size", "mistakes"), [(MIB, 2), (MIB + 1, 1)])
def test_settings_are_looked_into_up_to_a_mebibyte(size: int, mistakes: int) -> None:
    gathered = Problems()
    with gathered.gathered():
        parse_document(document_of(size), max_bytes=1000, problems=gathered)
    with pytest.raises(InvalidInput) as refused:
        gathered.refuse()
    assert len(refused.value.problems) == mistakes
    assert f"{size} bytes of UTF-8" in str(refused.value)


def test_the_bound_of_settings_is_inclusive() -> None:
    text = '{"a": "é"}'
    gathered = Problems()
    parse_document(text, max_bytes=len(text.encode()), problems=gathered)
    gathered.refuse()
    parse_document(text, max_bytes=len(text.encode()) - 1, problems=gathered)
    with pytest.raises(InvalidInput, match=f"{len(text.encode())} bytes"):
        gathered.refuse()


@pytest.mark.parametrize(
    ("number", "fine"),
    [
        ("9" * 308, True),
        (str(2**1024 - 1), True),
        (str(2**1024), False),
        (f"-{2**1024}", False),
        ("9" * 310, False),
        ("1" + "0" * 5000, False),
        ("1e308", True),
        ("1e309", False),
        ("-1e309", False),
        ("NaN", False),
    ],
)
def test_numbers_are_those_that_a_double_holds(number: str, *, fine: bool) -> None:
    gathered = Problems()
    parse_document(f'{{"a": {number}}}', max_bytes=10_000, problems=gathered)
    if fine:
        gathered.refuse()
    else:
        with pytest.raises(InvalidInput, match=r"^\$\.a: is not a number"):
            gathered.refuse()


@pytest.mark.parametrize(("depth", "fine"), [(99, True), (100, False)])
def test_settings_are_nested_up_to_a_hundred_levels(depth: int, *, fine: bool) -> None:
    gathered = Problems()
    parse_document('{"a":' + "[" * depth + "]" * depth + "}", max_bytes=10_000, problems=gathered)
    if fine:
        gathered.refuse()
    else:
        with pytest.raises(InvalidInput, match="deeper than 100"):
            gathered.refuse()
