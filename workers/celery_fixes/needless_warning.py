"""Celery warns about a setting's future default although the setting is set.

Upstream: no issue known to us. As a report:

Celery 5.7.0. Set `worker_cancel_long_running_tasks_on_connection_loss = False`, start a worker, restart its broker.

Expected: no warning, because the setting is set.

Actual: at each lost connection, `CPendingDeprecationWarning: In Celery 5.1 we introduced an optional breaking change
…`. `Consumer.on_connection_error_after_connected` warns whenever the setting is false, set or not. With warnings
as errors, the exception also ends the handling of the lost connection half-way.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from celery.exceptions import CPendingDeprecationWarning

if TYPE_CHECKING:
    from collections.abc import Iterator

SEEN_IN: Final = ("celery 5.7",)


@contextmanager
def no_needless_warning() -> Iterator[None]:
    """Silences Celery's announcements of new defaults inside the block."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CPendingDeprecationWarning)
        yield
