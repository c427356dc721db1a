"""The local stack of a checkout: up, down, and what it looks like."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stack import (
    build_network,
    engine,
    environment,
    examples,
    given,
    packages,
    processes,
    supervise,
    venv,
)
from stack.checkout import Choices, locked, port_is_free, write_private
from stack.console import StackError, say
from stack.readiness import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stack.checkout import Checkout
    from stack.docker_api import Engine
    from stack.processes import Process

WAITING = "Waiting for another command that brings this stack up or down …"


@dataclass(frozen=True)
class Stack:
    """A stack that is up, or was."""

    checkout: Checkout
    choices: Choices
    docker_host: str
    chosen: dict[str, str] = field(default_factory=dict)
    """The settings that the person chose who started it."""

    @property
    def variables(self) -> dict[str, str]:
        """Its settings as environment variables."""
        return environment.variables(self.checkout, self.choices, self.docker_host, self.chosen)

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of its processes."""
        return given.without_settings(os.environ) | self.variables


def up(checkout: Checkout) -> Stack:
    """Set up what is missing and start what does not run, or runs with old code or settings.

    Raises:
        StackError: the message says what is missing or which setting is refused, or shows the log of what did not
            start.
    """
    with locked(checkout.lock, WAITING):
        choices = Choices.load(checkout) or Choices()
        # before anything is started or a port is left, because the shell may know the stack as it was
        chosen = given.settings_in(os.environ, fixed=environment.fixed(checkout, choices, ""))
        choices.save(checkout)
        docker = _machine(checkout, choices)
        venv.ensure(checkout)
        given.check(checkout, chosen)
        given.remember(checkout, chosen)
        choices.bundles_host = reachable_from_containers(docker)
        stack = Stack(checkout, choices, docker.host, chosen)
        examples.pack_bundles(checkout)
        _start(stack, lambda: processes.services(checkout, choices))
        environment.write_redis_client(checkout, choices)
        examples.publish_base_image(checkout, choices, docker)
        _settle_ports(stack, processes.pipeline(checkout, choices))
        build_network.ensure(checkout, choices, docker)
        _start(stack, lambda: processes.pipeline(checkout, choices))
        write_private(checkout.run / "docker-host", docker.host)
    return stack


def _machine(checkout: Checkout, choices: Choices) -> Engine:
    """What the machine has to offer: programs and an engine. Everything that is missing is told at once."""
    problems = []
    try:
        packages.require_programs()
    except StackError as missing:
        problems.append(str(missing))
    try:
        docker = engine.ensure(checkout, choices.name)
    except StackError as missing:
        problems.append(str(missing))
    if problems:
        raise StackError("\n".join(problems))
    return docker


def remembered(checkout: Checkout) -> Stack:
    """The stack as it was last started.

    Raises:
        StackError: it never was.
    """
    choices = Choices.load(checkout)
    host = checkout.run / "docker-host"
    if choices is None or not host.exists():
        raise StackError("This checkout's stack was never started: `make up` does that.")
    return Stack(checkout, choices, host.read_text(), given.remembered(checkout))


def reachable_from_containers(docker: Engine) -> str:
    """An address of this machine that containers on the default bridge reach: the bridge's own, else the uplink's.

    Raises:
        StackError: there is none.
    """
    for address in (docker.gateway(), _uplink_address()):
        if address and _is_ours(address):
            return address
    raise StackError(
        "This machine has no address that the engine's containers could reach: is it on another machine?"
    )


def _uplink_address() -> str:
    """The address from which this machine talks to others. Nothing is sent: UDP's connect only looks up the route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # RFC 5737: belongs to nobody
        except OSError:
            return ""
        return str(probe.getsockname()[0])


def _is_ours(address: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _start(stack: Stack, table: Callable[[], list[Process]]) -> None:
    """Start the processes of a table side by side, and wait for all of them."""
    _settle_ports(stack, table())
    wanted = table()
    for process in wanted:
        _start_one(stack, process)
    for process in wanted:
        _wait(stack.checkout, process)


def _settle_ports(stack: Stack, table: Iterable[Process]) -> None:
    """Leave ports that others took meanwhile, before any command line names them."""
    for process in table:
        record = supervise.Record.load(stack.checkout.record(process.name))
        running = record is not None and record.identity.alive
        if process.port and not running and not port_is_free(stack.choices.port(process.port)):
            stack.choices.choose_again(process.port)
    stack.choices.save(stack.checkout)


def _start_one(stack: Stack, process: Process) -> None:
    """Start a process, unless it runs and has read what it would read now."""
    path = stack.checkout.record(process.name)
    record = supervise.Record.load(path)
    fingerprint = _fingerprint(stack, process)
    if record is not None:
        why = _why_again(stack, process, record, fingerprint)
        if why is None:
            return
        say(f"Starting {process.name} again: it {why}.")
        supervise.end(process.name, path, grace_s=process.grace_s)
    if process.config is not None:
        write_private(*process.config)
    supervise.launch(
        list(process.command),
        record=path,
        log=stack.checkout.log(process.name),
        cwd=stack.checkout.root,
        environment=stack.environment | process.environment,
        fingerprint=fingerprint,
    )


def _why_again(stack: Stack, process: Process, record: supervise.Record, fingerprint: str) -> str | None:
    """Why a process that was started has to be started again; None if it runs as it should."""
    if not record.identity.alive:
        return "had ended"
    if process.ending(Run(stack.checkout.log(process.name), record.log_offset)):
        return "was ending"
    return None if record.fingerprint == fingerprint else "has changed"


def _wait(checkout: Checkout, process: Process) -> None:
    path = checkout.record(process.name)
    record = supervise.Record.load(path)
    log = checkout.log(process.name)
    if record is None:
        raise StackError(f"{process.name} ended at its start.\n{supervise.tail(log)}")
    run = Run(log, record.log_offset)
    try:
        supervise.wait_until_ready(
            process.name,
            record.identity,
            lambda: process.ready(run),
            log=log,
            deadline_s=process.ready_within_s,
        )
    except StackError:
        supervise.end(process.name, path, grace_s=0)
        raise


def _fingerprint(stack: Stack, process: Process) -> str:
    """Of the command, the configuration, the settings and the code that a process reads at its start."""
    root = stack.checkout.root
    parts: list[object] = [process.command, process.config and process.config[1], process.environment]
    if process.reads:
        parts.append(
            {key: value for key, value in stack.environment.items() if key.startswith(("GALAXY_", "DOCKER_"))}
        )
        parts.append((root / "requirements.txt").read_text())
        sources = sorted({path for pattern in process.reads for path in root.glob(pattern)})
        parts.extend(hashlib.sha256(path.read_bytes()).hexdigest() for path in sources)
    return hashlib.sha256(json.dumps(parts, default=str, sort_keys=True).encode()).hexdigest()
