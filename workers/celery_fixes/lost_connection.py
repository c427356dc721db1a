"""A worker ends, or hides messages, when it loses its connection to Redis.

Upstream: https://github.com/celery/kombu/issues/582 (closed, and still there).

When a connection is lost, Celery calls `collect()` and `close()` on it. kombu then puts the messages that are not
acknowledged yet back into their queues, over that same connection. This fails if Redis is away.

Reproduction: consume a message from two channels of one connection, do not acknowledge it, stop Redis, and call
`connection.collect()` and `connection.close()`.

Expected: the connection is closed, and the messages can still be acknowledged over the next connection.

Actual: `close()` raises `AttributeError: 'NoneType' object has no attribute 'hostname'`. So does acknowledging such
a message when its task ends. Celery takes that for unrecoverable, and the worker ends. If Redis answers in
time, a message whose task still runs is delivered a second time. If it does not, messages of tasks that have not
begun stay hidden for the visibility timeout, which is hours for builds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import structlog
from celery.worker import state

from workers.celery_fixes.needless_warning import no_needless_warning

if TYPE_CHECKING:
    from kombu.transport.virtual import Message

SEEN_IN: Final = ("kombu 5.7",)

_celery: Any = import_module("celery.worker.consumer")  # its stubs lack what is overridden here

logger = structlog.get_logger(__name__)


class SurvivesLostConnections(_celery.Consumer):  # type: ignore[misc] # Any, see above
    """A consumer whose deliveries outlive their connection.

    Deliveries of running tasks move to the next connection, where they are acknowledged when their task ends. All
    others are put back into their queues as soon as there is a connection again.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Celery's own signature
        self._unacknowledged: dict[str, Message] = {}
        super().__init__(*args, **kwargs)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Lets Celery tidy up the lost connection, and keeps the deliveries that nobody has acknowledged."""
        channel = self.task_consumer.channel if self.task_consumer is not None else None
        if channel is not None:
            channel.do_restore = False
        with no_needless_warning():
            try:
                super().on_connection_error_after_connected(exc)
            except Exception as error:  # noqa: BLE001 - whatever it is, a new connection follows
                logger.warning("consumer.not_tidied", error=repr(error))
        if channel is not None:  # only now: while the channel is being closed it may take one message more
            self._unacknowledged |= _detach_unacknowledged(channel)

    def on_ready(self) -> None:
        """Connected, for the first time or again. If this connection breaks too, the rest waits for the next one."""
        super().on_ready()
        running = {str(request.id) for request in state.active_requests}
        while self._unacknowledged:
            tag, message = next(iter(self._unacknowledged.items()))
            _settle(message, self.task_consumer.channel, running=message.headers.get("id") in running)
            del self._unacknowledged[tag]


class _NoChannel:
    """The channel of a message while there is no connection; the message itself remembers that it is acknowledged."""

    no_ack_consumers = None

    def basic_ack(self, delivery_tag: str, *, multiple: bool = False) -> None:
        """Does nothing: there is no connection."""

    def basic_reject(self, delivery_tag: str, *, requeue: bool = False) -> None:
        """Does nothing: there is no connection."""


def _detach_unacknowledged(channel: Any) -> dict[str, Message]:  # noqa: ANN401 - kombu's stubs lack a channel's attributes
    """What a lost connection had delivered and nobody has acknowledged, by delivery tag."""
    delivered, acknowledged = channel.qos._delivered, channel.qos._dirty  # noqa: SLF001 - kombu has no other way
    left = {tag: message for tag, message in delivered.items() if tag not in acknowledged}
    for message in left.values():
        message.channel = _NoChannel()
    return left


def _settle(message: Message, channel: Any, *, running: bool) -> None:  # noqa: ANN401 - as above
    """Acknowledges a delivery of a lost connection on the new one, leaves it to its running task, or puts it back."""
    tag = str(message.delivery_tag)
    if message.acknowledged:
        channel.basic_ack(tag)
    elif running:
        channel.qos.append(message, tag)
        message.channel = channel
    else:
        # at the worst its task has just begun; then the second delivery finds the lease held
        channel.qos.restore_by_tag(tag)
