"""A worker with a short visibility timeout delivers the running tasks of other workers again.

Upstream: https://github.com/celery/kombu/issues/337 describes the same index for tasks with an ETA; for workers with
different timeouts no issue is known to us. As a report:

kombu 5.7.0, Redis. Two workers share a broker and serve different queues. One has `visibility_timeout` 3600 in its
`broker_transport_options`, the other 30.

Expected: a message is delivered again after the timeout of the worker that has it.

Actual: all workers keep their unacknowledged messages under the same keys, by the time of delivery. Whichever worker
looks for lost messages judges all of them by its own timeout. A task of the first worker that runs for more than
half a minute is delivered a second time.
"""

from __future__ import annotations

from typing import Final

SEEN_IN: Final = ("kombu 5.7",)

#: Transport options: where workers that build nothing keep unacknowledged messages. Builds stay under kombu's own keys.
#: Users of Redis are permitted such names by their beginning.
CONTROL_KEYS: Final = {
    "unacked_key": "unacked.control",
    "unacked_index_key": "unacked_index.control",
    "unacked_mutex_key": "unacked_mutex.control",
}
