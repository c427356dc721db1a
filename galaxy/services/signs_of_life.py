"""Ends a step that hangs silently, long before the deadline of the whole attempt."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from galaxy.domain.base_images.contract import SETUP_SCRIPT
from galaxy.domain.errors import BuildTimedOut, EngineError
from galaxy.domain.states import Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from galaxy.domain.errors import GalaxyError


class SignsOfLife:
    """Knows when a step last showed a sign of life: output of setup, or progress of a pull or push.

    Args:
        step: The step that is watched.
        check_cancelled: Called at each check; raises if the attempt has to stop.
        timeout_s: The longest silence that is allowed, in seconds; 0 allows any.
    """

    def __init__(self, step: Step, check_cancelled: Callable[[], None], *, timeout_s: float) -> None:
        self._step = step
        self._check_cancelled = check_cancelled
        self._timeout_s = timeout_s
        self._seen_at = time.monotonic()

    def seen(self) -> None:
        """Notes a sign of life."""
        self._seen_at = time.monotonic()

    def check(self) -> None:
        """Returns if the step may continue.

        Raises:
            BuildTimedOut: setup.sh was silent for too long.
            EngineError: A pull or push made no progress for too long.
        """
        self._check_cancelled()
        if self._timeout_s and time.monotonic() - self._seen_at > self._timeout_s:
            raise self._too_silent()

    def _too_silent(self) -> GalaxyError:
        if self._step is Step.SETUP:
            return BuildTimedOut(
                f"{SETUP_SCRIPT} printed nothing for {self._timeout_s:g} s and was stopped.",
                "Make it print what it does, or ask the operator to allow a longer silence.",
            )
        return EngineError(
            f"The {self._step} made no progress for {self._timeout_s:g} s and was stopped.",
            "Operators: check the registry and the engine's network.",
            quotes=(),
        )
