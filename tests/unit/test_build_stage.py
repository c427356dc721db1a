"""The build story, with an engine and a Redis in memory."""

from __future__ import annotations

import time
from threading import Event, Timer
from typing import TYPE_CHECKING, Any, cast

import pytest

from galaxy.adapters.logs import sender
from galaxy.domain.base_images.contract import FileKind, SetupScript
from galaxy.domain.errors import (
    AttemptFailed,
    BaseImageNotFound,
    BuildFailed,
    BuildTimedOut,
    EngineError,
    QueueError,
    RegistryBlocked,
    RegistryDenied,
    RegistryThrottled,
    RegistryUnavailable,
    SetupFailed,
    StoreError,
)
from galaxy.domain.log import Stream
from galaxy.domain.models import MAX_ATTEMPTS
from galaxy.domain.output.attempt_output import AttemptOutput
from galaxy.domain.reasons import WORKER_LOST
from galaxy.domain.states import Step, VersionState
from galaxy.services import logbook
from galaxy.services.retries import pause_s
from galaxy.services.signs_of_life import SignsOfLife
from galaxy.settings import Settings
from tests.support.fake_engine import Running, succeed
from tests.support.stores import APP, BUNDLE_URL, BY_BOB, ENV_VALUE, claim
from tests.support.workshop import REGISTRY, Workshop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from galaxy.domain.log import Batch, LogBlock
    from galaxy.domain.models import Attempt
    from tests.support.fake_engine import Program

S = VersionState
DEADLINE_S = 10


@pytest.fixture
def workshop() -> Iterator[Workshop]:
    workshop = Workshop()
    yield workshop
    workshop.close()
    check_that_nothing_is_left(workshop)


@pytest.fixture
def watchful() -> Iterator[Workshop]:
    """Notices within a moment that a lease is lost."""
    workshop = Workshop(lease_s=0.06)
    yield workshop
    workshop.close()
    check_that_nothing_is_left(workshop)


def check_that_nothing_is_left(workshop: Workshop) -> None:
    assert workshop.engine.containers("") == ()
    assert workshop.engine.volume_names == set()


def failing(times: int) -> Program:
    """Fails so often, and succeeds then."""
    runs = iter(range(times))

    def program(running: Running) -> int:
        failed = next(runs, None) is not None
        running.print("it rains\n" if failed else "the sun shines\n")
        return 3 if failed else 0

    return program


