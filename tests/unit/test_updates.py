"""Which apps a changed base image rebuilds, in which waves, and when registries are asked."""

from __future__ import annotations

import math

import pytest

from galaxy.domain.base_images.base_image import next_check_in_s
from galaxy.domain.base_images.updates import (
    AppSnapshot,
    Compare,
    Decision,
    Update,
    Updates,
    UpdateState,
    Verdict,
    VersionSnapshot,
    Wanted,
    Waves,
    decide,
    too_many_failed,
)
from galaxy.domain.states import VersionState

S, V = VersionState, Verdict
IMAGE = "docker.io/meteor/galaxy-app:latest"
#: An index whose image for our platform is `new-image`, found some time after the versions' own look.
WANTED = Wanted(IMAGE, digest="new", content="new-image", seen_at_ms=2_000)


def version(
    number: int = 1, state: VersionState = S.ACTIVE, digest: str | None = "old", **more: object
) -> VersionSnapshot:
    known = {
        "automatic": False,
        "base_image": IMAGE,
        "resolved_at_ms": 1_000 if digest else None,
        "platform_digest": f"{digest}-image" if digest else None,
        "made": None,
        "made_state": None,
        **more,
    }
    return VersionSnapshot(number=number, state=state, base_digest=digest, **known)  # type: ignore[arg-type]


def snapshot(
    newest: VersionSnapshot, active: VersionSnapshot | None = None, updates: Updates = Updates.ON
) -> AppSnapshot:
    return AppSnapshot(
        "a.example.com", updates, newest, newest if newest.state is S.ACTIVE else active, "seen"
    )


ACTIVE = version(1)
NEWER = version(2)

TABLE = {
    "it runs an old digest": (snapshot(ACTIVE), Decision(V.REBUILD, 1)),
    "it runs the new one": (snapshot(version(digest="new")), Decision(V.UP_TO_DATE)),
    "another index with the same image for us": (
        snapshot(version(digest="index", platform_digest="new-image")),
        Decision(V.UP_TO_DATE),
    ),
    "nobody knows what the old index held": (snapshot(version(platform_digest=None)), Decision(V.REBUILD, 1)),
    "updates are off": (snapshot(ACTIVE, updates=Updates.OFF), Decision(V.UPDATES_OFF)),
    "it is pinned": (snapshot(ACTIVE, updates=Updates.PINNED), Decision(V.PINNED)),
    "a person's build has not looked the tag up": (
        snapshot(version(2, S.QUEUED, None), ACTIVE),
        Decision(V.RESOLVES_ITSELF),
    ),
    "a person's build is on the old digest": (snapshot(version(2, S.BUILDING), ACTIVE), Decision(V.WAITS)),
    "a person's build waits for its retry": (snapshot(version(2, S.RETRYING), ACTIVE), Decision(V.WAITS)),
    "a person's build is on the new digest": (
        snapshot(version(2, S.BUILDING, "new"), ACTIVE),
        Decision(V.UP_TO_DATE),
    ),
    "a person's version is being rolled out": (
        snapshot(version(2, S.ROLLING_OUT), ACTIVE),
        Decision(V.WAITS),
    ),
    "a rebuild on an older digest is not done": (
        snapshot(version(2, S.QUEUED, "older", automatic=True), ACTIVE),
        Decision(V.REBUILD, 2),
    ),
    "a rebuild on the new digest is not done": (
        snapshot(version(2, S.QUEUED, "new", automatic=True), ACTIVE),
        Decision(V.UP_TO_DATE),
    ),
    "a rebuild on an older digest is not done, and the tag went back to what runs": (
        snapshot(version(2, S.BUILDING, "older", automatic=True), version(1, digest="new")),
        Decision(V.RUNS_IT),
    ),
    "a person's build failed": (snapshot(version(2, S.BUILD_FAILED, "new"), ACTIVE), Decision(V.REBUILD, 1)),
    "a person cancelled a build": (snapshot(version(2, S.CANCELLED), ACTIVE), Decision(V.REBUILD, 1)),
    "a rollout failed": (snapshot(version(2, S.ROLLOUT_FAILED), ACTIVE), Decision(V.REBUILD, 1)),
    "an earlier version was restored": (snapshot(version(2, S.RETIRED), ACTIVE), Decision(V.REBUILD, 1)),
    "nothing ever ran, and the build failed": (snapshot(version(1, S.BUILD_FAILED)), Decision(V.REBUILD, 1)),
    "nothing ever ran, and the build was cancelled": (
        snapshot(version(1, S.CANCELLED)),
        Decision(V.NOTHING_TO_REBUILD),
    ),
    "nothing ever ran, and the base image was never found": (
        snapshot(version(1, S.BUILD_FAILED, None)),
        Decision(V.NOTHING_TO_REBUILD),
    ),
    "the rebuild failed": (
        snapshot(
            version(2, S.BUILD_FAILED, "new", automatic=True), version(made=2, made_state=S.BUILD_FAILED)
        ),
        Decision(V.ALREADY_TRIED),
    ),
    "a person cancelled the rebuild": (
        snapshot(version(2, S.CANCELLED, "new", automatic=True), version(made=2, made_state=S.CANCELLED)),
        Decision(V.ALREADY_TRIED),
    ),
    "a person restored what ran before the rebuild": (
        snapshot(version(2, S.RETIRED, "new", automatic=True), version(made=2, made_state=S.RETIRED)),
        Decision(V.ALREADY_TRIED),
    ),
    "the tag came back after a rebuild on another digest": (
        snapshot(version(3, automatic=True, made=2, made_state=S.RETIRED)),
        Decision(V.REBUILD, 3),
    ),
    "the rebuild was superseded before it was done": (
        snapshot(version(1, made=2, made_state=S.SUPERSEDED)),
        Decision(V.REBUILD, 1),
    ),
    "it looked the tag up after the last check": (
        snapshot(version(digest="newest", resolved_at_ms=2_001)),
        Decision(V.AHEAD),
    ),
    "it looked the tag up after the last check, which found the same": (
        snapshot(version(digest="new", resolved_at_ms=3_000)),
        Decision(V.UP_TO_DATE),
    ),
    "it recorded what it had found when the last check began": (
        snapshot(version(resolved_at_ms=2_000)),
        Decision(V.REBUILD, 1),
    ),
    "it was told what to build on, and was built after the last check": (
        snapshot(version(automatic=True, resolved_at_ms=None)),
        Decision(V.REBUILD, 1),
    ),
    "what runs is built on another image": (
        snapshot(version(2, S.BUILD_FAILED), version(1, base_image="docker.io/library/debian:12")),
        Decision(V.OTHER_BASE_IMAGE),
    ),
}


