"""What goes on with automatic versions after something else, and never at its cost."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from galaxy.bootstrap import pipeline
from galaxy.domain.errors import GalaxyError
from workers.task import only_our_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from galaxy.services.rebuilds import Rebuilds

logger = structlog.get_logger(__name__)


@contextmanager
def rebuilds_go_on() -> Iterator[None]:
    """After the block, however it ends, waiting rebuilds get the slots that are free now."""
    with _afterwards(lambda rebuilds: rebuilds.go_on()):
        yield


@contextmanager
def rebuilds_keep_going() -> Iterator[None]:
    """After the block, however it ends, rebuilds do what nobody else has done for them."""
    with _afterwards(lambda rebuilds: rebuilds.keep_going()):
        yield


@contextmanager
def _afterwards(work: Callable[[Rebuilds], object]) -> Iterator[None]:
    try:
        yield
    finally:
        try:
            with only_our_words():
                work(pipeline().rebuilds)
        except GalaxyError as error:  # the reconciler makes up for it, if need be next time
            logger.warning("rebuilds.delayed", error=str(error))
