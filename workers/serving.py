"""What a worker serves besides what it was told, and for how long it keeps others from what it took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from galaxy.adapters.queue import BARE_CLIENTS, BUILDS, BULK_BUILDS, CONTROL, RECONCILE
from galaxy.settings import Settings
from workers.celery_fixes.shared_unacked_keys import CONTROL_KEYS

if TYPE_CHECKING:
    from celery import Celery
    from celery.apps.worker import Worker

#: So often in the time after which a message is lost, somebody looks for lost ones.
_LOOKS: Final = 6


def builds(app: Celery) -> bool:
    """Whether the worker of this process serves builds."""
    return not {BUILDS, BULK_BUILDS}.isdisjoint(app.amqp.queues.consume_from)


def serve_unasked(instance: Worker, **_: object) -> None:
    """Handler of `celeryd_after_setup`: whoever serves `control` serves two more queues.

    The reconciler's comes first, and that of clients that were told no queue right after `control`.
    """
    queues = instance.app.amqp.queues
    first = (RECONCILE, CONTROL, BARE_CLIENTS)
    if CONTROL in queues.consume_from:
        queues.select([*first, *(name for name in queues.consume_from if name not in first)])


def give_back_soon(instance: Worker, **_: object) -> None:
    """Handler of `celeryd_after_setup`, which comes before the worker connects.

    What a worker was doing when it was killed is delivered again after the visibility timeout. For builds that is
    hours, because a build takes long, and the lease is there for them. A deploy would be hidden as long, and then
    be made over newer ones; whatever else is no build is as short, and as harmless to do twice.
    """
    app = instance.app
    if builds(app):
        return
    after_s = Settings().redeliver_after_s
    app.conf.broker_transport_options = {
        **app.conf.broker_transport_options,
        **CONTROL_KEYS,
        "visibility_timeout": after_s,
        "unacked_mutex_expire": after_s,
        "unacked_restore_interval": after_s / _LOOKS,
        "unacked_restore_throttle": 1,
    }
