"""A worker that was started by `nohup` heeds SIGHUP all the same.

Upstream: no issue known to us. As a report:

Celery 5.7.0. `nohup celery -A proj worker > worker.log &`, then close the terminal.

Expected: the worker goes on. `nohup` has the shell ignore SIGHUP for it, and programs keep an ignored SIGHUP ignored.

Actual: `Worker.install_platform_tweaks` installs its restart handler whatever the handler was before, so the worker
starts anew; and its processes, which got that handler by fork, end at once and lose their tasks.
"""

from __future__ import annotations

import signal
from typing import Final

SEEN_IN: Final = ("celery 5.7",)

#: What the process was started with, before Celery forgets it.
_STARTED_BY_NOHUP: Final = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def keep_ignoring_hangup() -> None:
    """Ignores SIGHUP again if this process was started that way."""
    if _STARTED_BY_NOHUP:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
