"""What is wrong with input: one value per mistake, all mistakes raised together."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from galaxy.domain.deploys.problem import Problem
from galaxy.domain.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Problems that are spelled out in one message; a 32 KiB document can hold thousands of mistakes.
MAX_LISTED: Final = 100
#: Characters of a key that are shown; keys are as long as their author likes.
MAX_KEY_SHOWN: Final = 60

#: JSON's words for Python's types; bool comes before int, which it is too.
_KINDS: Final[tuple[tuple[type | tuple[type, ...], str], ...]] = (
    (type(None), "null"),
    (bool, "true or false"),
    ((int, float), "a number"),
    (str, "a string"),
    ((list, tuple), "an array"),
    (dict, "an object"),
)


class Problems:
    """Gathers the problems of several checks, so that all are told at once.

    `with problems.gathered(): name = parse_app_name(app)` goes on after a refusal. Once `refuse` returned, the
    names of all such blocks are bound.

    Args:
        found: Mistakes that are known already.
    """

    def __init__(self, found: Iterable[Problem] = ()) -> None:
        self._found: list[Problem] = [*found]

    def add(self, path: str, what: str, example: str) -> None:
        """Note one mistake."""
        self._found.append(Problem(path, what, example))

    def note(self, error: InvalidInput) -> None:
        """Note the mistakes that an error tells."""
        self._found.extend(error.problems)

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Turn a refusal inside the block into noted problems."""
        try:
            yield
        except InvalidInput as error:
            if not error.problems:
                raise
            self.note(error)

    def refuse(self) -> None:
        """Raise `InvalidInput` if there is any problem."""
        if self._found:
            raise refusal(self._found)


def refusal(problems: Iterable[Problem]) -> InvalidInput:
    """The error that tells these problems, one a line."""
    all_of_them = tuple(problems)
    lines = [str(problem) for problem in all_of_them[:MAX_LISTED]]
    if len(all_of_them) > MAX_LISTED:
        lines.append(f"... and {len(all_of_them) - MAX_LISTED} more mistakes of this kind")
    error = InvalidInput("\n".join(lines))
    error.problems = all_of_them
    return error


def refused(path: str, what: str, example: str) -> InvalidInput:
    """The error that tells one problem."""
    return refusal((Problem(path, what, example),))


def json_path(*steps: str | int) -> str:
    """JSONPath of a place in the settings (RFC 9535): `$`, `$.a[0]`, `$["galaxy.meteor.com"].env`."""
    return "$" + "".join(_step(step) for step in steps)


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return (
        f".{step}"
        if step.isascii() and step.isidentifier() and len(step) <= MAX_KEY_SHOWN
        else f"[{quoted(step)}]"
    )


def quoted(key: str) -> str:
    """A key in JSON's quotes: on one line, without anything that acts on a terminal, and not endless."""
    shown = key if len(key) <= MAX_KEY_SHOWN else key[: MAX_KEY_SHOWN - 3] + "..."
    return json.dumps(shown, ensure_ascii=not shown.isprintable())


def kind(value: object) -> str:
    """What a value is, in JSON's words."""
    for types, words in _KINDS:
        if isinstance(value, types):
            return words
    return f"a Python {type(value).__name__}"


def not_a_string(value: object) -> str:
    """Says that a string was expected where `value` came."""
    return "is missing or null" if value is None else f"must be a string, not {kind(value)}"
