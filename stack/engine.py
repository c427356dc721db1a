"""The container engine: the one that answers, or else the distribution's, started once for the machine.

An engine that a stack started ends with the last stack that uses it.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from stack import packages, supervise
from stack.checkout import Checkout, is_locked, locked, write_private
from stack.console import StackError, say
from stack.docker_api import DEFAULT_HOST, Engine

RECORD = packages.MACHINE / "engine.json"
OWNER = packages.MACHINE / "engine-owner"
USERS = packages.MACHINE / "users"
START_DEADLINE_S = 60
STOP_GRACE_S = 30
ETHERNET_MTU = 1500
WAITING = "Waiting for another checkout's set-up …"


def ensure(checkout: Checkout, name: str) -> Engine:
    """An engine that answers, for the stack called `name`.

    Raises:
        StackError: none answers and none can be started. The message says what to do.
    """
    chosen = os.environ.get("DOCKER_HOST")
    engine = Engine(chosen or DEFAULT_HOST)
    if not chosen:
        _register(checkout, name)
    problem = engine.problem()
    if problem and chosen:
        raise StackError(f"{problem}\nDOCKER_HOST names it: start that engine, or unset DOCKER_HOST.")
    if problem:
        if os.geteuid() != 0:
            raise StackError(
                f"{problem}\nA container engine is needed and only root may start one. Do one of these:\n"
                "  - install Docker and start it (Debian: sudo apt-get install docker.io), or run make as root\n"
                "  - set DOCKER_HOST to an engine that you may use"
            )
        _install()
        with locked(packages.MACHINE_LOCK, WAITING):
            if engine.problem():
                _start(checkout, name, engine)
    return engine


def _install() -> None:
    wanted = {"dockerd": "docker.io", "iptables": "iptables"}
    if not _cgroups_mounted():
        wanted["cgroupfs-mount"] = "cgroupfs-mount"
    missing = [package for program, package in wanted.items() if not packages.find(program)]
    if missing:
        packages.install(missing, "the container engine")


def _cgroups_mounted() -> bool:
    """The engine finds the kernel's control groups. A machine without a service manager may not have them mounted."""
    mounts = Path("/proc/mounts").read_text().splitlines()
    return any(line.split()[2] in {"cgroup", "cgroup2"} for line in mounts)


def _start(checkout: Checkout, name: str, engine: Engine) -> None:
    """Start dockerd with its standard socket, data root and pid file, so that everybody finds it."""
    say("Starting the container engine …")
    if not _cgroups_mounted():
        subprocess.run([packages.find("cgroupfs-mount") or "cgroupfs-mount"], check=False)
    dockerd = packages.find("dockerd")
    if dockerd is None:
        raise StackError("`dockerd` is missing although its package is installed: is PATH as Debian sets it?")
    mtu = uplink_mtu()
    command = [dockerd, *([f"--mtu={mtu}"] if mtu and mtu < ETHERNET_MTU else [])]
    log = checkout.logs / "engine.log"
    path = f"{os.environ.get('PATH', os.defpath)}:{packages.SYSTEM_PATH}"
    identity = supervise.launch(
        command, record=RECORD, log=log, cwd=Path("/"), environment=os.environ | {"PATH": path}
    )
    if identity is None:
        raise StackError(f"The container engine ended at its start.\n{supervise.tail(log)}")
    OWNER.write_text(name)
    supervise.wait_until_ready(
        "The container engine",
        identity,
        lambda: engine.problem() is None,
        log=log,
        deadline_s=START_DEADLINE_S,
    )


def uplink_mtu() -> int | None:
    """The MTU of the interface with the default route, in bytes; None without such a route."""
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        interface, destination = line.split()[:2]
        if destination == "00000000":
            return int(Path(f"/sys/class/net/{interface}/mtu").read_text())
    return None


def _register(checkout: Checkout, name: str) -> None:
    """Before it looks for the engine, a stack says that it needs it: from then on nobody ends it.

    Only root starts and ends engines, so the others need not say anything.
    """
    if os.geteuid() == 0:
        with locked(packages.MACHINE_LOCK, WAITING):
            write_private(USERS / name, str(checkout.root), mode=0o644)


def _in_use(checkout: Checkout) -> bool:
    """The stack of this checkout is up, or on its way up or down."""
    return checkout.root.is_dir() and (is_locked(checkout.lock) or supervise.any_alive(checkout.run))


def release(name: str) -> None:
    """This stack no longer needs the machine's engine: end it if a stack started it and nobody else uses it."""
    if os.geteuid() != 0 or not packages.MACHINE.is_dir():
        return
    with locked(packages.MACHINE_LOCK, WAITING):
        (USERS / name).unlink(missing_ok=True)
        known = supervise.Record.load(RECORD)
        if known is None or not known.identity.alive or not OWNER.exists() or OWNER.read_text() != name:
            return
        others = {path.name: Checkout(Path(path.read_text())) for path in sorted(USERS.glob("galaxy-*"))}
        for other, checkout in others.items():
            if _in_use(checkout):
                OWNER.write_text(other)
                say(f"The container engine goes on: {checkout.root} is up and uses it, and will end it.")
                return
        strangers = list(Engine(DEFAULT_HOST).containers(running_only=True).values())
        if strangers:
            say(
                f"The container engine goes on: containers of somebody else run on it ({', '.join(strangers)})."
            )
            return
        say("Ending the container engine …")
        supervise.end("The container engine", RECORD, grace_s=STOP_GRACE_S)
        OWNER.unlink()