def until_stopped(running: Running) -> int:
    """Says nothing until it is ended."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        running.tick()
        time.sleep(0.005)
    return 99


# -- success


def test_a_build_ends_as_an_image_in_the_registry(workshop: Workshop) -> None:
    workshop.base_image(succeed)
    ref = workshop.deploy()
    outcome = workshop.run(ref)
    version = workshop.version(ref)
    assert version.state is S.BUILT
    assert version.image == f"{REGISTRY}/apps/{APP}:1"
    assert version.image_digest == workshop.engine.registry_digest(f"{REGISTRY}/apps/{APP}", "1")
    assert version.base_digest == workshop.registry.digest
    assert outcome.built
    assert f"{version.image}@{version.image_digest}" in outcome.sentence
    assert workshop.queue.rollouts == [ref]


def test_each_step_is_recorded_with_its_times(workshop: Workshop) -> None:
    workshop.base_image(succeed)
    ref = workshop.deploy()
    began_ms = time.time() * 1000
    shown: list[tuple[int, Step, Step | None]] = []
    workshop.run(ref, lambda attempt, step: shown.append((attempt.number, step, workshop.version(ref).step)))
    steps = workshop.version(ref).steps
    assert [step.step for step in steps] == [*Step]
    assert shown == [(1, step, step) for step in Step]
    assert all(began_ms - 1000 < step.started_at_ms < began_ms + 60_000 for step in steps)
    assert all(0 <= step.duration_ms < 60_000 for step in steps)


def test_setup_gets_the_bundles_url(workshop: Workshop) -> None:
    lines: list[str] = []

    def program(running: Running) -> int:
        lines.append(running.line)
        return 0

    workshop.base_image(program)
    workshop.run(workshop.deploy())
    assert lines == [BUNDLE_URL]


def test_the_log_tells_the_story_in_order(workshop: Workshop) -> None:
    def program(running: Running) -> int:
        running.print("unpacking\n")
        running.print("careful\n", Stream.STDERR)
        return 0

    workshop.base_image(program)
    workshop.run(workshop.deploy())
    lines = workshop.lines()
    told = [
        "looking up the base image",
        "Pulled",
        "Running /app/setup.sh",
        "unpacking",
        "careful",
        "Saved",
        "is built",
    ]
    assert [part for part in told if part not in workshop.text()] == []
    assert [next(n for n, line in enumerate(lines, -1) if part in line.text) for part in told] == [
        *range(len(told))
    ]
    assert {(line.version, line.attempt) for line in lines[1:]} == {(1, 1)}
    assert [line.text for line in lines if line.error] == ["careful"]


def test_the_image_keeps_the_base_images_config_and_gets_labels(workshop: Workshop) -> None:
    workshop.base_image(succeed, {"Cmd": ["/bin/true"], "User": "app", "Labels": {"a": "b"}})
    workshop.run(workshop.deploy())
    (found,) = workshop.engine.tagged_images(REGISTRY)
    config = dict(workshop.engine.images[found.id].config)
    labels = config.pop("Labels")
    assert config == {"Cmd": ["/bin/true"], "User": "app"}
    assert isinstance(labels, dict)
    created = labels.pop("org.opencontainers.image.created")
    assert created.endswith("Z")
    assert labels == {
        "a": "b",
        "org.opencontainers.image.title": APP,
        "org.opencontainers.image.version": "1",
        "org.opencontainers.image.base.name": "docker.io/meteor/galaxy-app:latest",
        "org.opencontainers.image.base.digest": workshop.registry.digest,
    }


def test_a_queue_that_is_away_does_not_fail_a_build(workshop: Workshop) -> None:
    workshop.base_image(succeed)
    ref = workshop.deploy()
    workshop.queue.away = QueueError("The broker can't be reached.")
    workshop.run(ref)
    assert workshop.version(ref).state is S.BUILT


def test_a_base_image_is_looked_into_once(workshop: Workshop) -> None:
    workshop.base_image(succeed)
    workshop.run(workshop.deploy())
    workshop.engine.fail_next("setup_script", EngineError("This is not asked again."))
    ref = workshop.deploy()
    workshop.run(ref)
    assert workshop.version(ref).state is S.BUILT


def test_volumes_that_lose_files_are_warned_about(workshop: Workshop) -> None:
    workshop.base_image(succeed, {"Cmd": ["/bin/true"], "Volumes": {"/data": {}}})
    workshop.run(workshop.deploy())
    assert "declares VOLUME /data" in workshop.text()


# -- failure and retries


def test_a_script_that_fails_twice_is_built_on_the_third_attempt(workshop: Workshop) -> None:
    workshop.base_image(failing(2))
    ref = workshop.deploy()
    raised = workshop.run_until_final(ref)
    assert [type(error) for error in raised] == [AttemptFailed, AttemptFailed]
    version = workshop.version(ref)
    assert (version.state, version.attempt, version.failure) == (S.BUILT, 3, None)
    lines = workshop.lines()
    assert [line.attempt for line in lines if line.text == "it rains"] == [1, 2]
    assert [line.attempt for line in lines if line.text == "the sun shines"] == [3]
    failures = [line.text for line in lines if line.error]
    assert failures == [
        f"Attempt {n} of 4 failed: /app/setup.sh ended with exit code 3. Its output above says why."
        for n in (1, 2)
    ]
    assert [line.attempt for line in lines if "The next attempt starts" in line.text] == [1, 2]


def test_a_script_that_always_fails_is_given_up_after_four_attempts(workshop: Workshop) -> None:
    workshop.base_image(failing(100))
    ref = workshop.deploy()
    raised = workshop.run_until_final(ref)
    assert [type(error) for error in raised] == [AttemptFailed] * 3 + [BuildFailed]
    assert cast("BuildFailed", raised[-1]).facts == {"app": APP, "version": 1, "attempt": 4}
    version = workshop.version(ref)
    assert (version.state, version.attempt) == (S.BUILD_FAILED, 4)
    assert "exit code 3" in str(version.failure)
    assert [step.step for step in version.steps] == [Step.PULL, Step.VERIFY, Step.SETUP]
    assert workshop.text().count("it rains") == 4
    assert "The build of version 1 has failed for good" in workshop.lines()[-1].text
    assert workshop.lines()[-1].error
    assert workshop.queue.rollouts == []


def test_deploying_again_after_a_failure_makes_a_new_version(workshop: Workshop) -> None:
    workshop.base_image(failing(4))
    workshop.run_until_final(workshop.deploy())
    second = workshop.deploy()
    assert workshop.run_until_final(second) == []
    assert workshop.version(second).state is S.BUILT


FAULTS = ("pull", "setup_script", "create", "run", "commit", "push")


@pytest.mark.parametrize("error", [EngineError("The engine rests."), RuntimeError("a bug")])
@pytest.mark.parametrize("method", FAULTS)
def test_any_error_in_any_step_is_retried(workshop: Workshop, method: str, error: Exception) -> None:
    workshop.base_image(succeed)
    workshop.engine.fail_next(method, error)
    ref = workshop.deploy()
    (raised,) = workshop.run_until_final(ref)
    assert isinstance(raised, AttemptFailed)
    assert str(error) in str(raised)
    assert workshop.version(ref).attempt == 2
    assert workshop.version(ref).state is S.BUILT


def test_the_end_of_the_output_comes_before_the_failure(workshop: Workshop) -> None:
    def program(running: Running) -> int:
        running.print("the last words, without a line end")
        raise EngineError("The engine rests.")

    workshop.base_image(program)
    with pytest.raises(AttemptFailed):
        workshop.run(workshop.deploy())
    last_words, failed, _ = [line.text for line in workshop.lines()][-3:]
    assert last_words == "the last words, without a line end"
    assert failed == "Attempt 1 of 4 failed: The engine rests."


@pytest.fixture
def impatient() -> Iterator[Workshop]:
    """Does not wait for a log that is away."""
    workshop = Workshop(log_patience_s=0.05)
    yield workshop
    workshop.close()
    check_that_nothing_is_left(workshop)


@pytest.mark.parametrize("program", [succeed, lambda _: 3])
def test_a_log_that_can_not_be_written_fails_the_attempt_and_the_failure_says_so_once(
    impatient: Workshop, monkeypatch: pytest.MonkeyPatch, program: Program
) -> None:
    impatient.base_image(program)
    ref = impatient.deploy()

    def lose(*_: object) -> None:
        raise StoreError("The logs' Redis can't be reached.")

    monkeypatch.setattr(impatient.log, "append", lose)
    with pytest.raises(AttemptFailed):
        impatient.run(ref)
    version = impatient.version(ref)
    assert version.state is S.RETRYING
    failure = str(version.failure)
    assert failure.count("lines are missing. The logs' Redis can't be reached.") == 1
    assert ("exit code 3" in failure) == (program is not succeed)


def test_an_unexpected_error_is_named(workshop: Workshop) -> None:
    workshop.base_image(succeed)
    workshop.engine.fail_next("commit", KeyError("Id"))
    ref = workshop.deploy()
    with pytest.raises(AttemptFailed, match="Unexpected KeyError: 'Id'"):
        workshop.run(ref)


def test_a_base_image_that_the_registry_lacks_fails_the_attempt(workshop: Workshop) -> None:
    workshop.registry.errors = [BaseImageNotFound("There is no meteor/galaxy-app:latest.")]
    ref = workshop.deploy()
    with pytest.raises(AttemptFailed, match=r"no meteor/galaxy-app:latest"):
        workshop.run(ref)


def test_all_breaches_of_the_contract_are_named(workshop: Workshop) -> None:
    workshop.base_image(succeed, {}, script=SetupScript(kind=FileKind.MISSING))
    ref = workshop.deploy()
    with pytest.raises(AttemptFailed, match=r"neither CMD nor ENTRYPOINT.*has no /app/setup\.sh"):
        workshop.run(ref)
    assert [step.step for step in workshop.version(ref).steps] == [Step.PULL, Step.VERIFY]


def test_a_base_image_without_bash_is_said_so(workshop: Workshop) -> None:
    workshop.base_image(succeed, has_bash=False)
    with pytest.raises(AttemptFailed, match="bash could not be started"):
        workshop.run(workshop.deploy())


@pytest.mark.parametrize(("code", "hint"), [(126, "may not execute"), (127, "not found"), (137, "killed")])
def test_exit_codes_that_mean_something_are_explained(workshop: Workshop, code: int, hint: str) -> None:
    workshop.base_image(lambda _: code)
    with pytest.raises(AttemptFailed, match=hint):
        workshop.run(workshop.deploy())


def test_an_image_whose_config_changed_is_refused_and_removed(workshop: Workshop) -> None:
    workshop.base_image(succeed)
    workshop.engine.alter_config = lambda config: config | {"User": "root", "Hostname": "c0ffee"}
    with pytest.raises(AttemptFailed, match="differs from its base image in Hostname, User"):
        workshop.run(workshop.deploy())
    assert workshop.engine.tagged_images(REGISTRY) == ()


def test_an_image_that_could_not_be_pushed_is_removed(workshop: Workshop) -> None:
    workshop.base_image(succeed)
    workshop.engine.unreachable.add(REGISTRY)
    with pytest.raises(AttemptFailed, match="refused"):
        workshop.run(workshop.deploy())
    assert workshop.engine.tagged_images(REGISTRY) == ()


def test_a_removal_that_fails_does_not_hide_why(workshop: Workshop) -> None:
    workshop.base_image(succeed)
    workshop.engine.fail_next("push", EngineError("The engine rests."))
    workshop.engine.fail_next("remove_image", EngineError("The engine sleeps."))
    with pytest.raises(AttemptFailed, match="rests"):
        workshop.run(workshop.deploy())


def test_a_build_past_its_deadline_fails() -> None:
    workshop = Workshop(build_timeout_s=0.05)
    workshop.base_image(until_stopped)
    with pytest.raises(AttemptFailed, match=r"took longer than 0\.05 s"):
        workshop.run(workshop.deploy())
    workshop.close()


def test_a_silent_script_is_cut_off_and_told_why() -> None:
    workshop = Workshop(silence_timeout_s=0.05)
    workshop.base_image(until_stopped)
    with pytest.raises(AttemptFailed, match=r"printed nothing for 0\.05 s and was stopped"):
        workshop.run(workshop.deploy())
    assert "ask the operator to allow a longer silence" in workshop.text()
    assert "GALAXY_" not in workshop.text()
    workshop.close()


@pytest.mark.parametrize("silence_timeout_s", [0.5, 0])
def test_a_script_that_goes_on_printing_is_not_cut_off(silence_timeout_s: float) -> None:
    def program(running: Running) -> int:
        ends_at = time.monotonic() + 0.7
        while time.monotonic() < ends_at:
            if silence_timeout_s:
                running.print(".\n")
            running.tick()
            time.sleep(0.01)
        return 0

    workshop = Workshop(silence_timeout_s=silence_timeout_s)
    workshop.base_image(program)
    ref = workshop.deploy()
    workshop.run(ref)
    assert workshop.version(ref).state is S.BUILT
    workshop.close()


@pytest.mark.parametrize("step", [Step.PULL, Step.PUSH])
def test_a_transfer_without_progress_is_cut_off_as_the_operators_business(step: Step) -> None:
    alive = SignsOfLife(step, lambda: None, timeout_s=0.05)
    alive.check()
    deadline = time.monotonic() + DEADLINE_S

    def until_cut_off() -> None:
        while time.monotonic() < deadline:
            alive.check()
            time.sleep(0.005)

    with pytest.raises(EngineError, match=f"The {step} made no progress"):
        until_cut_off()
    alive.seen()
    alive.check()


def test_a_committed_image_has_a_tag_of_its_attempt_until_it_is_recorded(workshop: Workshop) -> None:
    workshop.base_image(succeed)
    seen: list[tuple[str, ...]] = []
    tokens: list[int] = []

    def look(attempt: Attempt, step: Step) -> None:
        if step is Step.PUSH:
            tokens.append(attempt.token)
            seen.extend(image.tags for image in workshop.engine.tagged_images(REGISTRY))

    workshop.run(workshop.deploy(), look)
    assert seen == [(f"{REGISTRY}/apps/{APP}:1-workshop-{tokens[0]}",)]
    assert [image.tags for image in workshop.engine.tagged_images(REGISTRY)] == [
        (f"{REGISTRY}/apps/{APP}:1",)
    ]


@pytest.mark.parametrize("error", [SetupFailed("It rained."), EngineError("The engine rests.")])
def test_pauses_double_and_have_a_limit(error: Exception) -> None:
    settings = Settings(retry_backoff_s=100, outage_backoff_s=100, retry_backoff_max_s=300)
    for number, longest in enumerate((100, 200, 300), 1):
        pauses = [pause_s(number, error, settings) for _ in range(50)]
        assert longest / 2 <= min(pauses) < max(pauses) <= longest


def pauses_in_all(error: Exception) -> list[float]:
    """From the first attempt's failure to the last attempt, with the default settings, many times."""
    defaults = Settings(**{name: field.default for name, field in Settings.model_fields.items()})
    return [sum(pause_s(number, error, defaults) for number in range(1, MAX_ATTEMPTS)) for _ in range(200)]


