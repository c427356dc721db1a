"""The pauses between two tries to reach a lost broker grow to half a minute, and no setting limits them.

Upstream: no issue known to us. As a report:

Celery 5.7.0, kombu 5.7.0. Start a worker, stop its broker for a minute, start it again.

Expected: a setting beside `broker_connection_max_retries` limits the pause, as `interval_max` in
`task_publish_retry_policy` does for whoever sends tasks.

Actual: `Consumer.ensure_connected` passes no `interval_max` to kombu's `Connection.ensure_connection`, whose default
is 30 seconds. A worker may notice only half a minute later that its broker is back.
`broker_transport_options` does not help: it limits the pauses of a channel, not those of this connection.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any, Final

SEEN_IN: Final = ("celery 5.7",)

#: Seconds between two tries to reach a broker that is away.
LONGEST_PAUSE_S: Final = 3

_celery: Any = import_module("celery.worker.consumer")  # its stubs lack what is overridden here


class ReconnectsSoon(_celery.Consumer):  # type: ignore[misc] # Any, see above
    """A consumer that notices within seconds when its broker is back."""

    def ensure_connected(self, conn: Any) -> Any:  # noqa: ANN401 - a kombu connection, whose method is wrapped
        """Waits for the broker."""
        conn.ensure_connection = partial(conn.ensure_connection, interval_max=LONGEST_PAUSE_S)
        return super().ensure_connected(conn)
