"""The main job on real parts: deploy the sample app, run its image, change its base image, see it rebuilt."""

from __future__ import annotations

import http.client
import json
import secrets
import subprocess
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from stack.console import StackError, say
from stack.docker_api import Engine
from stack.environment import LOOPBACK
from stack.examples import BASE_IMAGE, TAG, publish_changed_base_image

if TYPE_CHECKING:
    from stack.local import Stack

APP = "hello.example.com"
APP_PORT = 3000
ANSWER_WITHIN_S = 15
#: The poller notices within 15 s or so; then other apps on the same base image may be rebuilt first.
REBUILT_WITHIN_S = 120
LOOK_EVERY_S = 0.5
FINAL = ("active", "build_failed", "rollout_failed", "cancelled", "superseded", "retired")


def show(stack: Stack) -> None:
    """Deploy, ask a container of the image for its page; change the base image, and wait for the app's rebuild.

    Raises:
        StackError: a step failed; what it printed stands above.
    """
    bundle = f"{stack.variables['GALAXY_BUNDLES_URL']}/hello.tar.gz"
    settings = stack.checkout.root / "examples" / "bundles" / "hello" / "settings.json"
    said = str(settings.relative_to(stack.checkout.root))
    _galaxy(stack, "deploy", APP, "--bundle", bundle, "--settings", said, "--by", "demo")
    deployed = _versions(stack)[0]
    _show_image(stack, deployed)

    rebuilt = _change_base_image(stack, after=int(str(deployed["number"])))
    _galaxy(stack, "logs", APP, "--version", str(rebuilt["number"]))
    _galaxy(stack, "versions", APP, "-n", "2")
    if rebuilt["state"] != "active":
        raise StackError(f"The rebuild is {rebuilt['state']}: its log above tells why.")
    _galaxy(stack, "base-images")
    _show_image(stack, rebuilt)

    print(f"Operators watch Flower: {stack.variables['GALAXY_FLOWER_URL']}")
    print(f"Its login:              {stack.variables['FLOWER_BASIC_AUTH'].replace(':', ' / ')}")
    print('Look around:            eval "$(make -s env)", then for example: galaxy logs ' + APP)
    print("End everything:         make down")


def _show_image(stack: Stack, version: dict[str, object]) -> None:
    image, digest = str(version["image"]), str(version["image_digest"])
    print(f"\nimage   {image}\ndigest  {digest}", flush=True)
    repository = image.rpartition(":")[0]
    print(f"\nGET / of a container of {repository}@{digest} answers:\n")
    print(_answer(stack, repository, digest), flush=True)


def _change_base_image(stack: Stack, *, after: int) -> dict[str, object]:
    """Publish a changed base image and wait until the app has an automatic version on it that is final."""
    say(f"Publishing a changed {BASE_IMAGE}:{TAG}. Nobody deploys from here on …")
    said = f"Set up by the base image of {datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"
    engine = Engine(stack.docker_host)
    digest = publish_changed_base_image(stack.checkout, stack.choices, engine, said)
    until = time.monotonic() + REBUILT_WITHIN_S
    while time.monotonic() < until:
        for version in _versions(stack):
            on_it = version["base_digest"] == digest and int(str(version["number"])) > after
            if on_it and version["state"] in FINAL:
                return version
        time.sleep(LOOK_EVERY_S)
    raise StackError(
        f"{APP} was not rebuilt within {REBUILT_WITHIN_S} s: `galaxy base-images` and `galaxy doctor` tell more."
    )


def _galaxy(stack: Stack, *arguments: str) -> None:
    """Run a command of the command line, shown as a person would type it."""
    say(f"\n$ galaxy {' '.join(arguments)}")
    command = [str(stack.checkout.venv / "bin" / "galaxy"), *arguments]
    done = subprocess.run(command, cwd=stack.checkout.root, env=stack.environment, check=False)
    if done.returncode != 0:
        raise StackError(f"`galaxy {arguments[0]}` ended with exit code {done.returncode}: see above.")


def _versions(stack: Stack) -> list[dict[str, object]]:
    """The newest ones, newest first."""
    return _json_lines(stack, "versions", APP, "-n", "5", "--json")


def _json_lines(stack: Stack, *arguments: str) -> list[dict[str, object]]:
    command = [str(stack.checkout.venv / "bin" / "galaxy"), *arguments]
    done = subprocess.run(
        command,
        cwd=stack.checkout.root,
        env=stack.environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StackError(f"`galaxy {' '.join(arguments)}` ended with exit code {done.returncode}.")
    return [json.loads(line) for line in done.stdout.splitlines()]


def _answer(stack: Stack, repository: str, digest: str) -> str:
    """What a fresh container of the image answers; the container is removed again."""
    engine = Engine(stack.docker_host)
    engine.pull(repository, digest)
    name = f"{stack.choices.name}-demo-{secrets.token_hex(3)}"
    container, port = engine.run(f"{repository}@{digest}", name=name, port=APP_PORT)
    try:
        return _get(port)
    finally:
        engine.remove_container(container)


def _get(port: int) -> str:
    until = time.monotonic() + ANSWER_WITHIN_S
    while True:
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            return f"HTTP {answer.status} {answer.reason}\n{answer.read().decode(errors='replace')}"
        except (OSError, http.client.HTTPException) as error:
            if time.monotonic() > until:
                raise StackError(f"The app did not answer within {ANSWER_WITHIN_S} s ({error}).") from error
            time.sleep(0.1)
        finally:
            connection.close()
