"""Errors quote foreign text, however long it is: what is recorded of it stays small."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from galaxy.domain.errors import AttemptFailed, EngineError, RegistryDenied
from galaxy.domain.reasons import MAX_MESSAGE_BYTES
from tests.support.stores import APP
from tests.support.updates import IMAGE, Harbour
from tests.support.workshop import Workshop

if TYPE_CHECKING:
    from tests.conftest import RedisServer

HUGE = "A field of the base image: " + "é" * 100_000


def refuse(_: object) -> int:
    raise EngineError(HUGE)


def test_a_huge_failure_of_a_build_is_cut_in_history_log_record_and_task() -> None:
    workshop = Workshop(retry_backoff_s=600)
    try:
        workshop.base_image(refuse)
        ref = workshop.deploy()
        with pytest.raises(AttemptFailed) as failed:
            workshop.run(ref)
        recorded = str(workshop.version(ref).failure)
        assert recorded.startswith("A field of the base image: ééé")
        assert "cut: it had" in recorded
        assert len(recorded.encode()) <= MAX_MESSAGE_BYTES
        assert workshop.store.activity(APP)[-1].detail == recorded
        assert recorded in str(failed.value)
        assert recorded in workshop.text()
        assert len(workshop.text().encode()) < 2 * MAX_MESSAGE_BYTES
    finally:
        workshop.close()


def test_a_huge_answer_of_a_registry_is_cut(redis_server: RedisServer, key_prefix: str) -> None:
    with redis_server.client(decode_responses=True) as redis:
        harbour = Harbour(redis, key_prefix)
        try:
            harbour.tags.put("first")
            harbour.run_app(APP)
            harbour.tags.fault = RegistryDenied(HUGE)
            harbour.check()
            error = str(harbour.images.base_image(IMAGE).error)
            assert "cut: it had" in error
            assert len(error.encode()) <= MAX_MESSAGE_BYTES
        finally:
            harbour.close()
