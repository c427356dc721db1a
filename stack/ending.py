"""Ending the local stack of a checkout, and removing what it left."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from stack import build_network, engine, examples, given, images, processes, supervise
from stack.checkout import Choices, locked
from stack.console import StackError, say
from stack.docker_api import DEFAULT_HOST, Engine
from stack.local import WAITING

if TYPE_CHECKING:
    from stack.checkout import Checkout


def down(checkout: Checkout) -> None:
    """End what this checkout started, and remove its containers, their volumes and their network.

    Its images stay: the next start needs some of them. It says how many there are.
    """
    choices = Choices.load(checkout)
    if choices is None:
        say("Nothing is running: this checkout's stack was never started.")
        return
    with locked(checkout.lock, WAITING):
        docker = _end(checkout, choices)
        if docker and (left := images.left_by(docker, choices)):
            pronoun = "it" if len(left) == 1 else "them"
            say(f"It leaves {images.described(docker, left)}, on the engine; `make clean` removes {pronoun}.")
        engine.release(choices.name)


def clean(checkout: Checkout) -> None:
    """End everything as `down` does, and remove the stack's images, data, logs and caches.

    Names, ports and passwords stay, so that shells that know them go on working, and so do the bundles of people.
    """
    choices = Choices.load(checkout)
    if choices is None:
        say("There is nothing to remove: this checkout's stack was never started.")
        return
    with locked(checkout.lock, WAITING):
        docker = _end(checkout, choices) or _engine_again(checkout, choices)
        if docker and (left := images.left_by(docker, choices)):
            described = images.described(docker, left)
            for name in images.remove(docker, left):
                say(f"The image {name} stays: a container uses it.")
            say(f"Removed {described}, from the engine.")
        for folder in (checkout.registries, checkout.redis, checkout.logs, checkout.bin):
            shutil.rmtree(folder, ignore_errors=True)
        examples.remove(checkout)
        given.forget(checkout)
        shutil.rmtree(checkout.run, ignore_errors=True)
        say("Removed the registries, the Redis data and the logs: `make up` begins anew.")
        engine.release(choices.name)


def _end(checkout: Checkout, choices: Choices) -> Engine | None:
    """End the processes and remove what they left running; returns the engine if it answers."""
    for process in reversed([*processes.services(checkout, choices), *processes.pipeline(checkout, choices)]):
        if supervise.end(process.name, checkout.record(process.name), grace_s=process.grace_s):
            say(f"Ended {process.name}.")
    host = checkout.run / "docker-host"
    if not host.exists():
        return None
    docker = Engine(host.read_text())
    if docker.problem():
        return None
    _remove_what_is_ours(docker, checkout, choices)
    return docker


def _engine_again(checkout: Checkout, choices: Choices) -> Engine | None:
    """The engine that the stack used and that has ended since, perhaps with the stack itself.

    Raises:
        StackError: It can't be had again, so its images can't be removed.
    """
    host = checkout.run / "docker-host"
    if not host.exists():
        return None  # there was no stack that could have left images
    if host.read_text() != DEFAULT_HOST:
        raise StackError(
            f"{Engine(host.read_text()).problem()}\nImages of this stack may be on it: start it, and try again."
        )
    return engine.ensure(checkout, choices.name)


def _remove_what_is_ours(docker: Engine, checkout: Checkout, choices: Choices) -> None:
    for container, its_name in docker.containers(running_only=False).items():
        if its_name.startswith(f"{choices.name}-"):
            docker.remove_container(container)
            say(f"Removed container {its_name}.")
    for volume in docker.volumes():
        if volume.startswith(f"{choices.name}-"):
            docker.remove_volume(volume)
            say(f"Removed volume {volume}.")
    build_network.remove(checkout, choices, docker)