@pytest.mark.parametrize(
    "error",
    [
        EngineError("The engine could not push the image."),
        RegistryUnavailable("The registry can't be reached."),
        RegistryThrottled("The registry asked for a pause."),
        StoreError("The logs' Redis can't be reached."),
        OSError("Nobody knows."),
    ],
)
def test_the_attempts_outlast_whatever_of_ours_is_away_for_a_minute(error: Exception) -> None:
    assert min(pauses_in_all(error)) >= 70


@pytest.mark.parametrize(
    "error",
    [
        SetupFailed("/app/setup.sh ended with exit code 1."),
        BaseImageNotFound("There is no such image."),
        BuildTimedOut("It printed nothing."),
        RegistryDenied("The registry refused access."),
        RegistryBlocked("It is not looked up."),
    ],
)
def test_what_a_developer_can_mend_does_not_wait_for_the_end_of_an_outage(error: Exception) -> None:
    assert max(pauses_in_all(error)) <= 35


def test_an_attempt_asks_its_registry_however_often_that_has_failed(workshop: Workshop) -> None:
    workshop.base_image(succeed)
    workshop.run(workshop.deploy())
    assert workshop.registry.insisted == [True]


def test_celery_waits_exactly_as_long_as_the_store() -> None:
    workshop = Workshop(retry_backoff_s=100)
    workshop.base_image(failing(1))
    ref = workshop.deploy()
    with pytest.raises(AttemptFailed) as failed:
        workshop.run(ref)
    due_in_s = (workshop.version(ref).retry_at_ms or 0) / 1000 - time.time()
    assert failed.value.retry_in_s == pytest.approx(due_in_s, abs=5)
    assert "not_due" in workshop.run(ref).sentence
    workshop.close()


