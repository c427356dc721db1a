"""The worker's consumer: Celery's, except that a lost broker connection can neither end it nor hide its messages."""

from __future__ import annotations

import warnings
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import structlog
from celery.exceptions import CPendingDeprecationWarning
from celery.worker import state

if TYPE_CHECKING:
    from kombu.transport.virtual import Message

_celery: Any = import_module("celery.worker.consumer")  # its stubs lack what is overridden here

#: Seconds between two tries to reach a broker that is away. Celery's own pauses grow to half a minute.
_LONGEST_PAUSE_S: Final = 3

logger = structlog.get_logger(__name__)


class SteadyConsumer(_celery.Consumer):  # type: ignore[misc] # Any, see above
    """Survives whatever happens to its broker, and goes on with the same messages.

    When a connection is lost, kombu puts messages that are not acknowledged yet back into their queues: over that same
    connection, which fails if the broker is away. With kombu 5.7 the second try, moments later, raises an
    AttributeError, and so does acknowledging such a message when its task ends (kombu's issue 582). Celery takes that
    for unrecoverable: the worker ends. `test_consumer.py` tells when kombu can do without this. And where
    it goes well, a build that still runs is delivered a second time; where it does not, messages of waiting tasks
    stay hidden for the visibility timeout, which is hours.

    So here deliveries outlive their connection: those of running tasks move to the next one, all others are put back.

    Gossip and mingle are off. They tell each worker of every other one's heartbeats, and let it wait for the others at
    each connection; what they offer, elections and a common list of revoked tasks, nobody here uses.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - Celery's own signature
        worker_options: dict[str, object] | None = None,
        **kwargs: Any,  # noqa: ANN401 - as above
    ) -> None:
        self._left_behind: dict[str, Message] = {}
        options = {**(worker_options or {}), "without_gossip": True, "without_mingle": True}
        super().__init__(*args, worker_options=options, **kwargs)

    def ensure_connected(self, conn: Any) -> Any:  # noqa: ANN401 - a kombu connection, whose method is wrapped
        """Waits for the broker, and notices within seconds when it is back."""
        conn.ensure_connection = partial(conn.ensure_connection, interval_max=_LONGEST_PAUSE_S)
        return super().ensure_connected(conn)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Celery tidies up what is left of the connection; none of that is worth ending for."""
        channel = self.task_consumer.channel if self.task_consumer is not None else None
        if channel is not None:
            channel.do_restore = False
        with warnings.catch_warnings():
            # it announces a default for a setting that celeryconfig.py sets
            warnings.simplefilter("ignore", CPendingDeprecationWarning)
            try:
                super().on_connection_error_after_connected(exc)
            except Exception as error:  # noqa: BLE001 - whatever it is, a new connection follows
                logger.warning("consumer.not_tidied", error=repr(error))
        if channel is not None:  # only now, for while it is closed it may take one message more
            self._left_behind |= _deliveries_of(channel)

    def on_ready(self) -> None:
        """Connected, for the first time or again. Should this connection break here, the rest waits for the next."""
        super().on_ready()
        running = {str(request.id) for request in state.active_requests}
        while self._left_behind:
            tag, message = next(iter(self._left_behind.items()))
            _move(message, self.task_consumer.channel, runs=message.headers.get("id") in running)
            del self._left_behind[tag]


class _NoChannel:
    """Where messages belong while there is no connection: acknowledging one is remembered by the message itself."""

    no_ack_consumers = None

    def basic_ack(self, delivery_tag: str, *, multiple: bool = False) -> None:
        """Nothing can be told to anybody now."""

    def basic_reject(self, delivery_tag: str, *, requeue: bool = False) -> None:
        """As above."""


def _deliveries_of(channel: Any) -> dict[str, Message]:  # noqa: ANN401 - kombu's stubs know less than it has
    """What a lost connection had delivered and nobody has acknowledged, by tag. It belongs to no channel now."""
    delivered, acknowledged = channel.qos._delivered, channel.qos._dirty  # noqa: SLF001 - kombu has no other way
    left = {tag: message for tag, message in delivered.items() if tag not in acknowledged}
    for message in left.values():
        message.channel = _NoChannel()
    return left


def _move(message: Message, channel: Any, *, runs: bool) -> None:  # noqa: ANN401 - as above
    """Gives a delivery whose connection was lost its due on the next one."""
    tag = str(message.delivery_tag)
    if message.acknowledged:
        channel.basic_ack(tag)
    elif runs:
        channel.qos.append(message, tag)
        message.channel = channel
    else:
        # at the worst its task has just begun; then the second delivery finds the lease held
        channel.qos.restore_by_tag(tag)
