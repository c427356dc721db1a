"""The Celery app of the fleet: `celery -A workers worker|beat|flower`.

`signals` lists what happens when; `shutdown` is what a worker does at SIGTERM; `serving` which queues a worker serves
unasked; `reaping` keeps a build worker's engine clean. `task` is the base class with the retry policy, and
`hidden_arguments` what others may see of a task. `celery_fixes` works around defects of Celery, one module each.
"""

from celery import Celery

from workers import signals

app = Celery("galaxy")
app.config_from_object("celeryconfig")
signals.connect()
