"""Where a checkout keeps things, and what it chose at its first start."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stack.console import say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Below Linux's range for outgoing connections, so that none of those ever takes a remembered port.
PORT_RANGE = (20000, 32000)


@dataclass(frozen=True)
class Checkout:
    """The folders of one checkout. The stack writes into `home` and `venv`, and nowhere else."""

    root: Path

    @property
    def home(self) -> Path:
        """The ignored folder."""
        return self.root / ".stack"

    @property
    def lock(self) -> Path:
        """Held while the stack is brought up or down."""
        return self.home / "lock"

    @property
    def run(self) -> Path:
        """Records of running processes, and their configuration."""
        return self.home / "run"

    @property
    def logs(self) -> Path:
        """One log file a process."""
        return self.home / "log"

    @property
    def bin(self) -> Path:
        """Wrappers that come first on PATH."""
        return self.home / "bin"

    @property
    def registries(self) -> Path:
        """What the registries hold."""
        return self.home / "registries"

    @property
    def redis(self) -> Path:
        """What Redis holds."""
        return self.home / "redis"

    @property
    def bundles(self) -> Path:
        """Files that build containers can download."""
        return self.home / "bundles"

    @property
    def venv(self) -> Path:
        """The virtual environment."""
        return self.root / ".venv"

    @property
    def python(self) -> Path:
        """The virtual environment's interpreter."""
        return self.venv / "bin" / "python"

    def record(self, process: str) -> Path:
        """What is kept about a process that was started."""
        return self.run / f"{process}.json"

    def log(self, process: str) -> Path:
        """What a process prints."""
        return self.logs / f"{process}.log"


@dataclass
class Choices:
    """What was chosen at the first start and is kept since: names, ports, passwords."""

    name: str = field(default_factory=lambda: f"galaxy-{secrets.token_hex(3)}")
    redis_password: str = field(default_factory=lambda: secrets.token_hex(16))
    flower_password: str = field(default_factory=lambda: secrets.token_hex(8))
    registry_secret: str = field(default_factory=lambda: secrets.token_hex(16))
    bundles_host: str = ""
    ports: dict[str, int] = field(default_factory=dict)

    @classmethod
    def load(cls, checkout: Checkout) -> Choices | None:
        """What was remembered; None if the stack was never started here."""
        try:
            return cls(**json.loads((checkout.home / "choices.json").read_text()))
        except FileNotFoundError:
            return None

    def save(self, checkout: Checkout) -> None:
        """Remember. The file holds passwords: only its owner may read it."""
        write_private(checkout.home / "choices.json", json.dumps(vars(self), indent=2) + "\n")

    def port(self, user: str) -> int:
        """The port of `user`, chosen free when it is asked for the first time."""
        if user not in self.ports:
            self.ports[user] = free_port(taken=set(self.ports.values()))
        return self.ports[user]

    def choose_again(self, user: str) -> int:
        """Another port, because some other program has taken the remembered one."""
        old = self.ports.pop(user)
        new = self.port(user)
        say(f"Port {old} of {user} is taken by another program: using {new} from now on.")
        return new


def free_port(taken: set[int]) -> int:
    """A random port that nothing on this machine listens on."""
    low, high = PORT_RANGE
    while True:
        port = low + secrets.randbelow(high - low)
        if port not in taken and port_is_free(port):
            return port


def port_is_free(port: int) -> bool:
    """Nothing listens on `port`, on any address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # or closed connections would count
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def write_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file in one step, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
    part.replace(path)


@contextmanager
def locked(path: Path, waiting: str) -> Iterator[None]:
    """Hold the lock file at `path`; say `waiting` if somebody else holds it now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(waiting)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_locked(path: Path) -> bool:
    """Somebody holds the lock file at `path` now."""
    if not path.exists():
        return False
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