# -- secrets


@pytest.mark.parametrize("error_type", [EngineError, RuntimeError])
def test_secrets_are_redacted_from_reasons(workshop: Workshop, error_type: type[Exception]) -> None:
    workshop.base_image(succeed)
    workshop.engine.fail_next("run", error_type(f"can't fetch {BUNDLE_URL} for {ENV_VALUE}"))
    ref = workshop.deploy()
    with pytest.raises(AttemptFailed, match="redacted") as failed:
        workshop.run(ref)
    shown = f"{failed.value} {workshop.text()} {workshop.version(ref)!r} {workshop.store.activity(APP)!r}"
    assert BUNDLE_URL not in shown
    assert ENV_VALUE not in shown


@pytest.mark.parametrize(
    "env", [{"ROOT_URL": f"https://{APP}"}, {"TOKEN": APP}, {"TOKEN": "Saved the container"}]
)
def test_the_pipelines_own_sentences_show_what_they_name_whatever_is_in_env(
    workshop: Workshop, env: dict[str, str]
) -> None:
    workshop.base_image(failing(1))
    ref = workshop.deploy(env)
    workshop.run_until_final(ref)
    text = workshop.text()
    assert f"Saved the container as {REGISTRY}/apps/{APP}:1; pushing it." in text
    assert "Attempt 1 of 4 failed: /app/setup.sh ended with exit code 3." in text
    assert "[redacted]" not in text


