"""A machine in miniature: network namespaces for a build container, its machine, and the world outside."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from tests.conftest import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "build-network"

Place = tuple[str, int]


def require_rules() -> None:
    """For tests that make rules."""
    for program in ("ip", "iptables", "sysctl"):
        if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin"):
            unavailable(f"{program} is not installed")
    if os.geteuid() != 0:
        unavailable("only root may make rules")


@contextmanager
def operators_network() -> Iterator[str]:
    """A network for build containers, made as an operator makes it."""
    require_rules()
    if not shutil.which("docker"):
        unavailable("the program docker is not installed")
    name = f"glx-{uuid4().hex[:8]}"
    subprocess.run([SCRIPT, "up", name], check=True)
    try:
        yield name
    finally:
        subprocess.run([SCRIPT, "down", name], check=True)


_LISTEN = """
import socket, sys, time
servers = [socket.create_server(("", int(port))) for port in sys.argv[1:]]
print("listening", flush=True)
time.sleep(600)
"""
_CONNECT = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def reached(place):
    try:
        source = (sys.argv[2], 0) if len(sys.argv) > 2 else None
        socket.create_connection(tuple(place), 1, source).close()
    except OSError:
        return False
    return True
places = json.loads(sys.argv[1])
with ThreadPoolExecutor(len(places)) as pool:
    print(json.dumps([place for place, yes in zip(places, pool.map(reached, places)) if yes]))
"""


class Miniature:
    """Its bridge is called as the network in production. Addresses outside are `outside`; ports there are 53, 80, 9000.

    The machine listens on 6379 and 8080, on all of its addresses, and the container on 3000.
    """

    network = "galaxy-mini"
    machine = "172.31.77.1"
    container = "172.31.77.2"
    uplink = "198.51.100.1"

    def __init__(self, outside: Iterable[str]) -> None:
        run = uuid4().hex[:6]
        self._inside, self._host, self._world = (f"glx-{run}-{place}" for place in ("in", "host", "out"))
        self._stack = ExitStack()
        for namespace in (self._inside, self._host, self._world):
            self._ip("netns", "add", namespace)
            self._stack.callback(self._ip, "netns", "del", namespace)
        self._connect_inside(f"v{run}")
        self._connect_outside(f"w{run}", outside)
        self._listen(self._host, 6379, 8080)
        self._listen(self._world, 53, 80, 9000)
        self._listen(self._inside, 3000)

    def close(self) -> None:
        self._stack.close()

    def build_network(self, *arguments: str) -> str:
        """Runs the script on the machine; its first argument is the command, the network's name is added."""
        command, *rest = arguments
        return self._run(self._host, str(SCRIPT), command, self.network, *rest)

    def rules(self) -> str:
        """All that iptables knows on the machine."""
        return self._run(self._host, "iptables", "-S") + self._run(self._host, "ip6tables", "-S")

    def on_machine(self, *command: str) -> str:
        return self._run(self._host, *command)

    def reached(self, *places: Place) -> set[Place]:
        """Those that take a connection from inside a build container."""
        answer = self._run(self._inside, sys.executable, "-c", _CONNECT, json.dumps(places))
        return {(str(address), int(port)) for address, port in json.loads(answer)}

    def machine_reaches_container(self) -> bool:
        """Whether a connection from the machine to the container's port is answered."""
        place = json.dumps([(self.container, 3000)])
        return bool(json.loads(self._run(self._host, sys.executable, "-c", _CONNECT, place)))

    def world_reaches_container(self, source: str) -> bool:
        """The same from outside, by the address `source`."""
        place = json.dumps([(self.container, 3000)])
        return bool(json.loads(self._run(self._world, sys.executable, "-c", _CONNECT, place, source)))

    def _connect_inside(self, link: str) -> None:
        self._pair(f"{link}a", self._inside, f"{link}b", self._host)
        self._in(self._host, "link", "add", self.network, "type", "bridge")
        self._in(self._host, "link", "set", f"{link}b", "master", self.network)
        self._in(self._host, "addr", "add", f"{self.machine}/24", "dev", self.network)
        self._in(self._inside, "addr", "add", f"{self.container}/24", "dev", f"{link}a")
        for namespace, device in (
            (self._host, f"{link}b"),
            (self._host, self.network),
            (self._inside, f"{link}a"),
        ):
            self._in(namespace, "link", "set", device, "up")
        self._in(self._inside, "route", "add", "default", "via", self.machine)
        self._run(self._host, "sysctl", "-qw", "net.ipv4.ip_forward=1")

    def _connect_outside(self, link: str, outside: Iterable[str]) -> None:
        self._pair(f"{link}a", self._world, f"{link}b", self._host)
        self._in(self._host, "addr", "add", f"{self.uplink}/24", "dev", f"{link}b")
        self._in(self._world, "addr", "add", "198.51.100.2/24", "dev", f"{link}a")
        for namespace, device in ((self._host, f"{link}b"), (self._world, f"{link}a"), (self._world, "lo")):
            self._in(namespace, "link", "set", device, "up")
        for address in outside:
            self._in(self._world, "addr", "add", f"{address}/32", "dev", "lo")
        self._in(self._host, "route", "add", "default", "via", "198.51.100.2")
        self._in(self._world, "route", "add", "172.31.77.0/24", "via", self.uplink)

    def _pair(self, one: str, its: str, other: str, others: str) -> None:
        self._ip("link", "add", one, "netns", its, "type", "veth", "peer", "name", other, "netns", others)

    def _listen(self, namespace: str, *ports: int) -> None:
        command = ["ip", "netns", "exec", namespace, sys.executable, "-c", _LISTEN, *map(str, ports)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        assert process.stdout is not None
        self._stack.callback(process.stdout.close)
        assert process.stdout.readline() == "listening\n"

    def _in(self, namespace: str, *arguments: str) -> None:
        self._ip("-n", namespace, *arguments)

    def _ip(self, *arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True)

    def _run(self, namespace: str, *command: str) -> str:
        done = subprocess.run(
            ["ip", "netns", "exec", namespace, *command], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout
