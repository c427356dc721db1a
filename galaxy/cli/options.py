"""Options that several commands have."""

from __future__ import annotations

import math
import os
from typing import Final

import click

json_option: Final = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


def login_name() -> str | None:
    """Who runs the command; None where nobody knows, as in a container whose user has no name."""
    import getpass

    try:
        return os.environ.get("USER") or getpass.getuser()
    except (KeyError, OSError):  # a KeyError until Python 3.12
        return None


def _seconds(_: click.Context, __: click.Parameter, value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and value >= 0):
        raise click.BadParameter("must be a number of seconds, 0 or more.")
    return value


timeout_option: Final = click.option(
    "--timeout",
    "timeout_s",
    type=float,
    metavar="SECONDS",
    callback=_seconds,
    help="Stop waiting after this long.",
)
