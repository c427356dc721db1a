"""The settings that a person gives to `make up` as environment variables.

They reach the stack's processes, or are refused by name. `make env` prints those of the last `make up`.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

from galaxy.domain.variables import NOT_SETTINGS, PREFIX, unknown_variables
from stack.checkout import write_private
from stack.console import StackError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from stack.checkout import Checkout


def without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment without anything that could be a setting; settings are read whatever their case."""
    return {name: value for name, value in environ.items() if not _is_ours(name)}


def settings_in(environ: Mapping[str, str], *, fixed: Mapping[str, str]) -> dict[str, str]:
    """The settings in a shell's environment that are the person's own choice, by their names in capitals.

    Args:
        environ: It may hold what `make env` printed.
        fixed: What the stack sets itself.

    Raises:
        StackError: The stack sets one of them to another value.
    """
    given = {name.upper(): value for name, value in environ.items() if _is_ours(name)}
    refused = [name for name in sorted(given) if given[name] != fixed.get(name, given[name])]
    if refused:
        raise StackError(
            "\n".join(
                f"{name} is set by the local stack: unset it, or run the processes by hand as docs/operating.md says."
                for name in refused
            )
        )
    return {name: value for name, value in given.items() if name not in fixed and name not in NOT_SETTINGS}


def check(checkout: Checkout, given: Mapping[str, str]) -> None:
    """Have the pipeline's own code look at the settings that are given. It needs the virtual environment.

    Raises:
        StackError: One of them does not exist, or has a value that it can't have.
    """
    if not given:
        return
    command = [str(checkout.python), "-m", "stack.settings_check"]
    done = subprocess.run(
        command,
        cwd=checkout.root,
        env=without_settings(os.environ) | dict(given),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StackError("The settings could not be checked: see above.")
    answer = json.loads(done.stdout)
    wrong = [
        f"{name} is no setting. {f'Did you mean {near}?' if near else 'docs/settings.md lists all settings.'}"
        for name, near in unknown_variables(given, answer["known"])
    ]
    wrong += answer["malformed"]
    if wrong:
        raise StackError("\n".join(wrong))


def remember(checkout: Checkout, given: Mapping[str, str]) -> None:
    """Keep what the stack's processes were started with. Values may be secret."""
    write_private(_file(checkout), json.dumps(given, indent=2) + "\n")


def remembered(checkout: Checkout) -> dict[str, str]:
    """What the stack's processes were last started with."""
    try:
        found: dict[str, str] = json.loads(_file(checkout).read_text())
    except FileNotFoundError:
        return {}
    return found


def forget(checkout: Checkout) -> None:
    """Begin without any choices."""
    _file(checkout).unlink(missing_ok=True)


def _file(checkout: Checkout) -> Path:
    return checkout.home / "given.json"


def _is_ours(name: str) -> bool:
    return name.upper().startswith(PREFIX)
