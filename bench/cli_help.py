"""`galaxy --help` as a process, against a bare Click program with as many commands, in the same environment."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from bench.measure import CannotRun, Result, in_pairs
from galaxy.cli import cli

GOAL: Final = 1.5
PAIRS: Final = 25
QUICK_PAIRS: Final = 5

#: As pip writes it for an entry point, with the commands in the script itself.
_FLOOR: Final = '''
import sys

import click


@click.group()
def cli():
    """Does nothing."""


for number in range({commands}):
    cli.add_command(click.Command(f"command-{{number}}", callback=lambda: None, help="Does nothing."))

sys.exit(cli())
'''


def run(*, quick: bool) -> list[Result]:
    """Measures it.

    Raises:
        CannotRun: There is no program `galaxy` beside this interpreter.
    """
    program = Path(sys.executable).with_name("galaxy")
    if not program.exists():
        raise CannotRun(f"There is no {program.name} beside {sys.executable}: install the project there.")
    with tempfile.TemporaryDirectory(prefix="galaxy-bench-") as folder:
        floor = Path(folder) / "floor.py"
        floor.write_text(_FLOOR.format(commands=len(cli.commands)))
        pairs = in_pairs(
            lambda: _help_s([str(program)]),
            lambda: _help_s([sys.executable, str(floor)]),
            pairs=QUICK_PAIRS if quick else PAIRS,
        )
    return [Result("cli_help", GOAL, pairs)]


def _help_s(program: list[str]) -> float:
    began = time.perf_counter()
    ended = subprocess.run([*program, "--help"], check=False, capture_output=True, text=True)
    took_s = time.perf_counter() - began
    if ended.returncode or "Usage:" not in ended.stdout:
        raise CannotRun(f"{program[-1]} --help ended with {ended.returncode}: {ended.stderr.strip()}")
    return took_s