def test_a_failure_reason_hides_only_what_it_quotes(workshop: Workshop) -> None:
    workshop.base_image(succeed)
    said = f"denied: push image with {BUNDLE_URL}"
    failure = EngineError(f"The engine could not push the image: {said}.", quotes=[said])
    workshop.engine.fail_next("push", failure)
    ref = workshop.deploy({"TOKEN": "push image", "OTHER": "push the image"})
    with pytest.raises(AttemptFailed):
        workshop.run(ref)
    reason = "The engine could not push the image: denied: [redacted] with [redacted]."
    assert workshop.version(ref).failure == reason
    assert workshop.text().count(reason) == 1


def test_what_a_base_image_says_is_redacted_where_it_is_quoted(workshop: Workshop) -> None:
    workshop.base_image(succeed, {"Cmd": ["/bin/true"], "Volumes": {"/data/hunter2": {}}})
    workshop.run_until_final(workshop.deploy({"TOKEN": "hunter2", "OTHER": "declares VOLUME"}))
    assert "The base image declares VOLUME /data/[redacted]: what" in workshop.text()
    script = SetupScript(kind=FileKind.FILE, executable=True, first_line="#!/bin/zsh hunter2")
    workshop.base_image(succeed, {"Cmd": ["/bin/true"]}, script=script)
    ref = workshop.deploy({"TOKEN": "hunter2", "OTHER": "script for bash"})
    with pytest.raises(AttemptFailed):
        workshop.run(ref)
    failure = str(workshop.version(ref).failure)
    assert "is not a script for bash" in failure
    assert "it is '#!/bin/zsh [redacted]'" in failure


