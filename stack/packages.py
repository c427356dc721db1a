"""Programs from PATH, or else from the distribution's packages."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from stack.checkout import locked
from stack.console import StackError, say

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Machine-wide: one checkout at a time installs packages or starts the engine.
MACHINE = Path("/run/galaxy-stack")
MACHINE_LOCK = MACHINE / "lock"
POLICY = Path("/usr/sbin/policy-rc.d")
SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"


def find(*names: str) -> str | None:
    """The first program of these names on PATH, or where Debian keeps what only root uses."""
    path = f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_PATH}"
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


def find_in(path: str, name: str) -> str:
    """A program on `path`, a list of folders as in PATH.

    Raises:
        StackError: it is not there.
    """
    found = shutil.which(name, path=path)
    if found is None:
        raise StackError(f"There is no program `{name}`.")
    return found


def find_static(*names: str) -> str | None:
    """As `find`, but only a program that runs without any library, as in an otherwise empty image."""
    found = find(*names)
    return found if found and is_static(Path(found)) else None


def is_static(program: Path) -> bool:
    """An ELF file of 64 bits without an interpreter (System V ABI: no program header of type PT_INTERP)."""
    with program.open("rb") as file:
        head = file.read(64)
        if head[:5] != b"\x7fELF\x02":
            return False
        offset, size, count = (*struct.unpack_from("<Q", head, 32), *struct.unpack_from("<HH", head, 54))
        file.seek(offset)
        table = file.read(size * count)
    return all(struct.unpack_from("<I", table, size * i)[0] != 3 for i in range(count))  # noqa: PLR2004 - PT_INTERP


def install(packages: list[str], needed_for: str) -> None:
    """Install packages of the distribution, without letting them start services.

    Raises:
        StackError: no right to do it, no apt, or apt failed.
    """
    names = " ".join(packages)
    if find("apt-get") is None:
        raise StackError(f"Missing: {names} ({needed_for}). Install it with this system's package manager.")
    if os.geteuid() != 0:
        raise StackError(
            f"Missing: {names} ({needed_for}). Only root may install it:\n"
            f"  sudo apt-get install --no-install-recommends {names}"
        )
    with locked(MACHINE_LOCK, "Waiting for another checkout's set-up …"), services_kept_off():
        say(f"Installing {names} from the distribution's packages …")
        options = ["-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"]
        _apt("update", "-q")
        _apt("install", *options, *packages)


def _apt(*arguments: str) -> None:
    """Run apt-get; show what it printed only if it fails."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    environment["PATH"] = f"{environment.get('PATH', os.defpath)}:{SYSTEM_PATH}"
    done = subprocess.run(
        ["apt-get", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise StackError(f"`apt-get {' '.join(arguments)}` failed:\n{tail}")


@contextmanager
def services_kept_off() -> Iterator[None]:
    """While packages are installed, no service of theirs starts (Debian Policy 9.3.3.1): the stack runs its own."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def require_programs() -> None:
    """Have everything that the stack runs besides the engine, installing what is missing.

    Raises:
        StackError: something is missing and can't be had.
    """
    present = {
        "redis-server": find("redis-server"),
        "redis-tools": find("redis-cli"),
        "docker-registry": find("docker-registry", "registry"),
        "busybox-static": find_static("busybox"),
        "bash-static": find_static("bash-static"),
    }
    missing = [package for package, program in present.items() if program is None]
    if not missing:
        return
    install(missing, "the local stack's Redis, registries and sample base image")
    _keep_off_after_reboot([package for package in missing if package in {"redis-server", "docker-registry"}])


def _keep_off_after_reboot(services: list[str]) -> None:
    """A package that we installed must not become a service of the machine."""
    if services and Path("/run/systemd/system").is_dir():
        subprocess.run(["systemctl", "disable", "--quiet", *services], check=False)
