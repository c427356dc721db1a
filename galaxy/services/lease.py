"""Holding the lease of an attempt while it is built."""

from __future__ import annotations

import time
from threading import Event, Thread
from typing import TYPE_CHECKING, Self

import structlog

from galaxy.domain.errors import Abandoned, BuildTimedOut, Cancelled, LeaseLost, StoreError, Superseded
from galaxy.domain.states import VersionState

if TYPE_CHECKING:
    from types import TracebackType

    from galaxy.adapters.store.leases import LeaseStore
    from galaxy.domain.models import Attempt

logger = structlog.get_logger(__name__)


class HeldLease:
    """Renews an attempt's lease from a thread of its own, and knows whether the attempt may go on.

    Args:
        renew_every_s: Short enough that a cancelled build ends within seconds.
        lease_s: Without a renewal for this long the lease is taken for lost.
        timeout_s: Deadline of the whole attempt.
    """

    def __init__(
        self, leases: LeaseStore, attempt: Attempt, *, renew_every_s: float, lease_s: float, timeout_s: float
    ) -> None:
        self._leases = leases
        self._attempt = attempt
        self._renew_every_s = renew_every_s
        self._lease_s = lease_s
        self._timeout_s = timeout_s
        self._deadline = time.monotonic() + timeout_s
        self._renewed_at = time.monotonic()
        self._released = Event()
        self._lost: Abandoned | None = None
        self._thread = Thread(target=self._renew, name=f"lease {attempt.ref}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._released.set()
        self._thread.join()

    def check(self) -> None:
        """Returns while the attempt may go on.

        Raises:
            Abandoned: The lease is lost, or the version was superseded or cancelled.
            BuildTimedOut: The deadline has passed.
        """
        if self._lost:
            raise self._lost
        # not the thread's business: it may hang in a call, or the whole process may have been stopped
        if time.monotonic() - self._renewed_at > self._lease_s:
            raise LeaseLost(f"The lease of {self._attempt.ref} could not be renewed in time.")
        if time.monotonic() > self._deadline:
            raise BuildTimedOut(
                f"The build took longer than {self._timeout_s:g} s and was stopped.",
                "Make setup.sh quicker, or ask the operator for a longer build timeout.",
            )

    def _renew(self) -> None:
        while not self._released.wait(self._renew_every_s):
            asked_at = time.monotonic()
            try:
                lost_to = self._leases.renew(self._attempt)
            except StoreError as error:
                logger.warning("lease.not_renewed", error=str(error))
                continue
            if lost_to:
                self._lost = abandoned(self._attempt, lost_to)
                return
            self._renewed_at = asked_at


def abandoned(attempt: Attempt, lost_to: VersionState) -> Abandoned:
    """Why an attempt that lost its lease to this state has no reason to go on."""
    if lost_to is VersionState.SUPERSEDED:
        return Superseded(f"A newer version of {attempt.app} was deployed.")
    if lost_to is VersionState.CANCELLED:
        return Cancelled(f"The {attempt.ref} was cancelled.".replace("The version", "Version"))
    return LeaseLost(f"Attempt {attempt.number} of {attempt.ref} was ended by another process.")
