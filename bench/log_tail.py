"""From a line's printing in a build to its appearance in `galaxy logs -f`, against a direct XADD and XREAD.

Both run at the same time, on the same Redis, with pauses of the same length between lines.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from redis import Redis

from bench.fleet import Fleet, fleet
from bench.measure import CannotRun, Latencies
from bench.surroundings import base_image, engine, images_removed
from galaxy.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from galaxy.domain.models import VersionRef

GOAL_S: Final = 0.060
LINES: Final = 300
QUICK_LINES: Final = 60

_APP: Final = "ours.log-tail.bench"
_MARK: Final = "printed at "
#: Printed before those that count, while the reader starts.
_WARM_UP_LINES: Final = 60
_SHORTEST_PAUSE_MS, _PAUSES_MS = 10, 80
_SETUP: Final = f"""
for ((line = 0; line < ${{1##*/}}; line++)); do
  echo "{_MARK}$EPOCHREALTIME"
  sleep "$(printf 0.%03d $((RANDOM % {_PAUSES_MS} + {_SHORTEST_PAUSE_MS})))"
done
"""


def run(*, quick: bool) -> list[Latencies]:
    """Measures it.

    Raises:
        CannotRun: Redis, the engine, a registry or the program `galaxy` is missing, or the build failed.
    """
    settings = Settings()
    lines = QUICK_LINES if quick else LINES
    with (
        engine() as api,
        base_image(api, settings, "ticking", _SETUP) as image,
        images_removed(api, f"{settings.registry}/apps/{_APP}"),
        fleet() as here,
    ):
        url = f"http://bundles.invalid/{lines + _WARM_UP_LINES}"
        here.wait_until_ready()
        ref = here.deploy(_APP, url, image.settings)
        with _direct(here) as direct, _followed(here, ref) as seen:
            here.wait_until_built([ref])
    if len(seen) < lines / 2:
        raise CannotRun(f"galaxy logs -f showed {len(seen)} of {lines} lines in time.")
    return [Latencies("log_tail", GOAL_S, tuple(seen[-lines:]), tuple(direct))]


@contextmanager
def _followed(fleet: Fleet, ref: VersionRef) -> Iterator[list[float]]:
    """What `galaxy logs -f` shows until the block ends: how late each line was, from the first that it waited for."""
    seen: list[float] = []
    program = Path(sys.executable).with_name("galaxy")
    command = [str(program), "logs", ref.app, "--follow", "-n", "0", "--version", str(ref.number)]
    with subprocess.Popen(command, env=fleet.environment, stdout=subprocess.PIPE, text=True) as process:
        reading = Thread(target=_read, args=(process, seen))
        reading.start()
        try:
            yield seen
        finally:
            process.send_signal(signal.SIGINT)
            reading.join()


def _read(process: subprocess.Popen[str], seen: list[float]) -> None:
    assert process.stdout
    for line in process.stdout:
        _, marked, printed_at = line.partition(_MARK)
        if marked:
            seen.append(time.time() - float(printed_at))


@contextmanager
def _direct(fleet: Fleet) -> Iterator[list[float]]:
    """How late each entry was that a thread writes and another one waits for, until the block ends."""
    seen: list[float] = []
    stop = Event()
    stream = f"{fleet.pipeline.settings.key_prefix}:direct"
    url = fleet.pipeline.settings.logs_url.get_secret_value()

    def write() -> None:
        with Redis.from_url(url) as redis:
            while not stop.wait((_SHORTEST_PAUSE_MS + random.randrange(_PAUSES_MS)) / 1000):
                redis.xadd(stream, {"at": repr(time.time())})
            redis.xadd(stream, {"at": "end"})

    def read() -> None:
        with Redis.from_url(url, decode_responses=True) as redis:
            after = "0-0"
            while True:
                for _, entries in redis.xread({stream: after}, block=1000):
                    after = entries[-1][0]
                    for _, fields in entries:
                        if fields["at"] == "end":
                            return
                        seen.append(time.time() - float(fields["at"]))

    threads = [Thread(target=write), Thread(target=read)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()
