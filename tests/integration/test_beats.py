"""Two beats, as processes: one sends, the other takes over, whatever happens to the first and to Redis."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING

import pytest

from galaxy.domain.fleet import Queue
from galaxy.domain.heartbeats import BEAT
from tests.support.bundles import Bundles
from tests.support.fleet import Around, Fleet, RedisWithPassword, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.fleet import Process

LOCK_S = 2.0
#: The lock, the other's pause of a third of it, and some patience with a busy machine.
TAKEN_OVER_S = LOCK_S * 4 / 3 + 8


class Beats:
    """Two beats and a Redis, and nobody who takes what they send."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.both = [fleet.celery(name, "beat", "-l", "info") for name in ("first", "second")]
        self.leader, self.other = self._by_rank()

    def sent_by(self, beat: Process) -> int:
        """How many of the messages in the queue this beat has sent."""
        with self.fleet.redis.client(self.fleet.broker_db) as broker:
            messages = [json.loads(raw) for raw in broker.lrange(Queue.RECONCILE, 0, -1)]
        return sum(message["headers"]["origin"].startswith(f"gen{beat.pid}@") for message in messages)

    def forget_sent(self) -> None:
        with self.fleet.redis.client(self.fleet.broker_db) as broker:
            broker.delete(Queue.RECONCILE)

    def wait_until_only_one_sends(self) -> None:
        """Whichever it is, the other one stands by."""
        self.forget_sent()
        eventually("one sends", lambda: sum(self.sent_by(beat) for beat in self.both) > 4, TAKEN_OVER_S)
        assert 0 in {self.sent_by(beat) for beat in self.both}

    def _by_rank(self) -> tuple[Process, Process]:
        first, second = self.both
        eventually("both have found their place", lambda: all(map(last_place, self.both)))
        return (first, second) if last_place(first) == "leads" else (second, first)


def last_place(beat: Process) -> str | None:
    found = re.findall(r"beat\.(leads|stands_by)", beat.output)
    return found[-1] if found else None


@pytest.fixture
def beats(redis_server: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beats]:
    del redis_server  # only asked for because it skips where there is none
    redis = RedisWithPassword(tmp_path_factory.mktemp("beats-redis"), persistent=True)
    around = Around(redis, "registry.invalid", "none:1", Bundles("bundles.invalid"), "galaxy-beats")
    options = {"GALAXY_BEAT_LOCK_S": str(LOCK_S), "GALAXY_RECONCILE_PERIOD_S": "0.1"}
    fleet = Fleet(around, tmp_path_factory.mktemp("beats"), 0, **options)
    yield Beats(fleet)
    fleet.stop()
    redis.stop()


def test_one_sends_and_the_other_takes_over_from_a_killed_one(beats: Beats) -> None:
    eventually("the leader sends", lambda: beats.sent_by(beats.leader) > 4)
    assert beats.sent_by(beats.other) == 0
    assert beats.fleet.store.heartbeats()[BEAT].age_s < LOCK_S

    beats.leader.kill_all()

    eventually("the other sends", lambda: beats.sent_by(beats.other), TAKEN_OVER_S)


def test_one_that_ends_as_it_should_need_not_be_waited_for(beats: Beats) -> None:
    beats.leader.send(signal.SIGTERM)
    assert beats.leader.wait() == 0
    with beats.fleet.redis.client(beats.fleet.store_db) as store:
        left_ms = store.pttl("galaxy:leader")
    assert left_ms == -2 or last_place(beats.other) == "leads"


def test_one_that_was_stopped_notices_that_it_leads_no_more(beats: Beats) -> None:
    eventually("the leader sends", lambda: beats.sent_by(beats.leader))
    beats.leader.send(signal.SIGSTOP)
    eventually("the other sends", lambda: beats.sent_by(beats.other), TAKEN_OVER_S)
    beats.forget_sent()

    beats.leader.send(signal.SIGCONT)

    eventually("it stands by", lambda: last_place(beats.leader) == "stands_by")
    eventually("the other goes on", lambda: beats.sent_by(beats.other) > 4)
    assert beats.sent_by(beats.leader) == 0


def test_both_live_through_a_redis_that_is_away(beats: Beats) -> None:
    beats.fleet.redis.kill()
    for beat in beats.both:
        beat.wait_for("beat.store_away")
    beats.fleet.redis.start()
    beats.wait_until_only_one_sends()
    with beats.fleet.redis.client(beats.fleet.store_db) as store:
        store.flushdb()  # a Redis without persistence comes back without the lock
    beats.wait_until_only_one_sends()
    assert beats.fleet.ended() == []
    assert "Traceback" not in beats.fleet.outputs()
