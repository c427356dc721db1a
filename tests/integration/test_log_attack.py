"""Builds that attack the log, on the real engine, through a real worker, read with the real `galaxy logs`."""

from __future__ import annotations

import base64
import json
import logging
import os
import pty
import re
import shlex
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from galaxy.bootstrap import Pipeline
from galaxy.domain.states import VersionState
from galaxy.settings import Settings
from tests.support.fleet import Fleet, RedisWithPassword
from tests.support.memory import HighestSizes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from galaxy.domain.log import LogLine
    from galaxy.domain.models import VersionRef
    from tests.support.fleet import Around, Process

logger = logging.getLogger(__name__)

MIB = 1024 * 1024
ATTEMPT_MAX = MIB
LOG_MAX = 3 * MIB
#: What waits for Redis, what is held of the output's end, and what an interpreter does not give back.
GROWTH_MAX_MIB = 64

GALAXY = str(Path(sys.executable).with_name("galaxy"))
LEFT_OUT = re.compile(r"Left out here: (\d+) lines \((\d+) bytes\)")


class Site(NamedTuple):
    """A fleet with small limits, its build worker, and how its logs are read."""

    fleet: Fleet
    worker: Process
    pipeline: Pipeline

    def lines(self, ref: VersionRef, attempt: int | None = None) -> list[LogLine]:
        return [
            line
            for page in self.pipeline.logs.pages(ref.app)
            for line in page.lines
            if attempt in {None, line.attempt}
        ]

    def texts(self, ref: VersionRef) -> list[str]:
        return [line.text for line in self.lines(ref)]

    def build(self, app: str, script: str, settings: object = None, query: str = "") -> VersionRef:
        """Builds with one script to a good end."""
        ref = self.fleet.deploy(app, self.fleet.bundles.add(script, query=query).url, settings)
        version = self.fleet.wait_until_final(ref, timeout_s=60)
        assert version.state is VersionState.ACTIVE, version.failure
        return ref

    def logs(self, app: str, *options: str, timeout_s: float = 30) -> bytes:
        """What `galaxy logs` prints into a pipe."""
        done = subprocess.run(
            [GALAXY, "logs", app, *options], env=self.env, capture_output=True, timeout=timeout_s, check=True
        )
        return done.stdout

    def logs_on_terminal(self, app: str, *options: str) -> bytes:
        """What `galaxy logs` prints on a terminal that shows colours."""
        shown: list[bytes] = []

        def read(terminal: int) -> bytes:
            shown.append(os.read(terminal, 65536))
            return shown[-1]

        settings = [f"{name}={value}" for name, value in self.env.items()]
        code = pty.spawn(["env", *settings, GALAXY, "logs", app, *options], read)
        assert code == 0
        return b"".join(shown)

    @property
    def env(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "TERM": "xterm", **self.fleet.env}


