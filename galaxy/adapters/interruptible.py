"""Blocking calls that can be given up."""

from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

#: How often `keep_going` is asked.
_TICK_S: Final = 0.2


def interruptible(call: Callable[[], T], keep_going: Callable[[], None]) -> T:
    """Makes a blocking call in a thread of its own; asks first, and then several times a second, whether to go on.

    What `call` returns or raises, this returns or raises. When `keep_going` raises, the call is left alone, and
    ends whenever its socket does: what it uses must not be used again.
    """
    keep_going()
    results: list[T] = []
    errors: list[BaseException] = []
    done = Event()

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - raised again below, in the thread that waits
            errors.append(error)
        finally:
            done.set()

    Thread(target=run, name="interruptible", daemon=True).start()
    while not done.wait(_TICK_S):
        keep_going()
    if errors:
        raise errors[0]
    return results[0]