def test_secrets_are_redacted_from_the_output(workshop: Workshop) -> None:
    def program(running: Running) -> int:
        running.print(f"+ curl {running.line[:20]}")
        running.print(f"{running.line[20:]}\n{ENV_VALUE}\n", Stream.STDOUT)
        return 0

    workshop.base_image(program)
    workshop.run(workshop.deploy())
    assert "+ curl [redacted]\n[redacted]" in workshop.text()
    assert BUNDLE_URL not in workshop.text()


def test_the_lease_is_renewed_while_secrets_are_made_ready_and_that_is_done_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workshop = Workshop(lease_s=1)
    workshop.base_image(succeed)
    workshop.engine.fail_next("run", RuntimeError("a bug"))
    ref = workshop.deploy()
    lost: list[object] = []

    class SlowOutput(AttemptOutput):
        def __init__(self, **about: Any) -> None:  # noqa: ANN401 - whatever the logbook gives it
            super().__init__(**about)
            time.sleep(1.5)
            lost.append(workshop.store.end_lost(ref, WORKER_LOST))

    monkeypatch.setattr(logbook, "AttemptOutput", SlowOutput)
    with pytest.raises(AttemptFailed, match="a bug"):
        workshop.run(ref)
    workshop.close()
    assert lost == [None]


# -- whoever has no reason to go on


def test_a_second_delivery_of_a_running_build_does_nothing(workshop: Workshop) -> None:
    ref = workshop.deploy()
    outcomes = []

    def program(_: Running) -> int:
        outcomes.append(workshop.run(ref))
        return 0

    workshop.base_image(program)
    workshop.run(ref)
    assert "held" in outcomes[0].sentence
    assert workshop.version(ref).attempt == 1
    assert "not_claimable" in workshop.run(ref).sentence


def test_whoever_finds_a_lost_attempt_goes_on_with_the_next(workshop: Workshop) -> None:
    workshop.base_image(succeed)
    ref = workshop.deploy()
    claim(workshop.dying, ref)
    workshop.run(ref)
    version = workshop.version(ref)
    assert (version.state, version.attempt) == (S.BUILT, 2)
    assert "Attempt 1 of 4 failed: The worker that ran this attempt was lost." in workshop.text()


def test_whoever_finds_the_last_attempt_lost_says_that_the_build_has_failed(workshop: Workshop) -> None:
    workshop.base_image(succeed)
    ref = workshop.deploy()
    for _ in range(3):
        claim(workshop.dying, ref)
        workshop.dying.end_lost(ref, WORKER_LOST)
    claim(workshop.dying, ref)
    with pytest.raises(BuildFailed):
        workshop.run(ref)
    assert workshop.version(ref).state is S.BUILD_FAILED
    assert "The build of version 1 has failed for good" in workshop.text()