@pytest.fixture(scope="module")
def site(around_fleets: Around, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    redis = RedisWithPassword(tmp_path_factory.mktemp("redis-of-attacks"))
    limits = {"GALAXY_LOG_ATTEMPT_MAX_BYTES": str(ATTEMPT_MAX), "GALAXY_LOG_MAX_BYTES": str(LOG_MAX)}
    fleet = Fleet(around_fleets._replace(redis=redis), tmp_path_factory.mktemp("attacked"), 0, **limits)
    worker = fleet.start(slots=2)
    settings = Settings(
        broker_url=SecretStr(fleet.broker_url),
        store_url=SecretStr(fleet.env["GALAXY_STORE_URL"]),
        logs_url=SecretStr(fleet.env["GALAXY_LOGS_URL"]),
    )
    yield Site(fleet, worker, Pipeline(settings))
    fleet.stop()
    redis.kill()


# As much as it can


def test_floods_of_any_kind_leave_the_worker_its_memory_and_the_log_its_beginnings_and_ends(
    site: Site, app: str
) -> None:
    # each on one stream: engines keep no order between two
    floods = ("busybox yes 'one of many lines'", "cat /dev/urandom", "cat /dev/zero", "busybox yes ' '")
    streams = ("", "", "", "exec >&2; ")
    scripts = [
        f"{stream}echo first; busybox timeout 1.5 {flood} || :; echo; echo last; exit {int(number < 3)}"
        for number, (stream, flood) in enumerate(zip(streams, floods, strict=True))
    ]
    site.build(f"warm-up-{app}", "true")
    began = time.monotonic()
    site.build(f"quiet-{app}", "true")
    quiet_s = time.monotonic() - began
    sizes = HighestSizes.from_now(site.worker.pid)

    ref = site.fleet.deploy(app, site.fleet.bundles.add(*scripts).url)
    slowest_s, number = 0.0, 0
    while (version := site.fleet.store.version(ref)).state not in {
        VersionState.ACTIVE,
        VersionState.BUILD_FAILED,
    }:
        number += 1
        began = time.monotonic()
        site.build(f"other-{number}-{app}", "true")
        slowest_s = max(slowest_s, time.monotonic() - began)
    grown = sizes.grown_mib()

    # as a rule 1 s quiet and 2 s beside floods, and 10 MiB
    logger.info(
        "quiet %.2f s, %.2f s at most of %d beside floods, %.0f MiB", quiet_s, slowest_s, number, grown
    )
    assert version.attempt == 4
    assert version.state is VersionState.ACTIVE, version.failure
    assert grown < GROWTH_MAX_MIB
    assert number >= 2
    assert slowest_s < quiet_s + 10, "others' builds have to go on"
    with site.fleet.redis.client(site.fleet.logs_db) as redis:
        assert redis.memory_usage(site.pipeline.keys.log(app), samples=0) <= LOG_MAX
    left_out = 0
    for attempt in (2, 3, 4):  # the noise of the second one may have pushed the first one out
        texts = [line.text for line in site.lines(ref, attempt)]
        gaps = [gap for text in texts if (gap := LEFT_OUT.search(text))]
        assert len(gaps) == 1, f"attempt {attempt}"
        assert "first" in texts[:20] or attempt == 2
        assert "last" in texts[-20:]
        left_out += int(gaps[0][2])
    assert left_out > 100 * MIB, "that was no flood"


def test_below_the_limit_not_one_line_is_lost_or_doubled_and_each_stream_is_in_order(
    site: Site, app: str
) -> None:
    each = 'echo "out $i"; echo "err $i" >&2; [ $((i % 1000)) != 0 ] || sleep 0.02'
    script = f"for ((i = 0; i < 9000; i++)); do {each}; done"
    lines = site.lines(site.build(app, script))
    for stream, error in (("out", False), ("err", True)):
        found = [line.text for line in lines if line.text.startswith(f"{stream} ")]
        assert found == [f"{stream} {number}" for number in range(9000)]
        assert {line.error for line in lines if line.text.startswith(f"{stream} ")} == {error}
    assert not any(LEFT_OUT.search(line.text) for line in lines)


def test_what_was_left_out_is_counted_to_the_line(site: Site, app: str) -> None:
    texts = site.texts(site.build(app, "seq -w 1 400000"))
    (gap,) = [gap for text in texts if (gap := LEFT_OUT.search(text))]
    numbers = [int(text) for text in texts if text.isdecimal()]
    (jump,) = [(one, other) for one, other in pairwise(numbers) if other != one + 1]
    assert (numbers[0], numbers[-1]) == (1, 400_000)
    assert jump[1] - jump[0] - 1 == int(gap[1]) > 0
    assert len(numbers) + int(gap[1]) == 400_000


# What a terminal would obey

HOSTILE = {
    "title": b"\x1b]0;owned\x07",
    "clipboard": b"\x1b]52;c;Y3VybCBldmls\x07",
    "link": b"\x1b]8;;http://evil.example.com\x1b\\click\x1b]8;;\x1b\\",
    "screen": b"\x1b[2J\x1b[H\x1b[?1049h\x1bc",
    "answer": b'\x1b[6n\x1bP$q"p\x1b\\\x1b_G\x1b\\',
    "c1": "\x9b2J\x9d0;x\x9c".encode() + b"\x9b2J",
    "nul": b"a\0b\x08\x7f\x0b\x0c\x0e",
    "bidi": "\u202e\u2066txt\u2028\u200f".encode(),
    "broken": b"\xff\xfe\xc3\x28\xed\xa0\x80",
    "progress": b"10%\r20%\r\r\n30%",
}
#: Control characters of both tables, and those that reorder text.
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
COLOURS = re.compile("\x1b\\[(?:0|2|31)?m")


def test_nothing_that_a_build_prints_can_act_on_a_terminal(site: Site, app: str) -> None:
    said = b"".join(b"%s <%s>\n" % (name.encode(), bytes_) for name, bytes_ in HOSTILE.items())
    decode = f"echo {base64.b64encode(said).decode()} | busybox base64 -d"
    ref = site.build(app, f"{decode}; {decode} >&2")
    for options in ((), ("--since", "1h", "--source", "errors"), ("--json",)):
        shown = site.logs(app, *options)
        assert all(f"{name} <".encode() in shown for name in HOSTILE), options
        assert not ACTING.search(shown.decode()), options
    on_terminal = site.logs_on_terminal(app, "-n", "500").decode().replace("\r\n", "\n")
    assert not ACTING.search(COLOURS.sub("", on_terminal))
    texts = site.texts(ref)
    assert [text for text in texts if text in {"progress <10%", "20%", "30%>"}] == [
        "progress <10%",
        "20%",
        "30%>",
    ] * 2


# Secrets

TOKEN = "Tk9-secret/with+more_in=it.0123456789"
PASSWORD = 'p4ss "word" & \\ sl/ash'
SIGNATURE = "sig-5f3a9c1e7b2d4860"


def test_secrets_are_not_in_the_log_however_they_are_cut_or_spelled(site: Site, app: str) -> None:
    token, password = shlex.quote(TOKEN), shlex.quote(PASSWORD)
    half = len(TOKEN) // 2
    spelled = [quote(TOKEN, safe=""), json.dumps(PASSWORD), quote(PASSWORD), SIGNATURE]
    in_base64 = [
        base64.b64encode(f"{'x' * before}{TOKEN}{'y' * after}".encode()).decode()
        for before in range(3)
        for after in range(3)
    ]
    in_base64.append(base64.urlsafe_b64encode(f"user:{PASSWORD}".encode()).decode())
    by_character = 'while IFS= read -r -n 1 c; do printf %s "$c"; done'
    many = f"printf -v many '%s-' {' '.join([token] * 50)}"
    spread = 'for ((i = 0; i < 2000; i++)); do printf %s "$many$i"; done; echo'
    padded = f"""for ((i = 16350; i < 16390; i++)); do printf "%${{i}}s%s\\n" '' {token}; done"""
    script = "; ".join([
        "echo begun",
        f"printf %s {shlex.quote(TOKEN[:half])}; sleep 0.3; printf '%s\\n' {shlex.quote(TOKEN[half:])}",
        f"printf %s {token} | {by_character}; echo",
        # at any place of the pieces in which long lines arrive and are stored, and of the gap
        f"{many}; {spread}; {padded}",
        *(f"echo {shlex.quote(each)}; echo {shlex.quote(each)} >&2" for each in [*spelled, *in_base64]),
        f"set -x; : {token} {password}; set +x",
        "echo ended",
    ])  # fmt: skip
    settings = {"galaxy.meteor.com": {"env": {"TOKEN": TOKEN, "PASSWORD": PASSWORD}}}
    ref = site.build(app, script, settings, query=f"signature={SIGNATURE}")
    texts = site.texts(ref)
    everything = "".join(texts)
    assert {"begun", "ended"} <= set(texts)
    assert everything.count("[redacted]") > 1000
    for secret in (
        *spelled,
        TOKEN,
        PASSWORD,
        "with+more_in",
        "0123456789",
        "sl/ash",
        TOKEN[:half],
        TOKEN[half:],
    ):
        assert secret not in everything
    for encoded in in_base64:
        assert encoded[4:-4] not in everything, "but for its edges, which depend on what stands beside it"
    assert SIGNATURE not in site.fleet.outputs()


# Reading such a log


def test_galaxy_logs_answers_soon_at_the_limit(site: Site, app: str) -> None:
    script = f"busybox yes {'0123456789' * 9} | busybox head -n 200000; exit 1"
    ref = site.fleet.deploy(app, site.fleet.bundles.add(script).url)
    site.fleet.wait_until(ref, VersionState.BUILD_FAILED, timeout_s=60)
    took = {}
    for options in (
        (),
        ("-n", "20000"),
        ("--since", "1h"),
        ("--source", "errors"),
        ("--json", "-n", "20000"),
    ):
        began = time.monotonic()
        shown = site.logs(app, *options)
        took[" ".join(options)] = round(time.monotonic() - began, 2)
        assert b"has failed for good" in shown
    began = time.monotonic()
    with subprocess.Popen([GALAXY, "logs", app, "-f"], env=site.env, stdout=subprocess.PIPE) as following:
        assert following.stdout
        assert following.stdout.readline()
        took["-f"] = round(time.monotonic() - began, 2)
        following.terminate()
    logger.info("seconds: %s", took)
    assert max(took.values()) < 10
