"""Lua scripts that Redis runs atomically: declared with the names of their keys and arguments, loaded once."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from redis.exceptions import NoScriptError

from galaxy.adapters import redis_errors
from galaxy.domain.states import FAILED, TRANSITIONS, UNBUILT, UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from redis import Redis
    from redis.commands.core import Script as LoadedScript

#: What an argument may be. Dictionaries and lists travel as JSON.
Argument: TypeAlias = str | bytes | float | dict[str, Any] | list[Any]

#: So many runs of a script share a round trip: together well below a millisecond.
_AT_ONCE: Final = 8

#: Another file stands in the place of such a line, unless it stood in an earlier one.
_INCLUDE: Final = re.compile(r"^-- include: (\w+\.lua)$", re.MULTILINE)

_FOLDER: Final = "galaxy.adapters.store"


@dataclass(frozen=True)
class Script:
    """A file `lua/NAME.lua`, and what its one caller passes by name.

    Attributes:
        keys: In their order; the script and its header write them in capitals.
        arguments: In their order.
        rest: What follows the arguments, as many as there are, of any bytes; empty if nothing does.
        package: The package whose folder `lua` has the file.
    """

    name: str
    keys: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    rest: str = ""
    package: str = _FOLDER

    def call(
        self,
        keys: Mapping[str, str],
        arguments: Mapping[str, Argument] | None = None,
        rest: Iterable[str | bytes | float] = (),
    ) -> ScriptCall:
        """One run of the script.

        Args:
            keys: By name; there may be more of them than the script has.
            arguments: By name, exactly those that the script has.
            rest: See `Script.rest`.
        """
        given = arguments or {}
        if len(given) != len(self.arguments) or not all(name in given for name in self.arguments):
            raise ValueError(f"{self.name}.lua has the arguments {self.arguments}, not {tuple(given)}")
        # plain loops and types: an update of a base image comes here for each of its apps
        values = [given[name] for name in self.arguments]
        encoded = [json.dumps(it) if isinstance(it, dict | list) else it for it in values]
        return ScriptCall([keys[name] for name in self.keys], [*encoded, *rest])

    @property
    def source(self) -> str:
        """The whole text that Redis gets: the prelude and the script, with all that it includes."""
        return _source(self.package, self.name)


class ScriptCall(NamedTuple):
    """The keys and arguments of one run of a script, in the script's order."""

    keys: list[str]
    arguments: list[str | bytes | float]


class RedisScripts:
    """Runs scripts on one Redis, and turns what redis-py raises into errors of the project.

    Args:
        translated: Context manager around each round trip; by default the store's.
    """

    def __init__(
        self, redis: Redis, translated: Callable[[], AbstractContextManager[None]] | None = None
    ) -> None:
        self._redis = redis
        self._translated = translated or _translated
        self._loaded: dict[Script, LoadedScript] = {}

    def run(self, script: Script, call: ScriptCall) -> Any:  # noqa: ANN401 - each script has its own reply; its header says which
        """Runs a script once and returns its reply.

        Raises:
            IllegalTransition: The script refused a move that `TRANSITIONS` does not have.
            StoreError: Redis can't be reached or refused the script.
        """
        with self._translated():
            return self._load(script)(keys=call.keys, args=call.arguments)

    def run_each(self, script: Script, calls: Iterable[ScriptCall]) -> list[Any]:
        """Runs a script several times, each run by itself, in few round trips; returns their replies.

        Redis serves nobody else while it works off what came in one. The script has to answer a repeated run as it
        did the first.

        Raises:
            IllegalTransition, StoreError: As `run`, for the first run that failed. Those of its round trip were made.
        """
        replies: list[Any] = []
        rest = iter(calls)
        loaded = self._load(script)
        with self._translated():
            while some := [*islice(rest, _AT_ONCE)]:
                try:
                    replies += self._run_some(loaded, some)
                except NoScriptError:  # Redis was restarted
                    self._redis.script_load(loaded.script)
                    replies += self._run_some(loaded, some)
        return replies

    def _run_some(self, loaded: LoadedScript, calls: Iterable[ScriptCall]) -> list[Any]:
        # not by calling the script: that asks Redis each time whether it knows it
        with self._redis.pipeline(transaction=False) as batch:
            for call in calls:
                batch.evalsha(loaded.sha, len(call.keys), *call.keys, *call.arguments)
            return batch.execute()

    def _load(self, script: Script) -> LoadedScript:
        if script not in self._loaded:
            self._loaded[script] = self._redis.register_script(script.source)
        return self._loaded[script]


def translated() -> AbstractContextManager[None]:
    """Turns what redis-py raises about the store into errors of the project."""
    return redis_errors.translated("Redis", "GALAXY_STORE_URL")


_translated: Final = translated


@cache
def _source(package: str, name: str) -> str:
    seen: set[str] = set()

    def text(folder: str, file: str) -> str:
        found = (files(folder) / "lua" / file).read_text()
        return _INCLUDE.sub(lambda line: included(line[1]), found)

    def included(file: str) -> str:
        if file in seen:
            return ""
        seen.add(file)
        return text(_FOLDER, file).rstrip("\n")

    source = text(_FOLDER, "prelude.lua") + text(package, f"{name}.lua")
    for placeholder, table in _tables():
        source = source.replace(placeholder, table)
    return source


def _tables() -> Iterator[tuple[str, str]]:
    """What the domain says about states, as the insides of Lua tables."""
    moves = (f"{state} = {{{_as_set(to)}}}" for state, to in TRANSITIONS.items())
    yield "@TRANSITIONS@", ", ".join(moves)
    for name, states in (("UNFINISHED", UNFINISHED), ("UNBUILT", UNBUILT), ("FAILED", FAILED)):
        yield f"@{name}@", _as_set(states)


def _as_set(states: Iterable[str]) -> str:
    return ", ".join(f"{state} = true" for state in sorted(states))
