"""Which queues a worker serves, and how long its unfinished messages stay hidden from other workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from galaxy.domain.fleet import served, serves_builds
from galaxy.settings import current
from workers.celery_fixes.shared_unacked_keys import CONTROL_KEYS

if TYPE_CHECKING:
    from celery import Celery
    from celery.apps.worker import Worker

#: How often a worker looks for lost messages within one visibility timeout.
_LOOKS: Final = 6


def builds(app: Celery) -> bool:
    """Whether the worker of this process serves builds."""
    return serves_builds(app.amqp.queues.consume_from)


def add_companion_queues(instance: Worker, **_: object) -> None:
    """Handler of `celeryd_after_setup`: adds the queues that always go with those of the command line."""
    queues = instance.app.amqp.queues
    queues.select(served(queues.consume_from))


def shorten_visibility_timeout(instance: Worker, **_: object) -> None:
    """Handler of `celeryd_after_setup`, which Celery calls before the worker connects.

    When a worker is killed, the broker delivers its unfinished messages again after the visibility timeout. For builds
    that is hours: a build takes long, and the reconciler recovers it sooner. Workers that run no builds get a short
    timeout, because a deploy must not stay hidden for hours and then come after newer ones.
    """
    app = instance.app
    if builds(app):
        return
    after_s = current().redeliver_after_s
    app.conf.broker_transport_options = {
        **app.conf.broker_transport_options,
        **CONTROL_KEYS,
        "visibility_timeout": after_s,
        "unacked_mutex_expire": after_s,
        "unacked_restore_interval": after_s / _LOOKS,
        "unacked_restore_throttle": 1,
    }
