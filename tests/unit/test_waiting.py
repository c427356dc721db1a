from __future__ import annotations

import pytest

from galaxy.cli.watch import _WAITS, waits
from galaxy.domain.deploys.waiting import Waiting, WaitReason, is_waiting, why_waiting
from galaxy.domain.diagnosis.fleet import WorkerFacts
from galaxy.domain.models import Version, VersionRef
from galaxy.domain.states import VersionState

S, R = VersionState, WaitReason
BUILDER = WorkerFacts(name="b@x", queues=("builds", "builds.bulk"), slots=2)
NO_BULK = WorkerFacts(name="n@x", queues=("builds",), slots=2)
CONTROL = WorkerFacts(name="c@x", queues=("rollouts",), slots=4)
NOW_MS = 1_000_000


def version(state: VersionState = S.QUEUED, **known: object) -> Version:
    its = {
        "app": "a",
        "number": 3,
        "base_image": "x",
        "deployed_by": "ada",
        "created_at_ms": 1,
        "state": state,
    }
    return Version.model_validate(its | known)


@pytest.mark.parametrize(
    ("its", "waiting"),
    [
        (version(S.QUEUED), True),
        (version(S.BUILT), True),
        (version(S.RETRYING, retry_at_ms=NOW_MS), True),
        (version(S.RETRYING, retry_at_ms=NOW_MS + 1), False),
        (version(S.BUILDING), False),
        (version(S.ROLLING_OUT), False),
        (version(S.ACTIVE), False),
        (version(S.CANCELLED), False),
    ],
)
def test_a_version_waits_when_a_worker_could_begin_its_next_piece_of_work(
    its: Version, *, waiting: bool
) -> None:
    assert is_waiting(its, NOW_MS) is waiting


@pytest.mark.parametrize(
    ("its", "workers", "building", "why"),
    [
        (version(), None, 0, Waiting(R.BROKER_AWAY, rollout=False)),
        (version(), [], 0, Waiting(R.NO_WORKER, rollout=False)),
        (version(), [CONTROL], 0, Waiting(R.NO_WORKER, rollout=False)),
        (version(), [BUILDER, CONTROL], 1, Waiting(R.NOT_TAKEN_YET, rollout=False, slots=2)),
        (version(), [BUILDER, CONTROL], 2, Waiting(R.NO_FREE_SLOT, rollout=False, slots=2)),
        (version(), [BUILDER, BUILDER], 3, Waiting(R.NOT_TAKEN_YET, rollout=False, slots=4)),
        (
            version(automatic=True),
            [NO_BULK],
            0,
            Waiting(R.NO_WORKER, rollout=False),
        ),
        (version(S.BUILT), [BUILDER], 0, Waiting(R.NO_WORKER, rollout=True)),
        (version(S.BUILT), [BUILDER, CONTROL], 9, Waiting(R.NOT_TAKEN_YET, rollout=True, slots=4)),
        (version(S.BUILT), None, 0, Waiting(R.BROKER_AWAY, rollout=True)),
    ],
)
def test_why_a_version_waits_is_told_from_what_workers_answer(
    its: Version, workers: list[WorkerFacts] | None, building: int, why: Waiting
) -> None:
    assert why_waiting(its, workers, building=building) == why


@pytest.mark.parametrize("reason", WaitReason)
@pytest.mark.parametrize("rollout", [False, True])
def test_every_reason_is_a_sentence_that_names_the_version(reason: WaitReason, *, rollout: bool) -> None:
    sentence = waits(VersionRef("a.example.com", 3), Waiting(reason, rollout, slots=2))
    assert sentence.startswith("Version 3 waits: ")
    assert sentence.endswith(".")
    assert "{" not in sentence
    assert _WAITS.keys() == set(WaitReason)
