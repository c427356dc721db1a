"""What the caller wants of a run."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.chaos import faults
from tests.support import own_engine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.chaos.faults import Fault

_DEFAULT_BUILDS: Final = 40


class BadChoiceError(Exception):
    """It makes no sense; the text says why."""


class Choice(NamedTuple):
    """A run. With the same seed, the same things are done in the same order; when exactly, the machine decides.

    Attributes:
        builds: How many deploys there are.
        faults: Kinds of faults; each one comes at least once.
        workers: Build workers, of two slots each.
        asked: The kinds that were asked for; None: all.
    """

    seed: int
    builds: int
    faults: tuple[Fault, ...]
    workers: int = 2
    asked: str | None = None

    @property
    def command(self) -> str:
        """How to do the same again."""
        kinds = f" CHAOS_FAULTS={self.asked}" if self.asked is not None else ""
        workers = f" CHAOS_WORKERS={self.workers}" if self.workers != 2 else ""
        return f"make chaos CHAOS_SEED={self.seed} CHAOS_BUILDS={self.builds}{workers}{kinds}"


def choose(environment: Mapping[str, str]) -> Choice:
    """Reads CHAOS_SEED, CHAOS_BUILDS, CHAOS_WORKERS and CHAOS_FAULTS (names with commas between them).

    Raises:
        BadChoiceError: One of them is malformed.
    """
    asked = environment.get("CHAOS_FAULTS")
    return Choice(
        seed=_number(environment, "CHAOS_SEED", secrets.randbelow(10**6), least=0),
        builds=_number(environment, "CHAOS_BUILDS", _DEFAULT_BUILDS, least=1),
        faults=_kinds(asked),
        workers=_number(environment, "CHAOS_WORKERS", 2, least=2),
        asked=asked,
    )


def left_out() -> str | None:
    """Why faults that need an engine of the run's own can't be had here; None if they can."""
    return own_engine.why_not()


def _number(environment: Mapping[str, str], name: str, default: int, *, least: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or int(text) < least:
        raise BadChoiceError(f"{name}={text}: must be a whole number from {least} on.")
    return int(text)


def _kinds(asked: str | None) -> tuple[Fault, ...]:
    known = {fault.name: fault for fault in faults.ALL}
    names = [*known] if asked is None else [name.strip() for name in asked.split(",") if name.strip()]
    if unknown := [name for name in names if name not in known]:
        raise BadChoiceError(
            f"CHAOS_FAULTS: no such faults: {', '.join(unknown)}. There are {', '.join(known)}."
        )
    return tuple(known[name] for name in names if known[name].part != faults.ENGINE or left_out() is None)
