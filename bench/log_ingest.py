"""A million lines of 100 bytes through a real build into the log, against `docker run` with its output thrown away.

Both create a container, start it and take what it prints: ours until the last line is in the log and setup.sh's exit
code is known, the floor until `docker run` has ended. Neither removes the container within that time. Both are on the
network of build containers; `build_overhead` tells what that costs.
"""

from __future__ import annotations

import re
import subprocess
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, cast
from uuid import uuid4

from bench.fleet import Fleet, fleet
from bench.measure import CannotRun, Quantity, Result, in_pairs
from bench.surroundings import base_image, engine, images_removed
from galaxy.adapters.logs.entry import from_fields
from galaxy.domain.base_images.contract import SETUP_SCRIPT
from galaxy.domain.log import Source
from galaxy.domain.states import Step
from galaxy.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

    from bench.measure import Finding
    from bench.surroundings import BaseImage
    from galaxy.domain.models import Version, VersionRef

GOAL: Final = 1.2
LINES: Final = 1_000_000
LINE_BYTES: Final = 100
#: Single pairs scatter by a third, on a quiet machine too: both ways keep two cores busy.
PAIRS: Final = 15
QUICK_PAIRS: Final = 1

#: So much is kept at the beginning of an attempt's output that nothing of these lines is left out.
KEEPS_ALL: Final = {
    "log_attempt_max_bytes": 2 * LINES * LINE_BYTES,
    "log_max_bytes": 4 * LINES * LINE_BYTES,
}
APP: Final = "ours.log-ingest.bench"
#: Nobody asks for it: the lines are in the base image.
BUNDLE_URL: Final = "http://bundles.invalid/all"
#: With this one, only so many lines are printed.
FEW_LINES: Final = LINES // 10
FEW_URL: Final = "http://bundles.invalid/few"

_SETUP: Final = f"""
case $1 in */few) exec head -n {FEW_LINES} /app/lines ;; esac
exec cat /app/lines
"""

#: More sentences than the pipeline writes after the output.
_LAST_ENTRIES: Final = 20
_LEFT_OUT: Final = re.compile(r"Left out here: (\d+) lines ")


def run(*, quick: bool) -> Iterator[Finding]:
    """Measures it with all lines kept, and counts them with the limits that are set.

    Raises:
        CannotRun: Redis, the engine or a registry is missing, a build failed, or a line was lost.
    """
    with ExitStack() as stack:
        api = stack.enter_context(engine())
        printer = stack.enter_context(printing_image(api))
        with fleet(**KEEPS_ALL) as everything_kept:
            pairs = in_pairs(
                _Ours(everything_kept, printer).print_s,
                _Floor(api, printer, everything_kept.pipeline.settings.build_network).print_s,
                pairs=QUICK_PAIRS if quick else PAIRS,
            )
            yield Result("log_ingest", GOAL, pairs)
        with fleet() as usual:
            yield _counted(usual, printer)


@contextmanager
def printing_image(api: docker.APIClient) -> Iterator[BaseImage]:
    """A base image whose setup.sh prints the lines, as fast as they can be read from a file."""
    settings = Settings()
    lines = b"".join(line(number) for number in range(LINES))
    with (
        base_image(api, settings, "lines", _SETUP, {"lines": lines}) as image,
        images_removed(api, f"{settings.registry}/apps/{APP}"),
    ):
        yield image


def line(number: int) -> bytes:
    """One of the printed lines, with its end: much like what a package manager says."""
    package, version = number % 977, number // 977
    said = b"%07d http fetch GET 200 https://registry.example.com/package-%d/-/package-%d-%d.0.tgz"
    return (said % (number, package, package, version)).ljust(LINE_BYTES - 1, b".") + b"\n"


def number_of(text: str) -> int | None:
    """Which of the printed lines this is; None for a sentence of the pipeline."""
    number, _, said = text.partition(" ")
    return int(number) if number.isdecimal() and said.startswith("http fetch ") else None


@dataclass(frozen=True)
class _Ours:
    fleet: Fleet
    image: BaseImage

    def print_s(self) -> float:
        """Builds once, and counts the lines; returns the seconds between the steps before and after it."""
        ref = print_all(self.fleet, self.image)
        took_s = _setup_s(self.fleet.pipeline.store.version(ref), _last_stored_at_ms(self.fleet))
        assert_all(printed_lines(self.fleet, ref).numbers, 0, LINES)
        self.fleet.logs.delete(self.fleet.pipeline.keys.log(APP))
        return took_s


