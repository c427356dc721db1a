"""What an error may take along when it leaves a task."""

from __future__ import annotations

import pickle
import traceback

import pytest
from celery import Celery
from celery.backends.base import Backend

from galaxy.domain.errors import AttemptFailed, BuildFailed, GalaxyError, InvalidInput, UnexpectedError
from workers.task import RetriedTask, sanitized_errors

CANARY = "mongodb://user:password@db"


@pytest.mark.parametrize("kind", [AttemptFailed, BuildFailed, InvalidInput])
def test_errors_keep_their_text_through_celery_and_between_processes(kind: type[GalaxyError]) -> None:
    error = kind("What happened,\nline by line.", "What to do.")
    backend = Backend(app=Celery(set_as_current=False))
    stored = backend.prepare_exception(error, "json")
    for again in (backend.exception_to_python(stored), pickle.loads(pickle.dumps(error))):
        assert (type(again), str(again)) == (kind, "What happened,\nline by line. What to do.")
    assert stored["exc_message"] == ("What happened,\nline by line. What to do.",)


def test_a_foreign_error_leaves_a_task_by_its_name_only(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnexpectedError) as raised, sanitized_errors():
        raise ValueError(CANARY)
    assert "ValueError" in str(raised.value)
    assert CANARY not in "".join(traceback.format_exception(raised.value))
    out, err = capsys.readouterr()
    assert "task.unexpected_error" in out + err
    assert CANARY not in out + err


def test_our_error_leaves_a_task_without_the_error_behind_it() -> None:
    with pytest.raises(BuildFailed, match=r"It failed\.") as raised, sanitized_errors():
        raise BuildFailed("It failed.") from ValueError(CANARY)
    assert CANARY not in "".join(traceback.format_exception(raised.value))


def test_a_failed_attempt_that_nobody_waits_for_ends_its_task() -> None:
    """Celery would hold its message in a worker, and run it before what a person waits for."""
    celery = Celery("unit", set_as_current=False)

    @celery.task(base=RetriedTask, name="unit")
    def task() -> None:
        """Nobody runs it."""

    failed = AttemptFailed("It failed.")
    failed.automatic = True
    with pytest.raises(AttemptFailed) as raised:
        task.retry(exc=failed)
    assert raised.value is failed
