"""Blocking calls that can be given up."""

from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

#: How often `check_cancelled` is asked.
_ASK_EVERY_S: Final = 0.2
#: How long a call may take to notice that it was cut off.
_END_S: Final = 1.0


def interruptible(
    call: Callable[[], T], check_cancelled: Callable[[], None], cut_off: Callable[[], None] | None = None
) -> T:
    """Makes a blocking call in a thread of its own; asks first, and then several times a second, whether to go on.

    What `call` returns or raises, this returns or raises. When `check_cancelled` raises, so does this, and nobody waits
    for the call any more.

    Args:
        call: What blocks.
        check_cancelled: Raises when there is no reason to go on.
        cut_off: Ends the call from outside, such as by closing what it reads from. Without it the call goes on,
            unseen, to its own end.
    """
    check_cancelled()
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
    try:
        while not done.wait(_ASK_EVERY_S):
            check_cancelled()
    except BaseException:
        if cut_off:
            cut_off()
            done.wait(_END_S)
        raise
    if errors:
        raise errors[0]
    return results[0]
