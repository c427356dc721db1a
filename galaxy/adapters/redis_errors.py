"""What redis-py raises, as errors of the project."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from redis.exceptions import RedisError, ResponseError

from galaxy.domain.errors import IllegalTransition, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def translated(server: str, url_setting: str) -> Iterator[None]:
    """Turns what redis-py raises into errors of the project.

    Args:
        server: What the Redis is for, as a sentence begins.
        url_setting: The setting that says where it is.

    Raises:
        IllegalTransition: A script refused a move that `TRANSITIONS` does not have.
        StoreError: Redis can't be reached or refused a command.
    """
    try:
        yield
    except ResponseError as error:
        _, refused, move = str(error).partition("TRANSITION ")
        if refused:
            raise IllegalTransition(f"A version can't go from {move.replace(' -> ', ' to ')}.") from error
        raise StoreError(
            f"{server} refused a command: {error}.", "Look at its memory and its log."
        ) from error
    except RedisError as error:
        raise StoreError(
            f"{server} can't be reached: {error}.", f"Check {url_setting} and that Redis runs."
        ) from error
