"""Somebody publishes another base image under the same tag: what becomes of the apps on it, on the running stack."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support.fleet import eventually
from tests.support.repacked import repack

if TYPE_CHECKING:
    from tests.e2e.conftest import Stack

_BUNDLE = "http://bundles.example.com/x.tgz"
#: Four attempts with their pauses take 7 s on an idle machine; this one may be a busy one.
_WITHIN_S = 90.0


class Base:
    """A base image of the test's own, and apps on it."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.repository = f"tests/updates-{stack.run_id}"
        self.name = f"{self.repository}:1"

    def publish(self, *lines: str) -> str:
        """Publishes an image whose setup.sh runs these lines; returns its digest."""
        return self._stack.publish(self.repository, "\n".join(["#!/bin/bash", *lines, ""]))

    def deploy(self, *apps: str) -> None:
        """A person deploys them all, each as a version that becomes active."""
        settings, numbers = self._stack.settings(repository=self.repository), {}
        for app in apps:
            asked = ("deploy", app, "--bundle", _BUNDLE, "--settings", settings, "--no-wait", "--json")
            done = self._stack.galaxy(*asked)
            assert done.code == 0, done.err
            numbers[app] = int(str(done.json_lines()[0]["version"]))
        for app, number in numbers.items():
            self.becomes(app, number, "active")

    def versions(self, app: str) -> dict[object, dict[str, object]]:
        return {each["number"]: each for each in self._stack.galaxy("versions", app, "--json").json_lines()}

    def becomes(self, app: str, number: int, *states: str) -> dict[str, object]:
        """Waits until this version is in one of these states, and returns it."""
        # asked in the store: the command line takes half a second of the processor each time, and the builds need that
        eventually(
            f"version {number} of {app} is {' or '.join(states)}",
            lambda: self._stack.state(app, number) in states,
            _WITHIN_S,
        )
        return self.versions(app)[number]

    def dependents(self) -> dict[object, dict[str, object]]:
        done = self._stack.galaxy("base-images", "dependents", self.name, "--json")
        assert done.code == 0, done.err
        return {each["app"]: each for each in done.json_lines()}

    def listed(self) -> dict[str, object]:
        images = self._stack.galaxy("base-images", "--json").json_lines()
        (found,) = [each for each in images if each["reference"] == f"docker.io/{self.name}"]
        return found

    def update(self) -> dict[str, object]:
        update = self.listed()["update"]
        assert isinstance(update, dict)
        return update


@pytest.fixture
def base(stack: Stack) -> Base:
    return Base(stack)


def test_an_app_is_rebuilt_on_a_changed_base_image_without_anyone_deploying(stack: Stack, base: Base) -> None:
    first = base.publish("echo set up by the first")
    base.deploy(stack.app)
    eventually("the base image was checked", lambda: base.listed()["digest"] == first)
    before = base.dependents()[stack.app]
    assert (before["verdict"], before["next_verdict"], before["next_source"]) == ("up_to_date", "rebuild", 1)

    second = base.publish("echo set up by the second")

    version = base.becomes(stack.app, 2, "active")
    assert (version["automatic"], version["rebuild_of"], version["base_digest"]) == (True, 1, second)
    assert base.versions(stack.app)[1]["state"] == "retired"
    log = stack.galaxy("logs", stack.app, "--version", "2").out
    told = f"Base image {base.name} changed to digest {second}: version 2 builds version 1 on it again."
    for sentence in (told, "set up by the second", "Version 2 is active now; version 1 is retired."):
        assert log.count(sentence) == 1
    assert _BUNDLE not in log
    assert "base image update, rebuild of 1" in stack.galaxy("versions", stack.app).out
    assert "version 2 was made by a base image update" in stack.galaxy("activity", stack.app).out
    apps = {each["app"]: each for each in stack.galaxy("apps", "--json").json_lines()}
    assert (apps[stack.app]["active_version"], apps[stack.app]["rebuild_of"]) == (2, 1)
    assert (base.listed()["digest"], base.update()["built"]) == (second, 1)


