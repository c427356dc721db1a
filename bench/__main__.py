"""`python -m bench [NAME...]`: runs benchmarks and prints a line for each."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING, Final

import click

from bench import build_overhead, cli_help
from bench.measure import CannotRun
from galaxy.domain.errors import GalaxyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.measure import Result

BENCHMARKS: Final[dict[str, Callable[[], Result]]] = {
    "build_overhead": build_overhead.run,
    "cli_help": cli_help.run,
}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice([*BENCHMARKS]))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line, with each measurement.")
def main(names: tuple[str, ...], *, as_json: bool) -> None:
    """Run the benchmarks NAMES, or all. A missed goal is said and is no error; one that can't run is."""
    failed = False
    for name in names or BENCHMARKS:
        print(f"{name}:", file=sys.stderr)
        try:
            result = BENCHMARKS[name]()
        except (CannotRun, GalaxyError) as error:
            failed = True
            print(
                json.dumps({"name": name, "error": str(error)})
                if as_json
                else f"{name}: could not run. {error}"
            )
        else:
            print(json.dumps(result.as_json()) if as_json else result.line(), flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that nothing is left behind
    main()
