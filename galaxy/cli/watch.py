"""Watches a version until it is final: what `galaxy deploy` and `galaxy logs -f --version` have in common."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final, NoReturn, TextIO

import click

from galaxy.cli.errors import say_error

if TYPE_CHECKING:
    from galaxy.domain.deploys.waiting import Waiting
    from galaxy.domain.log import LogFilter
    from galaxy.domain.models import Version, VersionRef
    from galaxy.services.queries import Queries

EXIT_FAILED: Final = 1
EXIT_TIMED_OUT: Final = 4
EXIT_DETACHED: Final = 130

#: Why a version waits, by `WaitReason`; one that waits to be built, and one that waits to be rolled out.
_WAITS: Final = {
    "no_worker": (
        "no build worker answers. It is built as soon as one runs; operators see more with `galaxy doctor`.",
        "no worker for rollouts answers. It goes on as soon as one runs; operators see more with `galaxy doctor`.",
    ),
    "no_free_slot": ("no build slot is free; the fleet has {slots}. It is built when its turn comes.",) * 2,
    "not_taken_yet": (
        "build workers answer, and none has begun it yet.",
        "workers for rollouts answer, and none has begun it yet.",
    ),
    "broker_away": ("the broker can't be reached, and workers hear of nothing. It goes on when it is back.",)
    * 2,
}


def watch(
    queries: Queries,
    ref: VersionRef,
    cursor: str,
    only: LogFilter | None = None,
    *,
    out: TextIO,
    as_json: bool = False,
    timeout_s: float | None = None,
) -> Version:
    """Shows the version's log until the version is final, and returns it then.

    Ends the process with `EXIT_TIMED_OUT` when that takes longer than `timeout_s`, and with `EXIT_DETACHED` at Ctrl-C.
    """
    from galaxy.cli.printer import LinePrinter

    give_up_at = None if timeout_s is None else time.monotonic() + timeout_s
    printer = LinePrinter(out, as_json=as_json)
    progress = None
    try:
        for progress in queries.watch(ref, cursor, only):
            printer.show(progress.lines)
            if progress.waiting is not None:
                click.echo(waits(ref, progress.waiting), err=True)
            if progress.unfinished and give_up_at is not None and time.monotonic() > give_up_at:
                say_error(f"Timed out waiting; {ref} is {progress.version.state} and goes on.")
                _leave(ref, EXIT_TIMED_OUT)
    except KeyboardInterrupt:
        detach(ref)
    if progress is None:
        raise AssertionError("a version is watched until it is final")
    return progress.version


def detach(ref: VersionRef) -> NoReturn:
    """Ends the process at Ctrl-C, and says how to watch the version again."""
    click.echo(f"\nDetached from {ref}, which is not affected.", err=True)
    _leave(ref, EXIT_DETACHED)


def waits(ref: VersionRef, waiting: Waiting) -> str:
    """Says that a version waits, and why."""
    why = _WAITS[waiting.reason][waiting.rollout].format(slots=waiting.slots)
    return f"Version {ref.number} waits: {why}"


def _leave(ref: VersionRef, code: int) -> NoReturn:
    click.echo(f"Attach again with: galaxy logs {ref.app} -f --version {ref.number}", err=True)
    sys.exit(code)