@pytest.mark.parametrize(("app", "decision"), TABLE.values(), ids=TABLE.keys())
def test_a_decision_compares_what_is_with_what_should_be(app: AppSnapshot, decision: Decision) -> None:
    assert decide(app, WANTED, Compare.PLATFORM) == decision


def test_with_compare_tag_the_same_image_in_another_index_is_a_change() -> None:
    app = snapshot(version(digest="index", platform_digest="new-image"))
    assert decide(app, WANTED._replace(content="new"), Compare.TAG) == Decision(V.REBUILD, 1)


@pytest.mark.parametrize(
    ("waves", "limits"),
    [
        ("1,10%,100%", [1, 50, math.inf, math.inf]),
        ("5", [math.inf]),
        ("10,1%,100%", [10, 10, math.inf]),
        ("1%,2%,50%", [5, 10, math.inf]),
    ],
)
def test_each_wave_reaches_further_and_the_last_reaches_all(waves: str, limits: list[float]) -> None:
    assert [Waves.parse(waves).limit(wave, 500) for wave in range(1, len(limits) + 1)] == limits


def update(**more: object) -> Update:
    known = {"image": IMAGE, "number": 1, "state": UpdateState.RUNNING, "digest": "d", "content": "c"}
    return Update.model_validate({**known, "started_at_ms": 0, **more})


@pytest.mark.parametrize(
    ("failed", "created", "stops"),
    [(0, 1, False), (1, 1, True), (2, 100, False), (3, 100, True)],
)
def test_in_a_wave_no_more_builds_may_fail_than_chance_explains(
    failed: int, created: int, *, stops: bool
) -> None:
    assert too_many_failed(update(wave_failed=failed, wave_created=created), 0.02) is stops


@pytest.mark.parametrize(
    ("facts", "over"),
    [
        ({"created": 1, "built": 1}, True),
        ({"created": 1, "failed": 1}, True),
        (
            {"created": 1, "dropped": 1},
            False,
        ),  # it told nothing about the base image: another takes its place
        ({"created": 1, "failed": 1, "excused": 1}, False),
        ({"created": 2, "dropped": 1, "built": 1}, True),
        ({"created": 1, "dropped": 1, "walked": True}, True),
        ({"created": 1}, False),
        ({"handed_out": 1}, False),
        ({"created": 0}, False),
        ({"created": 0, "walked": True}, True),
        ({"created": 0, "walked": True, "late": 1}, False),
    ],
)
def test_a_wave_is_over_when_all_it_may_make_is_final(facts: dict[str, object], *, over: bool) -> None:
    assert update(**facts).wave_is_over(1) is over


def soon(*, unchanged: int = 0, errors: int = 0, pause_s: float = 0.0, image: str = IMAGE) -> float:
    return next_check_in_s(image, 100, unchanged=unchanged, errors=errors, pause_s=pause_s)


def test_an_image_that_never_changes_is_asked_about_less_and_less_often() -> None:
    assert soon() == soon(unchanged=23) < soon(unchanged=24) < soon(unchanged=100) < soon(unchanged=10**6)
    assert soon(unchanged=10**6) == pytest.approx(12 * soon())


def test_a_registry_that_fails_is_asked_less_often_and_one_that_wants_a_pause_gets_it() -> None:
    assert soon(errors=1) == soon() < soon(errors=2) < soon(errors=3)
    assert soon(errors=99) == pytest.approx(12 * soon())
    assert 3600 <= soon(errors=1, pause_s=3600) <= 3600 * 1.1


def test_images_are_spread_and_each_keeps_its_place() -> None:
    times = [soon(image=f"docker.io/library/image-{number}:1") for number in range(200)]
    assert len(set(times)) == 200
    assert 90 <= min(times) < 92
    assert 108 < max(times) <= 110
    assert times == [soon(image=f"docker.io/library/image-{number}:1") for number in range(200)]
