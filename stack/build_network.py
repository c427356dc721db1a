"""The network of this stack's build containers, and its rules: as in production, by `deploy/build-network`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from stack import engine, packages
from stack.console import StackError, say

if TYPE_CHECKING:
    from collections.abc import Collection

    from stack.checkout import Checkout, Choices
    from stack.docker_api import Engine

#: The engine's API, without and with TLS.
ENGINE_PORTS = (2375, 2376)
#: Build containers download from it.
OPEN = "bundles"


def ensure(checkout: Checkout, choices: Choices, docker: Engine) -> None:
    """Have the network, called as the stack is, and its rules.

    A machine that does not let us make rules can still build: what is missing is said.
    """
    name = choices.name
    docker.ensure_network(name, mtu=engine.uplink_mtu())
    closed = ",".join(map(str, closed_ports(choices)))
    if not Path(f"/sys/class/net/{name}").exists():
        say("Build containers run on another machine: make the rules of their network there.")
    elif os.geteuid() != 0:
        say(
            "Build containers reach whatever this machine reaches, because only root may make rules:\n"
            f"  sudo deploy/build-network rules {name} --local {closed}"
        )
    else:
        try:
            if packages.find("iptables") is None:
                packages.install(["iptables"], "the rules of the build containers' network")
            _run(checkout, "rules", name, "--local", closed)
        except StackError as error:
            say(f"Build containers reach whatever this machine reaches: there are no rules. {error}")


def remove(checkout: Checkout, choices: Choices, docker: Engine) -> None:
    """Remove both, unless somebody else's container is on the network."""
    try:
        docker.remove_network(choices.name)
    except StackError as error:
        say(f"The network {choices.name} stays, with its rules. {error}")
        return
    if os.geteuid() == 0 and packages.find("iptables"):
        try:
            _run(checkout, "down", choices.name)
        except StackError as error:
            say(f"Rules for the network {choices.name} may be left. {error}")


def closed_ports(choices: Choices) -> Collection[int]:
    """Ports of this machine that build containers have no business with."""
    ours = (port for user, port in choices.ports.items() if user != OPEN)
    return sorted({*ENGINE_PORTS, *ours})


def _run(checkout: Checkout, *arguments: str) -> None:
    done = subprocess.run(
        ["sh", "deploy/build-network", *arguments],
        cwd=checkout.root,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StackError(done.stderr.strip())