@dataclass(frozen=True)
class _Floor:
    api: docker.APIClient
    image: BaseImage
    network: str

    def print_s(self) -> float:
        """Runs a container once, attached; returns the seconds that it took. It is removed afterwards."""
        name = f"bench-log-ingest-{uuid4().hex[:8]}"
        options = ["--name", name, "--network", self.network, "--log-driver", "none"]
        attached = ["--attach", "stdout", "--attach", "stderr"]
        command = ["docker", "run", *options, *attached, "--entrypoint", SETUP_SCRIPT, self.image.on_engine]
        began = time.perf_counter()
        try:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            return time.perf_counter() - began
        except (OSError, subprocess.CalledProcessError) as error:
            raise CannotRun(f"docker run failed: {error}") from error
        finally:
            self.api.remove_container(name, force=True, v=True)


def print_all(fleet: Fleet, image: BaseImage, url: str = BUNDLE_URL) -> VersionRef:
    """Builds once on the image that prints the lines."""
    ref = fleet.deploy(APP, url, image.settings)
    fleet.wait_until_built([ref])
    return ref


class Printed(NamedTuple):
    """What is in the log of a version.

    Attributes:
        numbers: Of the printed lines, in the log's order.
        left_out: How many lines the log says were left out.
        gap_at: Index in `numbers` at which it says so.
    """

    numbers: list[int]
    left_out: int
    gap_at: int


def printed_lines(fleet: Fleet, ref: VersionRef) -> Printed:
    """Reads the version's log from its beginning."""
    numbers: list[int] = []
    left_out, gap_at = 0, 0
    for page in fleet.pipeline.logs.pages(ref.app):
        for read in page.lines:
            if read.version != ref.number or read.source is not Source.SERVICE:
                continue
            number = number_of(read.text)
            if number is not None:
                numbers.append(number)
            elif gap := _LEFT_OUT.match(read.text):
                left_out, gap_at = int(gap[1]), len(numbers)
    return Printed(numbers, left_out, gap_at)


def assert_all(numbers: list[int], first: int, end: int) -> None:
    """Raises `CannotRun` unless these are all numbers from `first` to before `end`, in order."""
    for found, expected in zip(numbers, range(first, end), strict=False):
        if found != expected:
            raise CannotRun(f"A line was lost or doubled: line {found} stands where {expected} should.")
    if len(numbers) != end - first:
        raise CannotRun(f"{len(numbers)} lines are in the log, not {end - first}.")


def _counted(fleet: Fleet, image: BaseImage) -> Quantity:
    """With limits, the beginning and the end are there and the gap is as large as the log says."""
    printed = printed_lines(fleet, print_all(fleet, image))
    assert_all(printed.numbers[: printed.gap_at], 0, printed.gap_at)
    assert_all(printed.numbers[printed.gap_at :], printed.gap_at + printed.left_out, LINES)
    detail = f"{len(printed.numbers)} kept in order, {printed.left_out} left out by the log's own word"
    unexplained = LINES - len(printed.numbers) - printed.left_out
    return Quantity("log_ingest, default limits", unexplained, "lines unexplained", 0, detail)


def _last_stored_at_ms(fleet: Fleet) -> int:
    """When the last printed line was stored, by Redis's clock; sentences of the pipeline come after it."""
    reply = fleet.logs.xrevrange(fleet.pipeline.keys.log(APP), count=_LAST_ENTRIES)
    newest = cast("list[tuple[bytes, dict[bytes, bytes]]]", reply)  # redis-py's types know no such client
    ids = [
        entry_id
        for entry_id, fields in newest
        if number_of(from_fields(fields).text.rpartition("\n")[2]) is not None
    ]
    return int(ids[0].partition(b"-")[0])


def _setup_s(version: Version, last_stored_at_ms: int) -> float:
    """From the end of the step before setup, which is before the container is created."""
    steps = {step.step: step for step in version.steps}
    began_ms, ended_ms = (
        steps[step].started_at_ms + steps[step].duration_ms for step in (Step.VERIFY, Step.SETUP)
    )
    return (max(ended_ms, last_stored_at_ms) - began_ms) / 1000
