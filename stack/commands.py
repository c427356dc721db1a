"""The commands behind the make targets."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from stack import demo, ending, environment, local, packages, venv
from stack.checkout import Checkout
from stack.console import StackError, say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CHECKS = (
    ("ruff", "check"),
    ("ruff", "format", "--check"),
    ("mypy",),
    ("lint-imports",),
    # without the cache: two configurations that share one see each other's old imports
    ("lint-imports", "--config", "import-linter-services.toml", "--no-cache"),
)
#: Programs and their packages: to read docker-compose.yml, for a machine in miniature, to make a whole Debian.
TEST_TOOLS = {
    "docker-compose": "docker-compose",
    "ip": "iproute2",
    "iptables": "iptables",
    "mmdebstrap": "mmdebstrap",
    "sysctl": "procps",
}
#: Tests with services wait most of the time. The slowest files come first: see `tests/conftest.py`.
WITH_SERVICES = ("-n", "3", "--dist", "loadfile", "--no-loadscope-reorder")
#: These keep the processor busy, and any of them can run anywhere.
WITHOUT_SERVICES = ("-m", "not service", "--hypothesis-profile", "quick", "-n", "2", "--dist", "worksteal")
#: A load generator, to measure against.
BENCH_TOOLS = {"ab": "apache2-utils"}


def main(arguments: list[str]) -> int:
    """Run one command in this checkout.

    Returns:
        The exit code.
    """
    command = COMMANDS.get(arguments[0]) if arguments else None
    if command is None:
        say(f"usage: python3 -m stack {{{','.join(COMMANDS)}}}")
        return 2
    try:
        return command(Checkout(Path(__file__).resolve().parent.parent), arguments[1:])
    except StackError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("Interrupted. What was started goes on; `make down` ends it.")
        return 130


def _up(checkout: Checkout, _: list[str]) -> int:
    stack = local.up(checkout)
    values = stack.variables
    print(f"Flower               {values['GALAXY_FLOWER_URL']}  (login {values['FLOWER_BASIC_AUTH']})")
    print(f"Redis                127.0.0.1:{stack.choices.port('redis')}")
    print(f"Docker Hub mirror    {values['GALAXY_DOCKER_HUB_MIRROR']}")
    print(f"App images           {values['GALAXY_REGISTRY']}")
    print(f"Bundles              {values['GALAXY_BUNDLES_URL']}  (folder {values['GALAXY_BUNDLES_DIR']})")
    print(f"Container engine     {stack.docker_host}")
    print(f"Logs                 {checkout.logs}")
    print('\nTalk to it: eval "$(make -s env)"      End it: make down')
    return 0


def _down(checkout: Checkout, _: list[str]) -> int:
    ending.down(checkout)
    return 0


def _clean(checkout: Checkout, _: list[str]) -> int:
    ending.clean(checkout)
    return 0


def _env(checkout: Checkout, _: list[str]) -> int:
    print(environment.exports(local.remembered(checkout).variables), end="")
    return 0


def _demo(checkout: Checkout, _: list[str]) -> int:
    demo.show(local.up(checkout))
    return 0


def _test(checkout: Checkout, arguments: list[str]) -> int:
    _have(TEST_TOOLS, needed_for="some of the tests")
    return _run(checkout, ["python", "-m", "pytest", *WITH_SERVICES, *arguments])


def _unit(checkout: Checkout, arguments: list[str]) -> int:
    return _run_alone(checkout, ["-m", "pytest", *WITHOUT_SERVICES, *arguments])


def _mutants(checkout: Checkout, arguments: list[str]) -> int:
    return _run_alone(checkout, ["-m", "tests.mutants", *arguments])


def _bench(checkout: Checkout, arguments: list[str]) -> int:
    _have(BENCH_TOOLS, needed_for="some of the benchmarks")
    return _run(checkout, ["python", "-m", "bench", *arguments])


def _run(checkout: Checkout, arguments: list[str]) -> int:
    """A program of the virtual environment, or of PATH, while the stack is up."""
    stack = local.up(checkout)
    program = packages.find_in(stack.variables["PATH"], arguments[0])
    return subprocess.run(
        [program, *arguments[1:]], cwd=checkout.root, env=stack.environment, check=False
    ).returncode


def _run_alone(checkout: Checkout, arguments: list[str]) -> int:
    """Python of the virtual environment, with nothing else started."""
    venv.ensure(checkout)
    path = f"{checkout.venv / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [str(checkout.venv / "bin" / "python"), *arguments],
        cwd=checkout.root,
        env={**os.environ, "PATH": path},
        check=False,
    ).returncode


def _check(checkout: Checkout, _: list[str]) -> int:
    """All checks, also after one has failed."""
    venv.ensure(checkout)
    failed = []
    for check in CHECKS:
        say(f"$ {' '.join(check)}")
        program = checkout.venv / "bin" / check[0]
        if subprocess.run([str(program), *check[1:]], cwd=checkout.root, check=False).returncode != 0:
            failed.append(" ".join(check))
    if failed:
        say(f"Failed: {', '.join(failed)}")
    return 1 if failed else 0


def _venv(checkout: Checkout, _: list[str]) -> int:
    venv.ensure(checkout)
    return 0


def _have(tools: Mapping[str, str], *, needed_for: str) -> None:
    """Programs that a command can do without, where they can be had; by name, with their packages."""
    missing = [package for program, package in tools.items() if not packages.find(program)]
    if not missing:
        return
    try:
        packages.install(missing, needed_for)
    except StackError as error:
        say(f"Going on without {', '.join(missing)}: {needed_for} will not run. {error}")


COMMANDS: Final[Mapping[str, Callable[[Checkout, list[str]], int]]] = MappingProxyType(
    {
        "up": _up,
        "down": _down,
        "clean": _clean,
        "env": _env,
        "demo": _demo,
        "test": _test,
        "unit": _unit,
        "mutants": _mutants,
        "bench": _bench,
        "run": _run,
        "check": _check,
        "venv": _venv,
    }
)
