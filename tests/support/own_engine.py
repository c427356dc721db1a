"""A Docker engine that a test may kill, in a network namespace of its own: the machine's engine never meets it."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stack.docker_api import Engine
from stack.packages import find
from tests.support.fleet import Process, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROGRAMS: Final = ("dockerd", "ip", "nsenter", "unshare")


def why_not() -> str | None:
    """Why no engine of one's own can be started here; None if it can."""
    if os.geteuid() != 0:
        return "an engine of the run's own needs root"
    missing = [program for program in _PROGRAMS if not find(program)]
    return f"an engine of the run's own needs {', '.join(missing)}" if missing else None


class OwnEngine:
    """One `dockerd` with everything of its own, linked to the host by a pair of interfaces.

    Attributes:
        address: The host's end of the link. The engine and its containers reach what listens there, and nothing else.
        url: As in DOCKER_HOST.

    Args:
        folder: Empty, with a short path: it is part of the paths of sockets.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._namespace = Process(["unshare", "--net", "sleep", "infinity"], {}, folder / "namespace.log")
        self._link = f"galaxy{secrets.token_hex(4)}"  # an interface's name has 15 characters at most
        net = 4 * secrets.randbelow(2**13)
        # of 198.18.0.0/15, which RFC 2544 keeps for tests between networks
        self.address, peer = (f"198.18.{net >> 8}.{(net & 255) + host}" for host in (1, 2))
        self.url = f"unix://{folder}/socket"
        eventually("the engine's network namespace is there", self._has_namespace)
        self._connect(peer)
        self._start()

    def start(self) -> None:
        """Starts it again."""
        self._start()

    def kill(self) -> None:
        """As a crash would: its containers go on. Its containerd dies with it, but not at once."""
        containerd = int((self._folder / "exec/containerd/containerd.pid").read_text())
        self._process.send(signal.SIGKILL)
        self._process.wait()
        # an engine that is started while it still dies takes it for alive, and waits for it in vain
        eventually("containerd is gone", lambda: not Path(f"/proc/{containerd}/fd").exists())

    def shut_down(self) -> None:
        """As an operator would: its containers are ended."""
        self._process.send(signal.SIGTERM)
        self._process.wait()

    def stop(self) -> None:
        """Ends it with all its containers, and removes the link."""
        with suppress(BaseException):  # whatever is left is ended below
            if not self._process.alive:
                self._start()
            self.shut_down()
        for pid in self._inside():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._namespace.kill_all()  # and with the namespace the link
        subprocess.run(["ip", "link", "delete", self._link], capture_output=True, check=False)
        self._unmount()

    def _start(self) -> None:
        folder = self._folder
        options = [
            f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid",
            f"--host={self.url}", f"--insecure-registry={self.address}/32",
        ]  # fmt: skip
        command = ["nsenter", f"--net={self._net}", find("dockerd") or "dockerd", *options]
        self._process = Process(command, {"PATH": _path()}, folder / "dockerd.log")
        eventually(f"an engine answers; its log is {folder}/dockerd.log", self._answers)

    def _connect(self, peer: str) -> None:
        namespace = str(self._namespace.pid)
        _ip("link", "add", self._link, "type", "veth", "peer", "name", "uplink", "netns", namespace)
        _ip("address", "add", f"{self.address}/30", "dev", self._link)
        _ip("link", "set", self._link, "up")
        for command in (
            ("link", "set", "lo", "up"),
            ("address", "add", f"{peer}/30", "dev", "uplink"),
            ("link", "set", "uplink", "up"),
            # the host does not forward for it; but the engine asks for a default route
            ("route", "add", "default", "via", self.address),
        ):
            _ip(*command, inside=self._net)

    @property
    def _net(self) -> str:
        return f"/proc/{self._namespace.pid}/ns/net"

    def _has_namespace(self) -> bool:
        return Path(self._net).readlink() != Path("/proc/self/ns/net").readlink()

    def _answers(self) -> bool:
        return Engine(self.url).problem() is None

    def _inside(self) -> Iterator[int]:
        """Processes in the namespace, but for the one that holds it: the engine, containerd, shims."""
        ours = Path(self._net).readlink()
        for process in Path("/proc").iterdir():
            with suppress(OSError):
                other = process.name.isdigit() and int(process.name) != self._namespace.pid
                if other and Path(process, "ns/net").readlink() == ours:
                    yield int(process.name)

    def _unmount(self) -> None:
        """A killed engine leaves mounts behind, and then its folder can't be removed."""
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for place in reversed(mounted):
            if place.startswith(f"{self._folder}/"):
                subprocess.run(["umount", "--lazy", place], capture_output=True, check=False)


def _ip(*arguments: str, inside: str | None = None) -> None:
    enter = ["nsenter", f"--net={inside}"] if inside else []
    subprocess.run([*enter, "ip", *arguments], check=True, capture_output=True)


def _path() -> str:
    """With the folders of what only root uses: the engine looks for iptables."""
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
