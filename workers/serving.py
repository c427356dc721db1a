"""What a worker serves besides what it was told, and for how long it keeps others from what it took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from galaxy.domain.fleet import served, serves_builds
from galaxy.settings import current

if TYPE_CHECKING:
    from celery import Celery
    from celery.apps.worker import Worker

#: Where workers that build nothing keep what they took. Whoever looks for lost messages judges all that are in there
#: by its own patience, so builds are kept elsewhere. Users of Redis are permitted such names by their beginning.
_UNACKED: Final = {
    "unacked_key": "unacked.control",
    "unacked_index_key": "unacked_index.control",
    "unacked_mutex_key": "unacked_mutex.control",
}
#: So often in the time after which a message is lost, somebody looks for lost ones.
_LOOKS: Final = 6


def builds(app: Celery) -> bool:
    """Whether the worker of this process serves builds."""
    return serves_builds(app.amqp.queues.consume_from)


def serve_unasked(instance: Worker, **_: object) -> None:
    """Handler of `celeryd_after_setup`: a worker serves what its command line names, and what goes with that."""
    queues = instance.app.amqp.queues
    queues.select(served(queues.consume_from))


def give_back_soon(instance: Worker, **_: object) -> None:
    """Handler of `celeryd_after_setup`, which comes before the worker connects.

    What a worker was doing when it was killed is delivered again after the visibility timeout. For builds that is
    hours, because a build takes long, and the lease is there for them. A deploy would be hidden as long, and then
    be made over newer ones; whatever else is no build is as short, and as harmless to do twice.
    """
    app = instance.app
    if builds(app):
        return
    after_s = current().redeliver_after_s
    app.conf.broker_transport_options = {
        **app.conf.broker_transport_options,
        **_UNACKED,
        "visibility_timeout": after_s,
        "unacked_mutex_expire": after_s,
        "unacked_restore_interval": after_s / _LOOKS,
        "unacked_restore_throttle": 1,
    }
