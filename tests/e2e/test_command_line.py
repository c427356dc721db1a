"""The main job, through the command that people use, on the running stack."""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import Counter

if TYPE_CHECKING:
    from tests.e2e.conftest import Stack

_UNPACK = """#!/bin/bash
set -euo pipefail
mkdir -p /app/bundle
wget -q -O - "$1" | tar -xz -C /app/bundle
"""


def test_a_deploy_becomes_an_active_version_whose_image_holds_the_bundle(stack: Stack) -> None:
    settings = stack.base_image(
        _UNPACK + "echo unpacked; echo careful >&2\n", 'CMD ["cat", "/app/bundle/word"]'
    )
    url = stack.bundle({"word": "bundle's word"})

    done = stack.galaxy(
        "deploy", stack.app, "--bundle", url, "--settings", settings, "--by", "jane", "--json"
    )

    assert done.code == 0, done.err
    (result,) = done.json_lines()
    assert (result["state"], result["number"], result["attempt"]) == ("active", 1, 1)
    assert [step["step"] for step in result["steps"]] == ["pull", "verify", "setup", "commit", "push"]
    assert "unpacked" in done.err
    image = f"{str(result['image']).rsplit(':', 1)[0]}@{result['image_digest']}"
    assert stack.output_of(image) == b"bundle's word"
    labels = stack.engine.images.get(image).labels
    assert labels["org.opencontainers.image.base.digest"] == result["base_digest"]
    history = json.dumps([stack.engine.images.get(image).history(), stack.engine.images.get(image).attrs])
    assert url not in history
    assert url not in done.err


def test_a_setup_that_fails_twice_makes_the_version_active_on_attempt_3(stack: Stack) -> None:
    counter = Counter(failures=2)
    settings = stack.base_image(f"#!/bin/bash\nwget -q -O /dev/null {counter.url}\n")
    try:
        done = stack.galaxy(
            "deploy", stack.app, "--bundle", "http://bundles.example.com/x", "--settings", settings, "--json"
        )
    finally:
        counter.close()
    assert done.code == 0, done.err
    assert (done.json_lines()[0]["state"], done.json_lines()[0]["attempt"]) == ("active", 3)
    assert counter.requests == 3
    assert "Attempt 2 of 4 failed: /app/setup.sh ended with exit code" in done.err


def test_a_setup_that_always_fails_has_four_attempts_and_leaves_the_active_version(stack: Stack) -> None:
    good = stack.base_image("#!/bin/bash\nexit 0\n")
    bad = stack.base_image("#!/bin/bash\necho no bundle for you >&2\nexit 9\n")
    url = "http://bundles.example.com/secret-path/x.tgz"
    assert stack.galaxy("deploy", stack.app, "--bundle", url, "--settings", good).code == 0

    done = stack.galaxy("deploy", stack.app, "--bundle", url, "--settings", bad, "--json")

    assert done.code == 1
    assert done.json_lines()[0]["state"] == "build_failed"
    log = stack.galaxy("logs", stack.app, "--version", "2", "-n", "1000").out
    assert log.count("no bundle for you") == 4
    assert "Attempt 4 of 4 failed: /app/setup.sh ended with exit code 9." in log
    assert "failed for good" in log
    assert "secret-path" not in log
    states = {
        row["number"]: row["state"] for row in stack.galaxy("versions", stack.app, "--json").json_lines()
    }
    assert states == {1: "active", 2: "build_failed"}
    assert not stack.engine.containers.list(all=True, filters={"name": f"-build-{stack.app}-"})


def test_wrong_input_names_every_mistake_and_makes_no_version(stack: Stack) -> None:
    settings = json.dumps({"galaxy.meteor.com": {"baseImage": {"repository": "Meteor/X"}, "base_image": 1}})

    done = stack.galaxy("deploy", "not a host", "--bundle", "ftp://x/y", "--settings", "-", stdin=settings)

    assert done.code == 2
    for part in ("app", "bundle_url", "baseImage.repository", "baseImage.tag", "base_image"):
        assert part in done.err
    assert stack.galaxy("versions", stack.app).code == 2


