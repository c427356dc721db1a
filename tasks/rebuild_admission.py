"""What a task does for waiting rebuilds after its own work, and never at the cost of that work."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from galaxy.bootstrap import pipeline
from galaxy.domain.errors import GalaxyError
from workers.task import sanitized_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from galaxy.services.rebuilds import Rebuilds

logger = structlog.get_logger(__name__)


@contextmanager
def admit_rebuilds_afterwards() -> Iterator[None]:
    """After the block, also if it fails, gives waiting rebuilds the slots that are free now."""
    with _afterwards(lambda rebuilds: rebuilds.admit()):
        yield


@contextmanager
def catch_up_rebuilds_afterwards() -> Iterator[None]:
    """After the block, also if it fails, admits and resumes rebuilds, as the reconciler does."""
    with _afterwards(lambda rebuilds: rebuilds.catch_up()):
        yield


@contextmanager
def _afterwards(work: Callable[[Rebuilds], object]) -> Iterator[None]:
    try:
        yield
    finally:
        try:
            with sanitized_errors():
                work(pipeline().rebuilds)
        except GalaxyError as error:  # the reconciler does it within seconds
            logger.warning("rebuilds.delayed", error=str(error))
