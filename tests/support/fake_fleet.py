"""`celery -A tests.support.fake_fleet worker`: the fleet's own workers, but with an engine in memory."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from galaxy.bootstrap import Pipeline
from galaxy.domain.cancellation import never_cancelled
from tests.support.fake_engine import FakeEngine
from workers import app

if TYPE_CHECKING:
    from collections.abc import Callable

    from galaxy.adapters.engine.ports import Image

__all__ = ["app"]


class ObligingEngine(FakeEngine):
    """Finds every base image that it is asked to pull."""

    def pull(
        self,
        repository: str,
        digest: str,
        check_cancelled: Callable[[], None],
        on_progress: Callable[[], None] = never_cancelled,
    ) -> Image:
        if f"{repository}@{digest}" not in self._registries:
            published = self.publish(repository, {"Cmd": ["/bin/true"]})
            self._registries[f"{repository}@{digest}"] = self._registries[f"{repository}@{published}"]
        return super().pull(repository, digest, check_cancelled, on_progress)


def _engine(_: Pipeline) -> ObligingEngine:
    return ObligingEngine()


_instead = cached_property(_engine)
_instead.__set_name__(Pipeline, "engine")
Pipeline.engine = _instead  # type: ignore[assignment] # the same but for what it runs
