"""Queues, tasks and kinds of workers are declared once, and everything else agrees with the declaration."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import celeryconfig
from galaxy.domain.fleet import (
    BUILD_WORKER,
    CONTROL_WORKER,
    ROUTES,
    WITH_CONTROL,
    WORKER_KINDS,
    Queue,
    TaskName,
    WorkerKind,
    build_queue,
    served,
    serves_builds,
)
from stack import processes
from stack.checkout import Checkout, Choices
from workers import app

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
WORKER = re.compile(r"celery -A workers worker -Q ([a-z.,-]+)")


def test_every_queue_is_served_by_one_kind_of_worker() -> None:
    assert Counter(queue for kind in WORKER_KINDS for queue in kind.queues) == Counter(Queue)


def test_every_task_has_a_queue_a_module_and_an_implementation() -> None:
    assert set(ROUTES) == set(TaskName)
    for task in TaskName:
        import_module(task)
    ours = {name for name in app.tasks if name.startswith("tasks.")}
    assert ours == set(TaskName)
    assert {path.stem for path in (ROOT / "tasks").glob("*.py")} - {
        "__init__",
        "arguments",
        "rebuild_admission",
    } == {task.removeprefix("tasks.") for task in TaskName}


def test_celery_knows_every_queue_and_sends_every_task_to_its_own() -> None:
    declared: list[Any] = celeryconfig.task_queues
    assert [queue.name for queue in declared] == list(Queue)
    for task, queue in ROUTES.items():
        options = app.amqp.router.route({}, task)
        assert options["queue"].name == queue


def test_beat_sends_to_the_queues_of_the_tasks() -> None:
    for entry in celeryconfig.beat_schedule.values():
        options: Any = entry["options"]
        assert options["queue"] == ROUTES[TaskName(str(entry["task"]))]


@pytest.mark.parametrize("kind", WORKER_KINDS)
def test_a_worker_serves_all_queues_of_its_kind_when_its_command_names_some(kind: WorkerKind) -> None:
    assert served(kind.asked) == kind.queues
    assert " ".join(kind.command).startswith(
        f"celery -A workers worker -Q {','.join(kind.asked)} -P prefork "
    )


def test_whoever_serves_deploys_serves_what_goes_with_them_first() -> None:
    assert served(["base-images", "control"]) == (*WITH_CONTROL, "base-images")
    assert served(["celery", "control", "reconcile"]) == WITH_CONTROL
    assert served(["rollouts", "celery"]) == ("rollouts", "celery")


def test_builds_are_told_from_other_work_and_rebuilds_from_builds() -> None:
    assert serves_builds(["control", "builds.bulk"])
    assert not serves_builds(CONTROL_WORKER.queues)
    assert (build_queue(automatic=False), build_queue(automatic=True)) == BUILD_WORKER.queues


def test_the_local_stack_starts_every_kind_as_declared() -> None:
    table = processes.pipeline(Checkout(ROOT), Choices())
    started = {process.name: ("celery", *process.command[1:]) for process in table}
    for kind in WORKER_KINDS:
        assert started[kind.service] == kind.command


def test_the_documents_start_every_kind_as_declared() -> None:
    listed = [found for path in DOCUMENTS for found in WORKER.findall(path.read_text())]
    known = {kind.queues for kind in WORKER_KINDS}
    assert {served(queues.split(",")) for queues in listed} == known, listed


def test_the_declaration_can_be_read_without_any_dependency() -> None:
    # -S: without the virtual environment, as the local stack starts
    code = "import stack.commands, galaxy.domain.fleet, sys; print(sys.version_info >= (3, 11))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("True", "")
