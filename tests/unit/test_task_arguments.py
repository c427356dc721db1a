"""A call of a task with arguments that it does not have is refused in words, all at once, and without a value."""

from __future__ import annotations

from typing import Any

import pytest

import tasks.build
import tasks.deploy
import tasks.fan_out
import tasks.new_version
import tasks.roll_out
from galaxy.domain.base_images.image_reference import ImageReference
from galaxy.domain.deploys.app_settings import DeployRules
from galaxy.domain.deploys.deploy_request import DeployRequest
from galaxy.domain.errors import InvalidInput
from workers import app
from workers.task import RetriedTask

RULES = DeployRules("galaxy.meteor.com", 32 * 1024, ImageReference.parse("meteor/galaxy-app:latest"))
URL = "https://bundles.example.com/www-42.tar.gz?signature=canary"
RIGHT: dict[str, object] = {"app": "www.example.com", "settings": {"a": "canary"}, "bundle_url": URL}
KNOWN = "tasks.deploy takes `app`, `settings`, `bundle_url`, `deployed_by`, `idempotency_key`."


class Releases:
    """Checks a deploy as the real ones do, and makes nothing."""

    def __init__(self) -> None:
        self.asked: dict[str, object] = {}

    @property
    def releases(self) -> Releases:
        return self

    def deploy(self, **arguments: Any) -> Any:  # noqa: ANN401 - arguments of any kind
        DeployRequest.parse(**arguments, rules=RULES)
        self.asked = arguments
        return type("Deployed", (), {"app": arguments["app"], "version": 1})


@pytest.fixture(autouse=True)
def never_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    def retry(*_: object, **__: object) -> None:
        pytest.fail("It was retried.")

    monkeypatch.setattr(RetriedTask, "retry", retry)


@pytest.fixture
def releases(monkeypatch: pytest.MonkeyPatch) -> Releases:
    releases = Releases()
    monkeypatch.setattr(tasks.deploy, "pipeline", lambda: releases)
    return releases


def call(name: str, *args: object, **kwargs: object) -> Any:  # noqa: ANN401 - a task's result
    """Runs a task as a worker does, without a broker; raises what it ends with."""
    result = app.tasks[name].apply(args=args, kwargs=kwargs, task_id="the-id")
    return result.get()


def mistakes(name: str, *args: object, **kwargs: object) -> list[str]:
    with pytest.raises(InvalidInput) as refused:
        call(name, *args, **kwargs)
    assert type(refused.value) is InvalidInput
    assert "canary" not in str(refused.value)
    return str(refused.value).splitlines()


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("bundel_url", "bundle_url"),
        ("bundleUrl", "bundle_url"),
        ("bundle", "bundle_url"),
        ("bundle-url", "bundle_url"),
        ("setings", "settings"),
        ("App", "app"),
        ("idempotencyKey", "idempotency_key"),
    ],
)
def test_a_misspelled_argument_is_told_with_the_right_spelling_and_nothing_else(
    releases: Releases, wrong: str, right: str
) -> None:
    others = {name: value for name, value in RIGHT.items() if name != right}
    (told,) = mistakes("tasks.deploy", **others, **{wrong: RIGHT.get(right, "a-key")})
    assert told.endswith(f"Did you mean `{right}`? {KNOWN}")
    assert told.startswith(
        f"There is no argument `{wrong}`." if wrong.isidentifier() else "There is no argument"
    )
    assert not releases.asked


def test_all_misspelled_arguments_are_told_together_with_the_other_mistakes(releases: Releases) -> None:
    told = mistakes("tasks.deploy", app="", setings={}, bundel_url="ftp://canary", colour="canary")
    assert told == [
        f"There is no argument `setings`. Did you mean `settings`? {KNOWN}",
        f"There is no argument `bundel_url`. Did you mean `bundle_url`? {KNOWN}",
        f"There is no argument `colour`. {KNOWN}",
        *[line for line in told if line.startswith(("app: ", "bundle_url: "))],
    ]
    assert len(told) == 5
    assert not releases.asked


def test_a_missing_argument_is_told_in_the_words_of_any_deploy(releases: Releases) -> None:
    del releases
    (told,) = mistakes("tasks.deploy", app="www.example.com", settings={})
    assert told.startswith("bundle_url: is missing or null.")


def test_too_many_positions_and_an_argument_that_comes_twice_are_told(releases: Releases) -> None:
    told = mistakes("tasks.deploy", "www.example.com", {}, URL, None, None, "canary", app="canary")
    assert told == [
        f"6 arguments were sent by position, and 5 are the most. {KNOWN}",
        "The argument `app` was sent twice, by position and by name. Send it once.",
        *[line for line in told if line.startswith("app: ")],
    ]
    assert not releases.asked


def test_arguments_by_name_and_by_position_mean_the_same(releases: Releases) -> None:
    for args, kwargs in (((), RIGHT), (tuple(RIGHT.values()), {})):
        assert call("tasks.deploy", *args, **kwargs) == {"app": "www.example.com", "version": 1}
        assert {name: releases.asked[name] for name in RIGHT} == RIGHT
        assert releases.asked["idempotency_key"] == "task the-id"
    call("tasks.deploy", **RIGHT, idempotency_key="mine")
    assert releases.asked["idempotency_key"] == "mine"


@pytest.mark.parametrize("name", [URL, "x" * 61, "naïve", "a b", "self.canary"])
def test_a_name_that_could_be_a_value_is_not_shown(releases: Releases, name: str) -> None:
    del releases
    (told,) = mistakes("tasks.deploy", **RIGHT, **{name: "canary"})
    assert name not in told
    assert told.startswith("There is no argument of such a name")


def test_self_is_no_argument(releases: Releases) -> None:
    del releases
    assert mistakes("tasks.deploy", **RIGHT, self="canary") == [f"There is no argument `self`. {KNOWN}"]


def test_thousands_of_names_are_not_all_told(releases: Releases) -> None:
    del releases
    told = mistakes("tasks.deploy", **RIGHT, **{f"unknown_{number}": 1 for number in range(5000)})
    assert len(told) == 101


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("tasks.build", ("app", "version")),
        ("tasks.roll_out", ("app", "version")),
        ("tasks.fan_out", ("image", "update")),
        ("tasks.new_version", ("image", "update", "apps")),
    ],
)
def test_other_tasks_refuse_what_they_do_not_know_and_are_not_retried(
    name: str, names: tuple[str, ...]
) -> None:
    known = f"{name} takes {', '.join(f'`{each}`' for each in names)}."
    misspelled = {f"{names[0]}s": "canary", "canary!": "canary"}
    assert mistakes(name, **misspelled) == [
        f"There is no argument `{names[0]}s`. Did you mean `{names[0]}`? {known}",
        f"There is no argument of such a name (names are ASCII letters, digits and underscores). {known}",
        *[f"The argument `{each}` is missing. {name} can't do without it." for each in names[1:]],
    ]
    assert len(mistakes(name, *["canary"] * (len(names) + 1))) == 1


def test_a_sender_that_has_the_tasks_code_is_told_the_same() -> None:
    """Celery's own check would raise a bare `TypeError` before anything is sent."""
    sent = tasks.deploy.deploy.signature(kwargs={"bundel_url": URL})
    sent.type.__header__(**sent.kwargs)
