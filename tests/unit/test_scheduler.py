"""A beat sends nothing unless it certainly leads, and nothing that happens ends it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

import pytest
from celery import Celery

from beat.schedule import schedule
from beat.scheduler import LeadingScheduler
from galaxy.adapters.store.keys import Keys
from galaxy.adapters.store.leader import LeaderLock
from galaxy.domain.errors import StoreError
from galaxy.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RedisServer

PERIOD_S = 0.001


class Lead:
    """What a leadership answers."""

    def __init__(self) -> None:
        self.taken: bool | StoreError = True
        self.held = True

    def take(self) -> bool:
        if isinstance(self.taken, StoreError):
            raise self.taken
        return self.taken


class Recorder(LeadingScheduler):
    """Remembers what it would send."""

    def __init__(self, app: Celery, lead: Lead) -> None:
        self.sent: list[str] = []
        super().__init__(app=app)
        self.__dict__["_leadership"] = lead  # where a cached property keeps its value

    def send_task(self, *args: object, **_: object) -> None:
        self.sent.append(cast("str", args[0]))


@pytest.fixture
def lead() -> Lead:
    return Lead()


@pytest.fixture
def scheduler(lead: Lead) -> Iterator[Recorder]:
    with Celery(broker="memory://", set_as_current=False) as app:
        app.conf.beat_schedule = {"often": {"task": "tasks.often", "schedule": PERIOD_S}}
        yield Recorder(app, lead)


def heartbeats(scheduler: Recorder) -> list[str]:
    for _ in range(5):
        time.sleep(2 * PERIOD_S)  # so that it is due, however quick a tick is
        scheduler.tick()
    return scheduler.sent


def test_who_leads_sends(scheduler: Recorder) -> None:
    assert "tasks.often" in heartbeats(scheduler)


def test_who_does_not_lead_sends_nothing(scheduler: Recorder, lead: Lead) -> None:
    lead.taken = False
    assert heartbeats(scheduler) == []


def test_who_was_stopped_since_it_asked_sends_nothing(scheduler: Recorder, lead: Lead) -> None:
    lead.held = False
    assert heartbeats(scheduler) == []


def test_a_store_that_is_away_means_to_ask_again_soon(scheduler: Recorder, lead: Lead) -> None:
    lead.taken = StoreError("Redis can't be reached.")
    assert scheduler.tick() == 1
    assert scheduler.sent == []
    lead.taken = True
    assert "tasks.often" in heartbeats(scheduler)


def test_a_broker_that_is_away_is_no_error(scheduler: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise ConnectionError("It is away.")

    monkeypatch.setattr(scheduler, "send_task", away)
    assert heartbeats(scheduler) == []


@pytest.mark.parametrize("period_s", [0.5, 5.0, 100.0])
def test_a_periodic_message_outlives_some_periods_and_clocks_that_are_not_quite_alike(
    period_s: float,
) -> None:
    entries = schedule(Settings(reconcile_period_s=period_s, base_image_tick_s=period_s)).values()
    assert [entry["schedule"] for entry in entries] == [period_s, period_s]
    for entry in entries:
        options = cast("dict[str, float]", entry["options"])
        assert options["expires"] >= max(60, 4 * period_s)


def test_the_lead_has_one_holder_until_it_runs_out_or_is_given_up(
    redis_server: RedisServer, key_prefix: str
) -> None:
    with redis_server.client(decode_responses=True) as redis:
        keys = Keys(key_prefix)
        first, second = (LeaderLock(redis, keys, lock_s=60) for _ in range(2))
        assert [first.take(), second.take(), first.take()] == [True, False, True]
        assert [first.held, second.held] == [True, False]
        second.give_up()
        assert not second.take(), "only the holder can give the lead up"
        first.give_up()
        assert [second.take(), first.take(), first.held] == [True, False, False]

        redis.delete(keys.leader())
        brief = LeaderLock(redis, keys, lock_s=0.05)
        assert brief.take()
        assert redis.pttl(keys.leader()) in range(51)
        assert "beat" in redis.hgetall(keys.heartbeats())
