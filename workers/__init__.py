"""The Celery app of the fleet: `celery -A workers worker|beat|flower`."""

from celery import Celery

from workers import signals

app = Celery("galaxy")
app.config_from_object("celeryconfig")
signals.connect()
