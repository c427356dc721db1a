"""Crash recovery leans on nothing that has to do with base images."""

from __future__ import annotations

from typing import Any

import pytest

from galaxy.domain.errors import QueueError, StoreError
from tasks import rebuild_admission
from tasks import reconcile as module

CANARY = "mongodb://user:password@db"


class Pipeline:
    """Services that note that they were called, and raise what they are told to."""

    def __init__(self, **errors: Exception) -> None:
        self.reconciler = self.rebuilds = self
        self.called: list[str] = []
        self._errors = errors

    def run(self) -> int:
        self._note("run")
        return 3

    def catch_up(self) -> None:
        self._note("catch_up")

    def _note(self, name: str) -> None:
        self.called.append(name)
        if name in self._errors:
            raise self._errors[name]


def tick(monkeypatch: pytest.MonkeyPatch, pipeline: Pipeline) -> str:
    for each in (module, rebuild_admission):
        monkeypatch.setattr(each, "pipeline", lambda: pipeline)
    task: Any = module.reconcile
    return str(task.run())


@pytest.mark.parametrize("error", [StoreError("It is away."), ValueError(CANARY)])
def test_versions_are_looked_at_first_and_whatever_becomes_of_rebuilds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    pipeline = Pipeline(catch_up=error)
    assert tick(monkeypatch, pipeline) == "Looked at 3 due versions."
    assert pipeline.called == ["run", "catch_up"]
    out, err = capsys.readouterr()
    assert "rebuilds.delayed" in out + err
    assert type(error).__name__ in out + err or "It is away." in out + err
    assert CANARY not in out + err


@pytest.mark.parametrize("rebuilds", [{}, {"catch_up": ValueError(CANARY)}])
def test_rebuilds_go_on_though_versions_could_not_be_looked_at(
    monkeypatch: pytest.MonkeyPatch, rebuilds: dict[str, Exception]
) -> None:
    pipeline = Pipeline(run=QueueError("The broker can't be reached."), **rebuilds)
    with pytest.raises(QueueError):
        tick(monkeypatch, pipeline)
    assert pipeline.called == ["run", "catch_up"]
