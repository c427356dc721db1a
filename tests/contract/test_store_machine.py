"""Random histories of one app, against a model that fits on a page. Hypothesis prints how to repeat a failure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import fakeredis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from galaxy.domain.errors import IllegalTransition
from galaxy.domain.models import MAX_ATTEMPTS, Attempt, Failure, NotClaimed, VersionRef
from galaxy.domain.reasons import WORKER_LOST
from galaxy.domain.states import TRANSITIONS, UNFINISHED, VersionState
from tests.support.stores import APP, BUILT, BY_BOB, RAINED, STEPS, deploy, make_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from galaxy.adapters.store.scripts import Script, ScriptCall
    from tests.support.stores import AllStores

S = VersionState
PICK = st.integers(0, 10**6)
CANCELLABLE = frozenset({S.QUEUED, S.BUILDING, S.RETRYING, S.BUILT, S.ROLLING_OUT})


@dataclass
class Model:
    """A version as it has to be."""

    state: VersionState = S.QUEUED
    attempts: int = 0
    holder: Attempt | None = None
    handed_back: Attempt | None = None
    lost: bool = False
    due: bool = True
    seen: list[VersionState] = field(default_factory=list)


class StoreMachine(RuleBasedStateMachine):
    """Deploys, workers that build, fail, stop, are lost or come back from the dead, people who cancel."""

    def __init__(self) -> None:
        super().__init__()
        self.redis = fakeredis.FakeRedis(version=(7, 0), decode_responses=True)
        prefix = uuid4().hex
        self.store = make_store(self.redis, prefix)
        self.dying = make_store(self.redis, prefix, lease_s=0)
        self.versions: list[Model] = []
        self.attempts: list[Attempt] = []
        self.active = 0
        self.replaced: dict[int, int] = {}
        self.told: list[tuple[str, int]] = []
        for store in (self.store, self.dying):
            self._lose_answers_of(store)
        self.answers_get_lost = False

    def _lose_answers_of(self, store: AllStores) -> None:
        """Makes the client repeat each call, as redis-py does when Redis died after it had executed it."""
        run = store._scripts.run

        def run_twice(script: Script, call: ScriptCall) -> Any:  # noqa: ANN401 - as the original
            answer, name = run(script, call), script.name
            if not self.answers_get_lost or name == "take_due":
                return answer
            again = run(script, call)
            if name == "fail_attempt":  # it says how long there is still to wait
                assert again[:2] == answer[:2]
            else:
                assert again == (answer if name != "create_version" else [answer[0], "repeated"])
            return answer

        store._scripts.run = run_twice  # type: ignore[method-assign] # an answer that is lost on the way

    @rule(lost=st.booleans())
    def lose_answers(self, *, lost: bool) -> None:
        self.answers_get_lost = lost

    @precondition(lambda self: self.told)
    @rule(count=st.integers(1, 5))
    def tell(self, count: int) -> None:
        self.store.mark_announced(self.store.outbox([APP], count)[APP])
        del self.told[:count]

    def teardown(self) -> None:
        self.redis.close()

    @rule()
    def deploy(self) -> None:
        assert deploy(self.store).number == len(self.versions) + 1
        superseded: list[int] = []
        for number, model in enumerate(self.versions, 1):
            if model.state in {S.QUEUED, S.BUILDING, S.RETRYING}:
                model.state, model.holder = S.SUPERSEDED, None
                superseded.append(number)
        self.versions.append(Model())
        self.told += [("deployed", len(self.versions)), *(("superseded", number) for number in superseded)]

    @precondition(lambda self: self.versions)
    @rule(pick=PICK, lost=st.booleans())
    def claim(self, pick: int, *, lost: bool) -> None:
        ref, model = self._pick(pick)
        answer = (self.dying if lost else self.store).claim(ref)
        if model.state is S.BUILDING:
            assert answer is (NotClaimed.EXPIRED if model.lost else NotClaimed.HELD)
        elif model.state not in {S.QUEUED, S.RETRYING}:
            assert answer is NotClaimed.NOT_CLAIMABLE
        elif not model.due:
            assert answer is NotClaimed.NOT_DUE
        else:
            assert isinstance(answer, Attempt)
            model.attempts += 1
            assert answer.number == model.attempts
            assert all(answer.token > old.token for old in self.attempts if old.ref == ref)
            model.state, model.holder, model.lost, model.due = S.BUILDING, answer, lost, True
            self.attempts.append(answer)

    @precondition(lambda self: self.attempts)
    @rule(pick=PICK)
    def renew(self, pick: int) -> None:
        attempt, model, holds = self._attempt(pick)
        assert self.store.renew(attempt) is (None if holds else model.state)
        model.lost = model.lost and not holds

    @precondition(lambda self: self.attempts)
    @rule(pick=PICK)
    def finish(self, pick: int) -> None:
        attempt, model, holds = self._attempt(pick)
        answer = self.store.finish(attempt, BUILT, STEPS)
        if holds:
            assert answer is None
            model.state, model.holder = S.BUILT, None
            self.told.append(("built", attempt.version))
        else:
            assert answer in {None, model.state}

    @precondition(lambda self: self.attempts)
    @rule(pick=PICK, at_once=st.booleans())
    def fail(self, pick: int, *, at_once: bool) -> None:
        attempt, model, holds = self._attempt(pick)
        answer = self.store.fail(attempt, RAINED, retry_in_s=0 if at_once else 600, steps=STEPS)
        if holds:
            assert isinstance(answer, Failure)
            self._end_attempt(attempt.ref, model, due=at_once)
            assert answer.state is model.state
        else:
            assert answer is model.state or isinstance(answer, Failure)

    @precondition(lambda self: self.attempts)
    @rule(pick=PICK)
    def hand_back(self, pick: int) -> None:
        attempt, model, holds = self._attempt(pick)
        handed_back = model.handed_back is attempt and model.state is S.QUEUED
        assert self.store.hand_back(attempt) is (None if holds or handed_back else model.state)
        if holds:
            model.state, model.holder, model.handed_back = S.QUEUED, None, attempt
            self.told.append(("handed_back", attempt.version))
            model.attempts -= 1

    @precondition(lambda self: self.versions)
    @rule(pick=PICK)
    def end_lost(self, pick: int) -> None:
        ref, model = self._pick(pick)
        answer = self.store.end_lost(ref, WORKER_LOST)
        if model.state is S.BUILDING and model.lost:
            self._end_attempt(ref, model, due=True)
            assert answer
            assert answer.state is model.state
        else:
            assert answer is None

    @precondition(lambda self: self.versions)
    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        ref, model = self._pick(pick)
        if model.state in CANCELLABLE:
            assert self.store.cancel(ref, BY_BOB) is model.state
            model.state, model.holder = S.CANCELLED, None
            self.told.append(("cancelled", ref.number))
        elif model.state is S.CANCELLED:
            assert self.store.cancel(ref, BY_BOB) is S.CANCELLED
        else:
            self._refused(lambda: self.store.cancel(ref, BY_BOB))

    @precondition(lambda self: self.versions)
    @rule(pick=PICK)
    def begin_rollout(self, pick: int) -> None:
        ref, model = self._pick(pick)
        if model.state is S.BUILT:
            model.state = S.ROLLING_OUT
        assert self.store.begin_rollout(ref) is model.state

    @precondition(lambda self: self.versions)
    @rule(pick=PICK)
    def activate(self, pick: int) -> None:
        ref, model = self._pick(pick)
        if self.active > ref.number and model.state in {S.BUILT, S.ROLLING_OUT, S.SUPERSEDED}:
            assert self.store.activate(ref).newer == self.active
            if model.state is not S.SUPERSEDED:
                model.state = S.SUPERSEDED
                self.told.append(("superseded", ref.number))
        elif model.state is S.ROLLING_OUT:
            self.replaced[ref.number] = self.active
            assert self.store.activate(ref).previous == (self.active or None)
            if self.active:
                self.versions[self.active - 1].state = S.RETIRED
            model.state, self.active = S.ACTIVE, ref.number
            self.told.append(("active", ref.number))
        elif model.state is S.ACTIVE:
            assert self.store.activate(ref).previous == (self.replaced[ref.number] or None)
        else:
            self._refused(lambda: self.store.activate(ref))

    @invariant()
    def the_store_is_as_the_model(self) -> None:
        for number, model in enumerate(self.versions, 1):
            version = self.store.version(VersionRef(APP, number))
            assert (version.state, version.attempt) == (model.state, model.attempts)
            assert version.attempt <= MAX_ATTEMPTS
            assert (version.retry_at_ms is not None) == (model.state is S.RETRYING)
            before = model.seen[-1] if model.seen else model.state
            assert before is model.state or model.state in TRANSITIONS[before]
            model.seen.append(model.state)
        assert (self.store.active_version(APP) or 0) == self.active

    @invariant()
    def whatever_is_unfinished_is_looked_at_some_time(self) -> None:
        due = {ref for key in self.redis.scan_iter("*:due") for ref in self.redis.zrange(key, 0, -1)}
        unfinished = {n for n, model in enumerate(self.versions, 1) if model.state in UNFINISHED}
        assert due == {f"{APP} {number}" for number in unfinished}

    @invariant()
    def every_move_is_told_once_and_in_order(self) -> None:
        outbox = [(each.event, each.version) for each in self.store.outbox([APP], 1000)[APP]]
        assert outbox == self.told
        assert self.store.outbox_apps(10) == ([APP] if self.told else [])

    def _pick(self, pick: int) -> tuple[VersionRef, Model]:
        # the newest versions are where things happen
        number = len(self.versions) - pick % min(3, len(self.versions))
        return VersionRef(APP, number), self.versions[number - 1]

    def _attempt(self, pick: int) -> tuple[Attempt, Model, bool]:
        attempt = self.attempts[-1 - pick % min(4, len(self.attempts))]
        model = self.versions[attempt.version - 1]
        return attempt, model, model.holder is attempt

    def _end_attempt(self, ref: VersionRef, model: Model, *, due: bool) -> None:
        model.state = S.BUILD_FAILED if model.attempts == MAX_ATTEMPTS else S.RETRYING
        model.holder, model.due = None, due
        self.told.append((model.state.value, ref.number))

    def _refused(self, call: Callable[[], object]) -> None:
        try:
            call()
        except IllegalTransition:
            return
        raise AssertionError("this has to be refused")


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(
    max_examples=settings().max_examples * 2 // 5,
    stateful_step_count=40,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