def test_the_same_idempotency_key_makes_one_version(stack: Stack) -> None:
    settings = stack.base_image("#!/bin/bash\nexit 0\n")
    arguments = [
        "deploy",
        stack.app,
        "--settings",
        settings,
        "--no-wait",
        "--json",
        "--idempotency-key",
        "k1",
    ]
    first = stack.galaxy(*arguments, "--bundle", "http://bundles.example.com/x")
    again = stack.galaxy(*arguments, "--bundle", "http://bundles.example.com/x")
    other = stack.galaxy(*arguments, "--bundle", "http://bundles.example.com/y")
    assert (first.code, again.code, other.code) == (0, 0, 2)
    assert (first.json_lines()[0]["repeated"], again.json_lines()[0]["repeated"]) == (False, True)
    assert len(stack.galaxy("versions", stack.app, "--json").json_lines()) == 1


def test_following_the_log_shows_lines_as_they_are_printed(stack: Stack) -> None:
    script = "#!/bin/bash\nfor i in 1 2 3 4 5 6; do echo line-$i; sleep 0.3; done\n"
    settings = stack.base_image(script)
    url = "http://bundles.example.com/x"
    assert stack.galaxy("deploy", stack.app, "--bundle", url, "--settings", settings, "--no-wait").code == 0

    with subprocess.Popen(
        ["galaxy", "logs", stack.app, "-f", "--json"], stdout=subprocess.PIPE, text=True
    ) as follower:
        assert follower.stdout is not None
        lines, deadline = [], time.monotonic() + 60
        for line in follower.stdout:
            lines.append(json.loads(line))
            if "is active now" in lines[-1]["text"] or time.monotonic() > deadline:
                break
        follower.terminate()

    printed = [line["text"] for line in lines if line["text"].startswith("line-")]
    assert printed == [f"line-{i}" for i in range(1, 7)]
    assert {line["source"] for line in lines} == {"service"}
    assert stack.galaxy("logs", stack.app, "-n", "2", "--source", "errors").out == ""
    assert len(stack.galaxy("logs", stack.app, "-n", "3").out.splitlines()) == 3
    assert "line-6" in stack.galaxy("logs", stack.app, "--since", "10m").out
    assert stack.galaxy("logs", stack.app, "--since", "soon").code == 2
    unknown = stack.galaxy("logs", stack.app, "--version", "99", "-f")
    assert (unknown.code, unknown.out) == (2, "")
    assert f"There is no version 99 of {stack.app}" in unknown.err


def test_attaching_again_ends_as_the_deploy_would_have(stack: Stack) -> None:
    settings = stack.base_image("#!/bin/bash\nsleep 3\necho the end of it\n")
    url = stack.bundle({"word": "x"})
    left = stack.galaxy(
        "deploy", stack.app, "--bundle", "-", "--settings", settings, "--timeout", "1", stdin=url
    )
    assert left.code == 4, left.err
    _, _, command = left.err.rpartition("Attach again with: galaxy ")

    attached = stack.galaxy(*command.split())

    assert attached.code == 0, attached.err
    assert "the end of it" in attached.out
    assert "Version 1 is active now" in attached.out
    assert url not in attached.out


@pytest.mark.usefixtures("stack")
def test_a_store_that_is_away_is_said_with_exit_code_3() -> None:
    environment = {**os.environ, "GALAXY_STORE_URL": "redis://127.0.0.1:1/0"}
    done = subprocess.run(
        ["galaxy", "apps"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 3
    assert "can't be reached" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("stack")
def test_a_malformed_setting_is_named_as_the_operator_knows_it() -> None:
    environment = {**os.environ, "GALAXY_LEASE_S": "soon"}
    done = subprocess.run(
        ["galaxy", "apps"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "GALAXY_LEASE_S: Input should be a valid number" in done.stderr
    assert "soon" not in done.stderr


def test_the_app_is_listed_with_its_history(stack: Stack) -> None:
    settings = stack.base_image("#!/bin/bash\nexit 0\n")
    url = "http://bundles.example.com/x"
    assert (
        stack.galaxy("deploy", stack.app, "--bundle", url, "--settings", settings, "--by", "jane").code == 0
    )
    listed = {each["app"]: each for each in stack.galaxy("apps", "--json").json_lines()}
    assert (listed[stack.app]["active_version"], listed[stack.app]["updates"]) == (1, "on")
    sentences = [entry["sentence"] for entry in stack.galaxy("activity", stack.app, "--json").json_lines()]
    assert sentences == ["jane deployed version 1.", "version 1 was built.", "version 1 became active."]
    assert "image digest" in stack.galaxy("show", stack.app, "1").out