def test_a_registry_that_asks_for_patience_is_given_it_up_to_a_bound() -> None:
    workshop = Workshop(retry_backoff_s=20)
    workshop.base_image(succeed)
    ref = workshop.deploy()
    asked, longest_s = RegistryThrottled("The registry throttles us."), workshop.settings.retry_backoff_max_s
    asked.retry_after_s = longest_s + 100
    workshop.registry.errors.append(asked)
    with pytest.raises(AttemptFailed) as failed:
        workshop.run(ref)
    workshop.close()
    assert failed.value.retry_in_s == pytest.approx(longest_s, abs=0.5)


def lose_the_lease(workshop: Workshop, attempt: Attempt) -> None:
    """As if the worker had been silent for too long: another one builds the version now."""
    deadline = time.monotonic() + DEADLINE_S
    while workshop.dying.renew(attempt) or not workshop.store.end_lost(attempt.ref, WORKER_LOST):
        assert time.monotonic() < deadline
    claim(workshop.store, attempt.ref)


def _cancel(workshop: Workshop, attempt: Attempt) -> None:
    workshop.store.cancel(attempt.ref, BY_BOB)


def _supersede(workshop: Workshop, _: Attempt) -> None:
    workshop.deploy()


@pytest.mark.parametrize("step", Step)
def test_whoever_lost_the_lease_leaves_nothing_behind(workshop: Workshop, step: Step) -> None:
    workshop.base_image(succeed)
    ref = workshop.deploy()

    def lose(attempt: Attempt, current: Step) -> None:
        if current is step:
            lose_the_lease(workshop, attempt)

    outcome = workshop.run(ref, lose)
    assert outcome.built is None
    version = workshop.version(ref)
    assert (version.state, version.attempt, version.image, version.steps) == (S.BUILDING, 2, None, ())
    assert "is built" not in workshop.text()
    assert "failed" not in workshop.text()
    assert workshop.queue.rollouts == []
    assert workshop.engine.tagged_images(REGISTRY) == ()


@pytest.mark.parametrize(
    ("end", "state", "why"),
    [
        (_cancel, S.CANCELLED, "Version 1 of www.example.com was cancelled."),
        (_supersede, S.SUPERSEDED, "A newer version of www.example.com was deployed."),
    ],
)
@pytest.mark.parametrize("step", Step)
def test_a_version_that_nobody_wants_any_more_is_stopped_in_every_step(
    workshop: Workshop,
    step: Step,
    end: Callable[[Workshop, Attempt], None],
    state: VersionState,
    why: str,
) -> None:
    workshop.base_image(succeed)
    ref = workshop.deploy()
    workshop.run(ref, lambda attempt, current: end(workshop, attempt) if current is step else None)
    assert workshop.version(ref).state is state
    assert workshop.lines()[-1].text == f"Attempt 1 was stopped. {why}"
    assert workshop.engine.tagged_images(REGISTRY) == ()
    assert "not_claimable" in workshop.run(ref).sentence


@pytest.mark.parametrize("end", [_cancel, _supersede, lose_the_lease])
def test_an_endless_script_is_ended_with_its_lease(
    watchful: Workshop, end: Callable[[Workshop, Attempt], None]
) -> None:
    watchful.base_image(until_stopped)
    ref = watchful.deploy()
    began = time.monotonic()
    outcome = watchful.run(ref, lambda attempt, step: end(watchful, attempt) if step is Step.SETUP else None)
    assert time.monotonic() - began < DEADLINE_S / 2
    assert outcome.sentence.startswith("Stopped building version 1")


def test_what_was_printed_last_stands_before_the_sentence_that_the_build_was_stopped(
    watchful: Workshop,
) -> None:
    ref = watchful.deploy()

    def program(running: Running) -> int:
        running.print("one line\nhalf a li")
        watchful.store.cancel(ref, BY_BOB)
        return until_stopped(running)

    watchful.base_image(program)
    watchful.run(ref)
    *_, one, half, stopped = (line.text for line in watchful.lines())
    assert (one, half) == ("one line", "half a li")
    assert stopped.startswith("Attempt 1 was stopped.")


