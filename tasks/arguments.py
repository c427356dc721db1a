"""What a task's caller got wrong about its arguments: told by name, and never with a value."""

from __future__ import annotations

import difflib
import inspect
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from galaxy.domain.deploys.problem import Problem
from galaxy.domain.deploys.problems import MAX_LISTED, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

P = ParamSpec("P")
R = TypeVar("R")

#: difflib's ratio. `bundle`, `bundel_url` and `setings` are close to a name, `bundle_digest` is close to none.
_CLOSE: Final = 0.7
_MAX_NAME_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class CallMistake(Problem):
    """A mistake in how a task was called; here `what` and `example` are sentences."""

    def __str__(self) -> str:
        return f"{self.what} {self.example}"


@dataclass(frozen=True, slots=True)
class TaskCall:
    """How a task was called.

    Attributes:
        task: The task's name.
        arguments: What was sent, by the name that the caller most likely meant.
        mistakes: What is wrong with the names, positions and number of arguments.
    """

    task: str
    arguments: Mapping[str, object]
    mistakes: tuple[Problem, ...]

    @classmethod
    def parse(
        cls, task: str, names: Sequence[str], positional: Sequence[object], named: Mapping[str, object]
    ) -> TaskCall:
        """Gives each argument its name.

        Args:
            task: The task's name.
            names: Its arguments, in the order in which they may be sent by position.
            positional: What was sent by position.
            named: What was sent by name.
        """
        known = f"{task} takes {', '.join(f'`{name}`' for name in names)}."
        mistakes: list[Problem] = []
        arguments = dict(zip(names, positional, strict=False))
        if len(positional) > len(names):
            what = f"{len(positional)} arguments were sent by position, and {len(names)} are the most."
            mistakes.append(CallMistake("arguments", what, known))
        for name in named.keys() & arguments.keys():
            what = f"The argument `{name}` was sent twice, by position and by name."
            mistakes.append(CallMistake(name, what, "Send it once."))
        arguments |= {name: value for name, value in named.items() if name in names}
        unknown = [name for name in named if name not in names]
        for name in unknown[:MAX_LISTED]:
            meant = _meant(name, names)
            hint = f"Did you mean `{meant}`? {known}" if meant else known
            mistakes.append(CallMistake(_shown(name), f"There is no argument {_shown(name)}.", hint))
            if meant:
                arguments.setdefault(meant, named[name])
        if len(unknown) > MAX_LISTED:
            what = f"{len(unknown) - MAX_LISTED} more arguments do not exist."
            mistakes.append(CallMistake("arguments", what, known))
        return cls(task, arguments, tuple(mistakes))

    def missing(self, required: Collection[str]) -> list[Problem]:
        """A mistake for each argument that has to be sent and was not."""
        return [
            CallMistake(name, f"The argument `{name}` is missing.", f"{self.task} can't do without it.")
            for name in required
            if name not in self.arguments
        ]


def named_arguments(task: str) -> Callable[[Callable[P, R]], Callable[..., R]]:
    """Decorates a task's function: a call that does not fit it is `InvalidInput`, and no `TypeError`.

    Celery hands the task itself to functions whose first parameter is `self`.

    Args:
        task: The task's name.
    """

    def decorate(function: Callable[P, R]) -> Callable[..., R]:
        parameters = inspect.signature(function).parameters.values()
        names = [each.name for each in parameters if each.name != "self"]
        required = [each.name for each in parameters if each.name in names and each.default is each.empty]
        bound = len(parameters) - len(names)

        @wraps(function)
        def run(*positional: object, **named: object) -> R:
            call = TaskCall.parse(task, names, positional[bound:], named)
            mistakes = [*call.mistakes, *call.missing(required)]
            if mistakes:
                raise refusal(mistakes)
            checked: Callable[..., R] = function
            return checked(*positional[:bound], **call.arguments)

        return run

    return decorate


def _meant(name: str, names: Sequence[str]) -> str | None:
    folded = name[:_MAX_NAME_SHOWN].casefold().replace("-", "_")
    like = difflib.get_close_matches(folded, names, n=1, cutoff=_CLOSE)
    contained = [each for each in names if folded in each.split("_")]
    return next(iter([*like, *contained]), None)


def _shown(name: str) -> str:
    """A name as it was sent, unless it may be a value that somebody took for a name."""
    if name.isascii() and name.isidentifier() and len(name) <= _MAX_NAME_SHOWN:
        return f"`{name}`"
    return "of such a name (names are ASCII letters, digits and underscores)"
