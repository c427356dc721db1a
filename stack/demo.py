"""The main job on real parts: deploy the sample app, show what came of it, run the image."""

from __future__ import annotations

import http.client
import json
import secrets
import subprocess
import time
from typing import TYPE_CHECKING

from stack.console import StackError, say
from stack.docker_api import Engine
from stack.environment import LOOPBACK

if TYPE_CHECKING:
    from stack.local import Stack

APP = "hello.example.com"
APP_PORT = 3000
ANSWER_WITHIN_S = 15


def show(stack: Stack) -> None:
    """Deploy, list the versions, run the newest image by its digest and ask it for its page.

    Raises:
        StackError: a step failed; what it printed stands above.
    """
    bundle = f"{stack.variables['GALAXY_BUNDLES_URL']}/hello.tar.gz"
    settings = stack.checkout.root / "examples" / "bundles" / "hello" / "settings.json"
    said = str(settings.relative_to(stack.checkout.root))
    _galaxy(stack, "deploy", APP, "--bundle", bundle, "--settings", said, "--by", "demo")
    _galaxy(stack, "versions", APP)
    newest = _newest_version(stack)
    image, digest = newest["image"], newest["image_digest"]
    print(f"\nimage   {image}\ndigest  {digest}", flush=True)
    repository = str(image).rpartition(":")[0]
    print(f"\nGET / of a container of {repository}@{digest} answers:\n")
    print(_answer(stack, repository, str(digest)), flush=True)
    print(f"Operators watch Flower: {stack.variables['GALAXY_FLOWER_URL']}")
    print(f"Its login:              {stack.variables['FLOWER_BASIC_AUTH'].replace(':', ' / ')}")
    print('Look around:            eval "$(make -s env)", then for example: galaxy logs ' + APP)
    print("End everything:         make down")


def _galaxy(stack: Stack, *arguments: str) -> None:
    """Run a command of the command line, shown as a person would type it."""
    say(f"\n$ galaxy {' '.join(arguments)}")
    command = [str(stack.checkout.venv / "bin" / "galaxy"), *arguments]
    done = subprocess.run(command, cwd=stack.checkout.root, env=stack.environment, check=False)
    if done.returncode != 0:
        raise StackError(f"`galaxy {arguments[0]}` ended with exit code {done.returncode}: see above.")


def _newest_version(stack: Stack) -> dict[str, object]:
    listed = _json_lines(stack, "versions", APP, "--json")
    number = max(int(str(version["number"])) for version in listed)
    return _json_lines(stack, "show", APP, str(number), "--json")[0]


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
