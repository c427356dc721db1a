"""The fleet's consumer: Celery's, without gossip, and with what Celery lacks when its broker is away."""

from __future__ import annotations

from typing import Any

from workers.celery_fixes.lost_connection import SurvivesLostConnections
from workers.celery_fixes.reconnect_pause import ReconnectsSoon


class FleetConsumer(SurvivesLostConnections, ReconnectsSoon):
    """Goes on with the same messages whatever happens to its broker, and does not talk to other workers.

    Gossip and mingle are off. With them, each worker follows every other one's heartbeats and waits for the others
    at each connection. What they offer, elections and a common list of revoked tasks, nobody here uses.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - Celery's own signature
        worker_options: dict[str, object] | None = None,
        **kwargs: Any,  # noqa: ANN401 - as above
    ) -> None:
        options = {**(worker_options or {}), "without_gossip": True, "without_mingle": True}
        super().__init__(*args, worker_options=options, **kwargs)