def test_the_same_image_packed_anew_rebuilds_the_app(stack: Stack, base: Base) -> None:
    base.publish("echo the same")
    base.deploy(stack.app)
    image = stack.engine.images.get(
        f"{os.environ['GALAXY_DOCKER_HUB_MIRROR'].partition('//')[2]}/{base.name}"
    )

    digest = repack(os.environ["GALAXY_DOCKER_HUB_MIRROR"], base.repository, "1")

    assert base.becomes(stack.app, 2, "active")["base_digest"] == digest
    pulled = stack.engine.images.get(
        f"{os.environ['GALAXY_DOCKER_HUB_MIRROR'].partition('//')[2]}/{base.repository}@{digest}"
    )
    assert pulled.id == image.id


def test_a_base_image_on_which_builds_fail_pauses_its_update_and_leaves_the_apps(
    stack: Stack, base: Base
) -> None:
    apps = [f"a-{stack.app}", f"b-{stack.app}"]
    base.publish("true")
    base.deploy(*apps)

    base.publish("echo no compiler in here >&2", "exit 1")

    base.becomes(apps[0], 2, "build_failed")
    eventually("the update has paused", lambda: base.update()["state"] == "paused", _WITHIN_S)
    assert [(base.versions(app)[1]["state"], len(base.versions(app))) for app in apps] == [
        ("active", 2),
        ("active", 1),
    ]
    errors = stack.galaxy("logs", apps[0], "--version", "2", "--source", "errors").out
    for sentence in ("no compiler in here", "ended with exit code 1.", "The app stays as it is."):
        assert sentence in errors
    told = stack.galaxy("base-images").out
    assert "In wave 1, 1 of 1 builds failed" in told
    assert f"galaxy base-images resume {base.name}" in told
    assert base.dependents()[apps[0]]["verdict"] == "already_tried"

    resumed = stack.galaxy("base-images", "resume", base.repository + ":1")
    assert (resumed.code, "goes on with wave 2" in resumed.out) == (0, True)
    eventually("the next app's turn has come", lambda: 2 in base.versions(apps[1]), _WITHIN_S)
    assert stack.galaxy("base-images", "resume", base.name).code == 2

    mended = base.publish("echo mended")
    for app in apps:
        assert base.becomes(app, 3, "active")["base_digest"] == mended


def test_apps_whose_updates_are_off_or_pinned_are_left_alone_until_they_are_on(
    stack: Stack, base: Base
) -> None:
    off, pinned, on = (f"{name}-{stack.app}" for name in ("a", "b", "c"))  # walked in this order
    first = base.publish("echo first")
    base.deploy(off, pinned, on)
    assert "are off" in stack.galaxy("base-images", "updates", off, "off").out
    assert first in stack.galaxy("base-images", "updates", pinned, "pinned").out

    second = base.publish("echo second")

    assert base.becomes(on, 2, "active")["base_digest"] == second
    assert (len(base.versions(off)), len(base.versions(pinned))) == (1, 1)
    verdicts = {app: each["verdict"] for app, each in base.dependents().items()}
    assert verdicts == {off: "updates_off", pinned: "pinned", on: "up_to_date"}
    base.deploy(pinned)
    assert base.versions(pinned)[2]["base_digest"] == first
    stack.galaxy("base-images", "updates", off, "on")
    assert base.becomes(off, 2, "active")["base_digest"] == second


def test_a_check_tells_what_came_of_it(stack: Stack, base: Base) -> None:
    digest = base.publish("true")
    base.deploy(stack.app)
    eventually("the base image was checked", lambda: base.listed()["digest"] == digest)
    for spelling in (base.name, f"docker.io/{base.name}", f"index.docker.io/{base.name}"):
        checked = stack.galaxy("base-images", "check", spelling, "--json")
        assert (checked.code, checked.json_lines()[0]["outcome"]) == (0, "unchanged")
        assert checked.json_lines()[0]["digest"] == digest


@pytest.mark.parametrize("command", ["check", "dependents", "resume"])
def test_a_base_image_that_no_app_depends_on_is_refused(stack: Stack, command: str) -> None:
    done = stack.galaxy("base-images", command, "tests/nobody-uses-this")
    assert (done.code, done.out) == (2, "")
    assert "No app depends on tests/nobody-uses-this:latest." in done.err
