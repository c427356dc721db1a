"""Admits waiting rebuilds after a task has done its own work, and never at the cost of that work."""

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
def admits_rebuilds() -> Iterator[None]:
    """After the block, however it ends, waiting rebuilds get the slots that are free now."""
    with _afterwards(lambda rebuilds: rebuilds.admit()):
        yield


@contextmanager
def resumes_rebuilds() -> Iterator[None]:
    """After the block, however it ends, rebuilds do what nobody else has done for them."""
    with _afterwards(lambda rebuilds: rebuilds.catch_up()):
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
