"""The `galaxy` command where things around it are not as they should be; only Redis is there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from galaxy.domain.errors import IllegalTransition
from galaxy.domain.states import VersionState
from tests.support.fleet import ROOT, eventually, free_port
from tests.support.redis_process import RedisProcess, redis_process
from tests.support.stores import bring_to, deploy, make_store

if TYPE_CHECKING:
    from collections.abc import Iterator

GALAXY = [sys.executable, "-c", "from galaxy.cli import main; main()"]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    with redis_process(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def env(redis: RedisProcess) -> dict[str, str]:
    """Nobody is at the broker's address."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("GALAXY_")}
    return {
        **outside,
        "GALAXY_BROKER_URL": f"redis://127.0.0.1:{free_port()}/0",
        "GALAXY_STORE_URL": redis.url(1),
        "GALAXY_LOGS_URL": redis.url(2),
    }


def galaxy(env: dict[str, str], *arguments: str, **others: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*GALAXY, *arguments], env={**env, **others}, cwd=ROOT,
        capture_output=True, text=True, check=False, timeout=60, input="{}",
    )  # fmt: skip


DEPLOY = ("deploy", "www.example.com", "--bundle", "https://bundles.example.com/x.tgz", "--settings", "-")


def test_a_broker_that_is_away_is_a_note_and_the_deploy_is_accepted(env: dict[str, str]) -> None:
    done = galaxy(env, *DEPLOY, "--no-wait", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('{"app": "www.example.com"')
    assert "Note: The broker can't be reached" in done.stderr
    assert "[warning" not in done.stdout + done.stderr


def test_a_pipe_whose_reader_has_enough_is_no_error(env: dict[str, str], redis: RedisProcess) -> None:
    with redis.client(1) as client:
        store = make_store(client, "galaxy")
        for number in range(200):
            deploy(store, f"app-{number}.example.com")
    piped = subprocess.Popen(
        [*GALAXY, "apps"], env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert piped.stdout is not None
    piped.stdout.close()
    _, err = piped.communicate(timeout=30)
    assert (piped.returncode, err) == (0, b"")


def test_ctrl_c_before_the_deploy_is_confirmed_says_what_is_not_known(
    env: dict[str, str], tmp_path: Path
) -> None:
    with redis_process(tmp_path) as server, server.frozen():
        urls = {"GALAXY_STORE_URL": server.url(1), "GALAXY_LOGS_URL": server.url(2)}
        waiting = subprocess.Popen(
            [*GALAXY, *DEPLOY], env={**env, **urls}, cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert waiting.stdin is not None
        waiting.stdin.write("{}")
        waiting.stdin.close()
        waiting.stdin = None
        eventually("it waits for an answer", lambda: asks(server.port))
        waiting.send_signal(signal.SIGINT)
        _, err = waiting.communicate(timeout=30)
    assert waiting.returncode == 130, err
    assert "galaxy versions www.example.com" in err
    assert "Aborted" not in err


def asks(port: int) -> bool:
    """Whether somebody has sent something to this port of loopback that was not read."""
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    fields = [line.split() for line in lines]
    return any(
        local.endswith(f":{port:04X}") and not queues.endswith("00000000")
        for _, local, _, _, queues, *_ in fields
    )


@pytest.mark.parametrize("timeout", ["nan", "inf", "-1", "soon"])
def test_a_timeout_that_is_no_time_is_refused(env: dict[str, str], timeout: str) -> None:
    done = galaxy(env, *DEPLOY, f"--timeout={timeout}")
    assert done.returncode == 2
    assert "--timeout" in done.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GALAXY_DEFAULT_BASE_IMAGE", "UPPER/case"),
        ("GALAXY_LEASE_S", "0"),
        ("GALAXY_LEASE_S", "nan"),
        ("GALAXY_BUILD_TIMEOUT_S", "-5"),
        ("GALAXY_STORE_URL", "redis://:pass#word@127.0.0.1/1"),
        ("GALAXY_STORE_URL", "rediss://127.0.0.1/1?ssl_cert_reqs=sometimes"),
    ],
)
def test_a_malformed_setting_is_told_by_its_name_and_without_secrets(
    env: dict[str, str], variable: str, value: str
) -> None:
    done = galaxy(env, *DEPLOY, "--no-wait", **{variable: value})
    assert done.returncode == 2, done.stderr
    assert variable in done.stderr
    assert "word" not in done.stderr.replace("password", "").replace("PASSWORD", "")


def test_what_can_not_be_cancelled_is_told_with_its_name_and_state(
    env: dict[str, str], redis: RedisProcess
) -> None:
    with redis.client(1) as client:
        bring_to(make_store(client, "galaxy"), VersionState.ACTIVE, "active.example.com")
    done = galaxy(env, "cancel", "active.example.com", "1")
    assert done.returncode == 2
    assert "Version 1 of active.example.com is active and can't be cancelled." in done.stderr
    assert IllegalTransition.__name__ not in done.stderr


def test_a_store_that_is_away_is_told_in_plain_sentences(env: dict[str, str]) -> None:
    done = galaxy(env, "apps", GALAXY_STORE_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert done.returncode == 3
    assert ".." not in done.stderr
    assert "Check GALAXY_STORE_URL" in done.stderr
