"""What the end of a build or of a rollout sets free."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from galaxy.bootstrap import pipeline
from galaxy.domain.errors import GalaxyError

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = structlog.get_logger(__name__)


@contextmanager
def rebuilds_go_on() -> Iterator[None]:
    """After the block, however it ends, waiting rebuilds get the slots that are free now."""
    try:
        yield
    finally:
        try:
            pipeline().rebuilds.go_on()
        except GalaxyError as error:  # the reconciler makes up for it
            logger.warning("rebuilds.not_admitted", error=str(error))
