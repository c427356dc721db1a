"""The store's Lua scripts: loaded once, run atomically, errors translated."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import RedisError, ResponseError

from galaxy.domain.errors import IllegalTransition, StoreError
from galaxy.domain.states import TRANSITIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

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
        if name not in self._scripts:
            self._scripts[name] = self._redis.register_script(_source(name))
        with translated():
            return self._scripts[name](keys=keys, args=[*arguments])


@contextmanager
def translated() -> Iterator[None]:
    """Turns what redis-py raises into errors of the project."""
    try:
        yield
    except ResponseError as error:
        _, refused, move = str(error).partition("TRANSITION ")
        if refused:
            raise IllegalTransition(f"A version can't go from {move.replace(' -> ', ' to ')}.") from error
        raise StoreError(f"Redis refused a command: {error}.", "Look at its memory and its log.") from error
    except RedisError as error:
        raise StoreError(
            f"Redis can't be reached: {error}.", "Check GALAXY_STORE_URL and that Redis runs."
        ) from error


@cache
def _source(name: str) -> str:
    moves = {state: dict.fromkeys(sorted(to), True) for state, to in TRANSITIONS.items()}
    folder = files("galaxy.adapters") / "lua"
    prelude = (folder / "prelude.lua").read_text().replace("@TRANSITIONS@", json.dumps(moves))
    script = (folder / f"{name}.lua").read_text()
    included = [(folder / other).read_text() for other in _INCLUDE.findall(script)]
    return "".join([prelude, *included, script])
