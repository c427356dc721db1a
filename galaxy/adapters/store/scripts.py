"""The store's Lua scripts: loaded once, run atomically, errors translated."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import NoScriptError

from galaxy.adapters import redis_errors
from galaxy.domain.states import TRANSITIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager

    from redis import Redis
    from redis.commands.core import Script

#: So many runs of a script share a round trip: together well below a millisecond.
_AT_ONCE: Final = 8

#: A script's first lines may name others that it needs.
_INCLUDE: Final = re.compile(r"^-- include: (\w+\.lua)$", re.MULTILINE)


class RedisScripts:
    """Runs scripts of `galaxy/adapters/store/lua` by name."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._scripts: dict[str, Script] = {}

    def run(self, name: str, keys: Sequence[str], arguments: Iterable[str | float]) -> Any:  # noqa: ANN401 - each script has its own reply; its header says which
        """Runs one script and returns its reply.

        Raises:
            IllegalTransition: The script refused a move that `TRANSITIONS` does not have.
            StoreError: Redis can't be reached or refused the script.
        """
        with translated():
            return self._script(name)(keys=keys, args=[*arguments])

    def run_each(self, name: str, calls: Iterable[tuple[Sequence[str], Iterable[str | float]]]) -> list[Any]:
        """Runs one script several times, each run by itself, in few round trips; returns their replies.

        Redis serves nobody else while it works off what came in one.

        Args:
            name: The script's.
            calls: Keys and arguments of each run.

        Raises:
            IllegalTransition, StoreError: As `run`, for the first run that failed; the others were made.
        """
        with translated():
            return run_each(self._redis, self._script(name), calls)

    def _script(self, name: str) -> Script:
        if name not in self._scripts:
            self._scripts[name] = self._redis.register_script(_source(name))
        return self._scripts[name]


def run_each(
    redis: Redis, script: Script, calls: Iterable[tuple[Sequence[str], Iterable[str | bytes | float]]]
) -> list[Any]:
    """See `RedisScripts.run_each`; the script has to answer a repeated run as it did the first."""
    replies: list[Any] = []
    rest = iter(calls)
    while some := [(len(keys), [*keys, *arguments]) for keys, arguments in islice(rest, _AT_ONCE)]:
        try:
            replies += _run_some(redis, script, some)
        except NoScriptError:  # Redis was restarted
            redis.script_load(script.script)
            replies += _run_some(redis, script, some)
    return replies


def _run_some(
    redis: Redis, script: Script, calls: Iterable[tuple[int, Iterable[str | bytes | float]]]
) -> list[Any]:
    # not by calling the script: that asks Redis each time whether it knows it
    with redis.pipeline(transaction=False) as batch:
        for count, keys_and_arguments in calls:
            batch.evalsha(script.sha, count, *keys_and_arguments)
        return batch.execute()


def translated() -> AbstractContextManager[None]:
    """Turns what redis-py raises about the store into errors of the project."""
    return redis_errors.translated("Redis", "GALAXY_STORE_URL")


def _moves() -> str:
    """`TRANSITIONS` as a table of Lua."""
    rows = (
        f"{state} = {{{', '.join(f'{each} = true' for each in sorted(to))}}}"
        for state, to in TRANSITIONS.items()
    )
    return ", ".join(rows)


@cache
def _source(name: str) -> str:
    folder = files("galaxy.adapters.store") / "lua"
    prelude = (folder / "prelude.lua").read_text().replace("@TRANSITIONS@", _moves())
    script = (folder / f"{name}.lua").read_text()
    included = [(folder / other).read_text() for other in _INCLUDE.findall(script)]
    return "".join([prelude, *included, script])
