"""Random histories of apps and their base image, with messages that are lost, doubled and late."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

from fakeredis import FakeRedis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from galaxy.domain.base_images.updates import Updates, Verdict, Wanted
from galaxy.domain.errors import NotFound
from galaxy.domain.models import VersionRef
from galaxy.domain.states import UNFINISHED, VersionState
from tests.support.stores import RAINED
from tests.support.updates import IMAGE, Harbour

if TYPE_CHECKING:
    from redis import Redis

    from galaxy.domain.models import Attempt, Version

S = VersionState
APPS = ("a.example.com", "b.example.com", "c.example.com")
PICK = st.integers(0, 10**6)
#: Verdicts about an app with which nothing is left to do.
AT_REST = frozenset(
    {
        Verdict.UP_TO_DATE,
        Verdict.ALREADY_TRIED,
        Verdict.NOTHING_TO_REBUILD,
        Verdict.UPDATES_OFF,
        Verdict.PINNED,
    }
)


class UpdatesMachine(RuleBasedStateMachine):
    """People deploy, tags move, workers build and fail; messages come late, twice or never."""

    def __init__(self, redis: Redis) -> None:
        super().__init__()
        self.harbour = Harbour(
            redis, f"machine-{uuid4().hex}", bulk_builds_in_flight=2, update_waves="1,2,100%"
        )
        #: How often the tag had moved when an attempt last looked it up, by version; and when it was last polled.
        self.moves, self.polled_at = 0, 0
        self.pulled_at: dict[VersionRef, int] = {}
        self.looked_at: set[VersionRef] = set()
        self.harbour.tags.put("a")
        self.moved: Counter[str] = Counter({self.harbour.tags._tags[IMAGE]: 1})
        self.attempts: list[Attempt] = []
        for app in APPS[:2]:
            self.harbour.run_app(app)
        self.harbour.check()
        self.harbour.settle()

    @rule(app=st.sampled_from(APPS))
    def deploy(self, app: str) -> None:
        self.harbour.deploy(app)

    @rule(app=st.sampled_from(APPS))
    def deploy_and_pull(self, app: str) -> None:
        self._pull(self.harbour.deploy(app))

    @rule(name=st.sampled_from("abcdef"), noticed=st.booleans())
    def the_tag_moves(self, name: str, *, noticed: bool) -> None:
        before = self.harbour.tags._tags[IMAGE]
        now = self.harbour.tags.put(name)
        self.moved[now] += before != now
        self.moves += before != now
        if noticed:
            self._poll()

    @rule()
    def poll(self) -> None:
        self._poll()

    @rule()
    def work(self) -> None:
        """Control workers do all that there is to do."""
        self.harbour.deliver()

    @rule()
    def tick(self) -> None:
        self._everything_is_due()
        self.harbour.rebuilds.catch_up()

    @precondition(lambda self: self.harbour.queue.fan_outs)
    @rule(pick=PICK, twice=st.booleans())
    def fan_out(self, pick: int, *, twice: bool) -> None:
        messages = self.harbour.queue.fan_outs
        message = messages[pick % len(messages)]
        if not twice:
            messages.remove(message)
        self.harbour.fan_out.run(*message)

    @precondition(lambda self: self.harbour.queue.calls)
    @rule(pick=PICK, twice=st.booleans())
    def new_version(self, pick: int, *, twice: bool) -> None:
        messages = self.harbour.queue.calls
        message = messages[pick % len(messages)]
        if not twice:
            messages.remove(message)
        self.harbour.make(*message)

    @precondition(lambda self: self.harbour.queue.fan_outs or self.harbour.queue.calls)
    @rule()
    def all_messages_are_lost(self) -> None:
        queue = self.harbour.queue
        queue.fan_outs, queue.calls = [], []

    @rule(pick=PICK)
    def begin(self, pick: int) -> None:
        """Whatever is due may be claimed, and nothing else is."""
        waiting = [
            ref for ref in self._due() if self.harbour.store.version(ref).state in {S.QUEUED, S.RETRYING}
        ]
        if waiting:
            self._pull(waiting[pick % len(waiting)])

    @precondition(lambda self: self.attempts)
    @rule(pick=PICK)
    def finish(self, pick: int) -> None:
        attempt = self.attempts.pop(pick % len(self.attempts))
        if self.harbour.store.renew(attempt) is None:
            self.harbour.finish(attempt)

    @precondition(lambda self: self.attempts)
    @rule(pick=PICK)
    def fail(self, pick: int) -> None:
        attempt = self.attempts.pop(pick % len(self.attempts))
        if self.harbour.store.renew(attempt) is None:
            self.harbour.store.fail(attempt, RAINED, retry_in_s=0, steps=())

    @rule(app=st.sampled_from(APPS), updates=st.sampled_from([Updates.ON, Updates.ON, *Updates]))
    def set_updates(self, app: str, updates: Updates) -> None:
        with suppress(NotFound):
            self.harbour.base_images.set_updates(app, updates)
            if updates is not Updates.ON:
                alive = [version for version in self.harbour.automatic(app) if version.state in UNFINISHED]
                assert alive == []

    @invariant()
    def no_digest_is_built_again_unless_the_tag_came_back_to_it(self) -> None:
        for app in self.harbour.store.apps():
            made: Counter[str] = Counter()
            people = 0
            for version in self.harbour.versions(app):
                people += not version.automatic
                if version.automatic:
                    assert version.base_digest
                    made[version.base_digest] += 1
            for digest, times in made.items():
                assert times <= max(self.moved[digest], 1) * max(people, 1)
            alive = [version for version in self.harbour.automatic(app) if version.state in UNFINISHED]
            assert len(alive) <= 1, "a newer automatic version takes an older one's place"

    @invariant()
    def no_app_is_taken_back_to_what_its_build_had_found_outdated(self) -> None:
        for version in self._all():
            if version.automatic and version.ref not in self.looked_at:
                self.looked_at.add(version.ref)
                source = VersionRef(version.app, version.rebuild_of or 0)
                assert self.polled_at >= self.pulled_at.get(source, 0)

    def teardown(self) -> None:
        harbour = self.harbour
        try:
            self._come_to_rest()
            digest = harbour.tags._tags[IMAGE]
            _, snapshots = harbour.dependents.dependents(IMAGE, digest, after="", limit=10)
            assert [snapshot.app for snapshot in snapshots] == harbour.store.apps()
            for snapshot in snapshots:
                assert harbour.snapshots.decide(snapshot, Wanted(IMAGE, digest, digest)).verdict in AT_REST, (
                    snapshot
                )
        finally:
            harbour.close()

    def _come_to_rest(self) -> None:
        """Workers do what they do, as long as there is something to do."""
        harbour, before = self.harbour, None
        while before != (before := self._picture()):
            self._poll()
            self._everything_is_due()
            harbour.deliver()
            update = harbour.base_images.update(IMAGE)
            if update and update.state == "paused":
                harbour.base_images.resume(IMAGE)
            for attempt in self.attempts:
                if harbour.store.renew(attempt) is None:
                    harbour.finish(attempt)
            self.attempts = []
            for ref in self._due():
                if harbour.store.version(ref).state in {S.QUEUED, S.RETRYING}:
                    self._pull(ref)
                    harbour.finish(self.attempts.pop())
        assert {version.state for version in self._all()} & UNFINISHED == set()

    def _pull(self, ref: VersionRef) -> None:
        attempt = self.harbour.pull(ref)
        self.attempts.append(attempt)
        if attempt.wanted_digest is None:
            self.pulled_at[ref] = self.moves

    def _poll(self) -> None:
        self.polled_at = self.moves
        self._everything_is_due()
        self.harbour.base_images.poll()

    def _everything_is_due(self) -> None:
        keys, redis = self.harbour.keys, self.harbour.redis
        for key in (keys.updates(), keys.handed_out(IMAGE), keys.base_images()):
            for member in redis.zrange(key, 0, -1):
                redis.zadd(key, {member: 0})

    def _due(self) -> list[VersionRef]:
        members = self.harbour.redis.zrange(self.harbour.keys.due(), 0, -1)
        return [VersionRef(app, int(number)) for app, number in (member.split(" ") for member in members)]

    def _all(self) -> list[Version]:
        return [version for app in self.harbour.store.apps() for version in self.harbour.versions(app)]

    def _picture(self) -> list[tuple[str, int, str]]:
        return [(version.app, version.number, version.state) for version in self._all()]


def test_no_update_is_lost_or_done_twice(redis: Redis) -> None:
    share = 20 if isinstance(redis, FakeRedis) else 5  # fakeredis needs ten times as long for each
    run_state_machine_as_test(
        lambda: UpdatesMachine(redis),
        settings=settings(
            max_examples=int(os.environ.get("UPDATES_EXAMPLES", settings().max_examples // share + 2)),
            stateful_step_count=30,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
