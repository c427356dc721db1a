"""Sends Celery messages, and asks the broker and the workers about themselves.

Messages carry names and numbers, and never what an app was deployed with.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from galaxy.domain.diagnosis.fleet import WorkerFacts
from galaxy.domain.errors import QueueError
from galaxy.domain.fleet import ROUTES, Queue, TaskName, build_queue

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from galaxy.domain.base_images.fan_out import NewVersionCall
    from galaxy.domain.models import VersionRef

ABOUT: Final = "galaxy_about"
"""The question that workers answer with what they are; see `workers/about.py`."""

#: How kombu talks to Redis. Without time-outs, whoever talks to a broker that hangs, hangs with it.
TRANSPORT_OPTIONS: Final = {
    "socket_connect_timeout": 3,
    "socket_timeout": 10,
    "socket_keepalive": True,
    # after this long without an answer a worker takes its connection for dead, and makes another one
    "health_check_interval": 10,
}

#: A key in the broker's database, beside kombu's own: since when (s) the database has not been emptied.
_SINCE: Final = "galaxy.since"

#: How often kombu tries to send a message again. Its waits are its own: it has no place for a function of ours.
_RETRY: Final = {"max_retries": 3, "interval_start": 0.1, "interval_step": 0.5, "interval_max": 1}


class TaskQueue:
    """Sends Celery messages. All methods raise `QueueError` when the broker can't be reached.

    Args:
        broker_url: As Celery writes it; may hold a password.
        timeout_s: How long the broker may take for an answer. Callers that must not block give a short one.
    """

    def __init__(self, broker_url: str, *, timeout_s: float | None = None) -> None:
        self._celery = Celery("galaxy.queue", broker=broker_url, set_as_current=False)
        patience = {"socket_timeout": timeout_s} if timeout_s else {}
        self._celery.conf.update(
            task_ignore_result=True, broker_transport_options={**TRANSPORT_OPTIONS, **patience}
        )

    def build(self, ref: VersionRef, *, retries: int = 0, automatic: bool = False) -> None:
        """A version waits to be built.

        Args:
            ref: Which one.
            retries: How many attempts it has had.
            automatic: Nobody waits for it.
        """
        self._send(TaskName.BUILD, _ids(ref), queue=build_queue(automatic=automatic), retries=retries)

    def roll_out(self, ref: VersionRef) -> None:
        """A version waits to be rolled out."""
        self._send(TaskName.ROLL_OUT, _ids(ref))

    def is_empty(self, *, automatic: bool = False) -> bool:
        """No build of this kind is enqueued; those that workers have fetched do not count."""
        with _translated(), self._celery.connection_for_write() as connection:
            channel: Any = connection.default_channel  # kombu types it as less than it is
            queue = build_queue(automatic=automatic)
            return int(channel.queue_declare(str(queue)).message_count) == 0

    def age_s(self) -> float:
        """For how long, as far as is known, the broker has lost nothing: since somebody asked it first.

        Whatever was enqueued earlier is not in it, unless a worker has fetched it.
        """
        with _translated(), self._celery.connection_for_write() as connection:
            channel: Any = connection.default_channel  # as above
            seconds, micros = channel.client.time()
            now_s = seconds + micros / 1_000_000
            channel.client.set(_SINCE, now_s, nx=True)
            since_s = channel.client.get(_SINCE)
            return max(0.0, now_s - float(since_s)) if since_s else 0.0

    def depths(self) -> dict[str, int]:
        """How many messages wait in each queue; those that workers have fetched do not count."""
        with _translated(), self._connected() as connection:
            channel: Any = connection.default_channel  # kombu types it as less than it is
            return {str(queue): int(channel.queue_declare(str(queue)).message_count) for queue in Queue}

    def workers(self, *, wait_s: float) -> tuple[WorkerFacts, ...]:
        """All workers that answer within `wait_s`, by name."""
        with _translated(), self._connected() as connection:
            replies = self._celery.control.broadcast(ABOUT, connection=connection, reply=True, timeout=wait_s)
        answers = {name: answer for reply in replies or () for name, answer in reply.items()}
        return tuple(_worker(name, answers[name]) for name in sorted(answers))

    @contextmanager
    def _connected(self) -> Iterator[Any]:  # kombu types it as less than it is
        """A connection for callers that must not block: it is tried once."""
        with self._celery.connection_for_write() as connection:
            connection.ensure_connection(max_retries=0, timeout=3)
            yield connection

    def fan_out(self, image: str, update: int) -> None:
        """An update of a base image goes on."""
        self._send(TaskName.FAN_OUT, {"image": image, "update": update})

    def new_versions(self, image: str, update: int, calls: Sequence[NewVersionCall]) -> None:
        """Apps need an automatic version each, for an update of a base image.

        They share a message, which costs a worker about as much as twenty versions do.
        """
        if calls:
            apps = [list(call) for call in calls]
            self._send(TaskName.NEW_VERSION, {"image": image, "update": update, "apps": apps})

    def _send(
        self, task: TaskName, arguments: dict[str, object], *, queue: Queue | None = None, retries: int = 0
    ) -> None:
        """Sends to the task's own queue, unless another one is named."""
        with _translated():
            self._celery.send_task(
                str(task),
                kwargs=arguments,
                queue=str(queue or ROUTES[task]),
                retries=retries,
                ignore_result=True,
                retry_policy=_RETRY,
            )


def _ids(ref: VersionRef) -> dict[str, object]:
    return {"app": ref.app, "version": ref.number}


def _worker(name: str, answer: Mapping[str, Any]) -> WorkerFacts:
    """What a worker answered. Workers that do not know the question answer with an error; newer ones may tell more."""
    known = {field: value for field, value in answer.items() if field in WorkerFacts.model_fields}
    return WorkerFacts(name=name, **known)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OperationalError, RedisError) as error:
        raise QueueError(
            f"The broker can't be reached ({type(error).__name__}).",
            "Check its address and that it runs.",
            setting="GALAXY_BROKER_URL",
        ) from error
