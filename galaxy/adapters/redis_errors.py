"""What redis-py raises, as errors of the project."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from galaxy.domain.errors import IllegalTransition, StoreError, StoreLoginRefused, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

#: In a script, Redis does not say NOPERM.
_SCRIPT_NOT_PERMITTED: Final = "The user executing the script can't"


@contextmanager
def translated(server: str, url_setting: str) -> Iterator[None]:
    """Turns what redis-py raises into errors of the project.

    Args:
        server: What the Redis is for, as a sentence begins.
        url_setting: The setting that says where it is.

    Raises:
        IllegalTransition: A script refused a move that `TRANSITIONS` does not have.
        StoreUnavailable: Redis can't be reached.
        StoreLoginRefused: Redis refused the login.
        StoreError: Redis refused a command.
    """
    try:
        yield
    except ResponseError as error:
        _, refused, move = str(error).partition("TRANSITION ")
        if refused:
            raise IllegalTransition(f"A version can't go from {move.replace(' -> ', ' to ')}.") from error
        raise _refusal(error, server, url_setting) from error
    except AuthenticationError as error:
        raise StoreLoginRefused(
            f"{server} refused the login.",
            "Mend the user and the password in its address.",
            quotes=(),
            setting=url_setting,
        ) from error
    except RedisError as error:
        raise StoreUnavailable(
            f"{server} can't be reached: {_text(error)}.",
            "Check its address and that it runs.",
            quotes=[_text(error)],
            setting=url_setting,
        ) from error


def _refusal(error: ResponseError, server: str, url_setting: str) -> StoreError:
    if isinstance(error, NoPermissionError) or _SCRIPT_NOT_PERMITTED in str(error):
        return StoreError(
            f"{server} does not permit this to the user in {url_setting}.",
            "Use one that may; docs/operating.md tells what each user needs.",
            quotes=(),
            setting=url_setting,
        )
    return StoreError(
        f"{server} refused a command: {_text(error)}.",
        "Look at its memory and its log.",
        quotes=[_text(error)],
        setting=url_setting,
    )


def _text(error: RedisError) -> str:
    """What redis-py says, without a full stop: some of its sentences end with one, some do not."""
    return str(error).rstrip(".")
