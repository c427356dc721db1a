"""Celery's settings: a projection of `galaxy.settings`, and what the fleet needs of Celery itself."""

from kombu import Queue as DeclaredQueue

from beat.schedule import schedule
from galaxy.adapters.queue import TRANSPORT_OPTIONS
from galaxy.domain.fleet import ROUTES, Queue, TaskName
from galaxy.settings import current

_settings = current()

include = tuple(str(task) for task in TaskName)

broker_url = _settings.broker_url.get_secret_value()
result_backend = broker_url
redis_socket_timeout = TRANSPORT_OPTIONS[
    "socket_timeout"
]  # the result backend's; Celery's default is two minutes
redis_socket_keepalive = True
broker_use_ssl = _settings.broker_tls  # Celery reads the URL; Flower only this
broker_connection_retry_on_startup = True
broker_connection_max_retries = None  # a worker waits for its broker, however long it is away
broker_channel_error_retry = (
    True  # a broker that is full refuses commands; without this, a worker ends for that
)
broker_transport_options = {
    **TRANSPORT_OPTIONS,
    # A delivery that is longer away than this is delivered again. That is harmless, the lease decides; so this
    # only has to be longer than a build, for the sake of quiet logs. Workers without builds have less of it, from
    # workers.serving.
    "visibility_timeout": _settings.build_timeout_s * 2,
    # -Q builds,builds.bulk: bulk is served only while builds is empty; and the reconciler before deploys
    "queue_order_strategy": "priority",
}

# declared, or Flower's broker page misses them
task_queues = [DeclaredQueue(str(queue)) for queue in Queue]
task_create_missing_queues = False
task_default_queue = str(Queue.CONTROL)
task_routes = {str(task): {"queue": str(queue)} for task, queue in ROUTES.items()}

# The lease makes a second delivery harmless, so nothing is acknowledged before it is done, and with a prefetch
# of one nothing is reserved behind a long build.
task_acks_late = True
worker_prefetch_multiplier = 1
worker_consumer = "workers.consumer:FleetConsumer"  # outlives its broker connections
# a connection that breaks must not cancel builds: they go on, and the lease decides
worker_cancel_long_running_tasks_on_connection_loss = False

accept_content = ["json"]
task_serializer = "json"
result_serializer = "json"
result_expires = 3600  # seconds; only deploys have results, and their callers wait
result_extended = False  # results would hold the deploy's settings

worker_send_task_events = True  # Flower lives on them
task_send_sent_event = False  # a sent event would show the deploy's settings
# and a client that sends such events does so to the default exchange, where nobody listens
event_exchange = "galaxy.events"
worker_hijack_root_logger = False  # workers.log_output configures logging
task_track_started = True

beat_schedule = schedule(_settings)
beat_scheduler = "beat.scheduler:LeadingScheduler"
timezone = "UTC"