def hang_log(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Event:
    """Nothing is appended to the log until this is set, and little of what is printed can wait for it."""
    back, append = Event(), workshop.log.append

    def hang(app: str, blocks: Sequence[LogBlock], batch: Batch | None = None) -> str:
        if not back.wait(DEADLINE_S):
            raise StoreError("The logs' Redis does not answer.")
        return append(app, blocks, batch)

    monkeypatch.setattr(sender, "_BUFFER_BYTES", 50_000)
    monkeypatch.setattr(workshop.log, "append", hang)
    return back


def test_a_cancelled_build_stops_while_its_log_hangs_and_the_log_says_why(
    watchful: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = watchful.deploy()
    back = hang_log(watchful, monkeypatch)
    times: list[float] = []

    def cancel() -> None:
        times.append(time.monotonic())
        watchful.store.cancel(ref, BY_BOB)

    def program(running: Running) -> int:
        Timer(0.3, cancel).start()
        try:
            while True:
                running.print(f"{'x' * 999}\n")
        finally:
            times.append(time.monotonic())
            back.set()

    watchful.base_image(program)
    assert watchful.run(ref).sentence.startswith("Stopped building version 1")
    cancelled, ended = times
    assert ended - cancelled < 2
    assert watchful.lines()[-1].text == f"Attempt 1 was stopped. Version 1 of {APP} was cancelled."


def test_a_script_whose_output_has_to_wait_for_the_log_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    workshop = Workshop(silence_timeout_s=0.5)
    ref = workshop.deploy()
    back = hang_log(workshop, monkeypatch)

    def program(running: Running) -> int:
        Timer(1.2, back.set).start()
        for _ in range(60):
            running.print(f"{'x' * 999}\n")
        return 0

    workshop.base_image(program)
    workshop.run(ref)
    assert workshop.version(ref).state is S.BUILT
    workshop.close()


def test_a_version_that_is_cancelled_as_its_log_fails_is_no_error(
    impatient: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = impatient.deploy()

    def program(running: Running) -> int:
        running.print("lost\n")
        impatient.store.cancel(ref, BY_BOB)
        raise EngineError("The engine rests.")

    def lose(*_: object) -> None:
        raise StoreError("The logs' Redis can't be reached.")

    impatient.base_image(program)
    monkeypatch.setattr(impatient.log, "append", lose)
    assert impatient.run(ref).sentence.startswith("Stopped building version 1")


def test_what_is_read_after_the_lease_was_lost_is_not_written(watchful: Workshop) -> None:
    """The worker was stopped, and goes on where it had been: with what the script has printed meanwhile."""
    ref = watchful.deploy()

    def program(running: Running) -> int:
        running.print("before\n")
        watchful.store.cancel(ref, BY_BOB)
        time.sleep(0.2)  # longer than the lease
        running._on_output(Stream.STDOUT, b"overdue\n")
        return 0

    watchful.base_image(program)
    watchful.run(ref)
    assert "before" in watchful.text()
    assert "overdue" not in watchful.text()


def test_a_script_that_fails_as_it_is_cancelled_is_no_failure(workshop: Workshop) -> None:
    ref = workshop.deploy()

    def program(_: Running) -> int:
        workshop.store.cancel(ref, BY_BOB)
        return 1

    workshop.base_image(program)
    assert workshop.run(ref).sentence.startswith("Stopped building version 1")
    assert workshop.lines()[-1].text.startswith("Attempt 1 was stopped.")
    assert workshop.version(ref).failure == "Cancelled by bob."


def test_a_worker_that_has_to_stop_while_the_store_is_away_stops_nevertheless(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: Attempt) -> None:
        raise StoreError("Redis can't be reached.")

    def program(_: Running) -> int:
        monkeypatch.setattr(workshop.store, "hand_back", away)
        raise SystemExit

    workshop.base_image(program)
    ref = workshop.deploy()
    with pytest.raises(SystemExit):
        workshop.run(ref)
    assert workshop.version(ref).state is S.BUILDING, "until its lease runs out"


def test_a_worker_that_has_to_stop_hands_its_attempt_back(workshop: Workshop) -> None:
    def program(_: Running) -> int:
        raise SystemExit

    workshop.base_image(program)
    ref = workshop.deploy()
    with pytest.raises(SystemExit):
        workshop.run(ref)
    version = workshop.version(ref)
    assert (version.state, version.attempt) == (S.QUEUED, 0)
    assert workshop.queue.builds == [(ref, 0)]
    assert "The worker is being stopped" in workshop.text()
