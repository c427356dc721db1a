"""The virtual environment, with the locked dependencies and this checkout in it."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from stack import packages
from stack.checkout import locked
from stack.console import StackError, say

if TYPE_CHECKING:
    from stack.checkout import Checkout

LOCK = "requirements-dev.txt"


def ensure(checkout: Checkout) -> None:
    """Make the virtual environment, or bring it up to date if the lock or the project's metadata changed.

    Raises:
        StackError: Python's venv module is missing, or pip failed.
    """
    with locked(
        checkout.home / "venv.lock", "Waiting for another command that prepares the virtual environment …"
    ):
        stamp = checkout.venv / "galaxy-stamp"
        dependencies = _digest(checkout, LOCK)
        project = _digest(checkout, "pyproject.toml")
        done = stamp.read_text().split() if stamp.exists() else []
        if done == [dependencies, project] and checkout.python.exists():
            return
        if done[:1] != [dependencies] or not checkout.python.exists():
            say("Installing the locked dependencies into .venv …")
            _create(checkout)
            _pip(checkout, "--require-hashes", "-r", LOCK)
            stamp.write_text(f"{dependencies}\n")
        _pip(checkout, "--no-index", "--no-deps", "--no-build-isolation", "-e", ".")
        stamp.write_text(f"{dependencies} {project}\n")


def _digest(checkout: Checkout, file: str) -> str:
    """Changes when the file, the interpreter or the checkout's place does (scripts in a venv name its place)."""
    parts = (
        (checkout.root / file).read_bytes(),
        _minor_version().encode(),
        sys.base_prefix.encode(),
        os.fsencode(checkout.root),
    )
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _minor_version() -> str:
    """Without the patch level: an environment lives through the distribution's updates, such as one we cause."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _create(checkout: Checkout) -> None:
    if importlib.util.find_spec("ensurepip") is None:
        packages.install([f"python{_minor_version()}-venv"], "the virtual environment")
    _remove(checkout.venv)
    _run([_interpreter(), "-m", "venv", str(checkout.venv)], checkout)


def _interpreter() -> str:
    """The interpreter outside of any virtual environment: `python3` may be the very one that is made anew here."""
    outside = Path(sys.base_prefix) / "bin" / f"python{_minor_version()}"
    return str(outside) if outside.exists() else sys.executable


def _remove(venv: Path) -> None:
    if venv.is_symlink():
        venv.unlink()
    elif venv.exists():
        shutil.rmtree(venv)


def _pip(checkout: Checkout, *arguments: str) -> None:
    _run(
        [str(checkout.python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *arguments],
        checkout,
    )


def _run(command: list[str], checkout: Checkout) -> None:
    done = subprocess.run(
        command,
        cwd=checkout.root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise StackError(f"`{' '.join(command)}` failed:\n{tail}")
