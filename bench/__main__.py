"""`python -m bench [NAME...]`: runs benchmarks and prints a line for each thing that they find."""

from __future__ import annotations

import json
import logging
import signal
import sys
from typing import TYPE_CHECKING, Final, Protocol

import click
import structlog

from bench import (
    build_overhead,
    build_parallel,
    cli_help,
    dependents_growth,
    fanout,
    log_ingest,
    log_tail,
    poll,
    reconcile_growth,
    worker_memory,
)
from bench.measure import CannotRun
from galaxy.domain.errors import GalaxyError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.measure import Finding


class Benchmark(Protocol):
    """Measures, and gives its findings as it has them."""

    def __call__(self, *, quick: bool) -> Iterable[Finding]:
        """Measures; with `quick` only so often that one sees that it works."""
        ...


BENCHMARKS: Final[dict[str, Benchmark]] = {
    "build_overhead": build_overhead.run,
    "build_parallel": build_parallel.run,
    "cli_help": cli_help.run,
    "dependents_growth": dependents_growth.run,
    "fanout": fanout.run,
    "log_ingest": log_ingest.run,
    "log_tail": log_tail.run,
    "poll": poll.run,
    "reconcile_growth": reconcile_growth.run,
    "worker_memory": worker_memory.run,
}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice([*BENCHMARKS]))
@click.option("--quick", is_flag=True, help="Measure less often: a first impression.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line, with each measurement.")
def main(names: tuple[str, ...], *, quick: bool, as_json: bool) -> None:
    """Run the benchmarks NAMES, or all. A missed goal is said and is no error; one that can't run is."""
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        # what goes well is told thousands of times
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )
    failed = False
    for name in names or BENCHMARKS:
        print(f"{name}:", file=sys.stderr)
        try:
            for found in BENCHMARKS[name](quick=quick):
                print(json.dumps(found.as_json()) if as_json else found.line(), flush=True)
        except (CannotRun, GalaxyError) as error:
            failed = True
            print(
                json.dumps({"name": name, "error": str(error)})
                if as_json
                else f"{name}: could not run. {error}"
            )
    sys.exit(failed)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that nothing is left behind
    main()
