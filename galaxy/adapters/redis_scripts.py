"""The store's Lua scripts: loaded once, run atomically, errors translated."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from galaxy.adapters import redis_errors
from galaxy.domain.states import TRANSITIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager

    from redis import Redis
    from redis.commands.core import Script

#: A script's first lines may name others that it needs.
_INCLUDE: Final = re.compile(r"^-- include: (\w+\.lua)$", re.MULTILINE)


class RedisScripts:
    """Runs scripts of `galaxy/adapters/lua` by name."""

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
        """Runs one script several times in one round trip, each run by itself; returns their replies.

        Args:
            name: The script's.
            calls: Keys and arguments of each run.

        Raises:
            IllegalTransition, StoreError: As `run`, for the first run that failed; the others were made.
        """
        script = self._script(name)
        with translated(), self._redis.pipeline(transaction=False) as batch:
            for keys, arguments in calls:
                script(keys=keys, args=[*arguments], client=batch)
            return batch.execute()

    def _script(self, name: str) -> Script:
        if name not in self._scripts:
            self._scripts[name] = self._redis.register_script(_source(name))
        return self._scripts[name]


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
    folder = files("galaxy.adapters") / "lua"
    prelude = (folder / "prelude.lua").read_text().replace("@TRANSITIONS@", _moves())
    script = (folder / f"{name}.lua").read_text()
    included = [(folder / other).read_text() for other in _INCLUDE.findall(script)]
    return "".join([prelude, *included, script])
