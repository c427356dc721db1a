"""Why Celery is patched here, and when that can go.

Celery, kombu and billiard have defects that would lose a build, show a secret, or end a worker. Each module of this
package works around one of them. Its docstring describes the defect as a report to the maintainers would, with a link
to their issue where there is one, and `SEEN_IN` names the releases in which we saw it.

`tests/unit/test_celery_fixes.py` has a test for each module that shows the defect in the installed release, without
our code. When such a test fails after an upgrade, the maintainers have mended the defect: remove the module, and what
uses it. When only `test_each_defect_was_seen_in_the_installed_release` fails, the defect is still there: add the new
release to `SEEN_IN`.

What we want otherwise than Celery does, though Celery works as documented, is policy and stays outside: retries and
what may be shown of a task (`workers/task.py`, `workers/hidden_arguments.py`), no gossip (`workers/consumer.py`), and
what a worker does at SIGTERM (`workers/shutdown.py`). `docs/adr/0017-celery-fixes.md` tells which of Celery's own
mechanisms were tried instead.
"""
