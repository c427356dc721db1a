"""The `galaxy` command where things around it are not as they should be; only Redis is there."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from galaxy.adapters.store.keys import Keys
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


def galaxy(
    env: dict[str, str], *arguments: str, stdin: str = "{}", **others: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*GALAXY, *arguments], env={**env, **others}, cwd=ROOT,
        capture_output=True, text=True, check=False, timeout=60, input=stdin,
    )  # fmt: skip


def recorded_url(redis: RedisProcess, app: str, number: int = 1) -> str | None:
    with redis.client(1) as client:
        return cast("str | None", client.hget(Keys("galaxy").version(app, number), "bundle_url"))


@pytest.fixture
def settings(tmp_path: Path) -> str:
    path = tmp_path / "settings.json"
    path.write_text("{}")
    return str(path)


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


def test_an_error_that_nobody_reads_keeps_its_exit_code(env: dict[str, str]) -> None:
    unread, write = os.pipe()
    os.close(unread)
    ended = subprocess.run([*GALAXY, "nonsense"], env=env, cwd=ROOT, stderr=write, check=False, timeout=60)
    os.close(write)
    assert ended.returncode == 2


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


SECRET_URL = "https://bundles.example.com/x.tgz?signature=secret"


def test_the_bundle_url_is_read_from_stdin(env: dict[str, str], redis: RedisProcess, settings: str) -> None:
    app = "stdin.example.com"
    arguments = ("deploy", app, "--bundle", "-", "--settings", settings, "--no-wait")
    done = galaxy(env, *arguments, stdin=f"{SECRET_URL}\n")
    assert done.returncode == 0, done.stderr
    assert recorded_url(redis, app) == SECRET_URL
    assert "secret" not in done.stdout + done.stderr


def test_the_bundle_url_is_taken_from_the_environment(env: dict[str, str], redis: RedisProcess) -> None:
    app = "environment.example.com"
    arguments = ("deploy", app, "--settings", "-", "--no-wait")
    done = galaxy(env, *arguments, GALAXY_BUNDLE_URL=SECRET_URL)
    assert done.returncode == 0, done.stderr
    assert recorded_url(redis, app) == SECRET_URL
    given = galaxy(env, *arguments, "--bundle", "https://bundles.example.com/y", GALAXY_BUNDLE_URL=SECRET_URL)
    assert given.returncode == 0, given.stderr
    assert recorded_url(redis, app, 2) == "https://bundles.example.com/y"


def test_stdin_can_not_be_the_bundle_url_and_the_settings(env: dict[str, str]) -> None:
    done = galaxy(env, "deploy", "both.example.com", "--bundle", "-", "--settings", "-", stdin=SECRET_URL)
    assert done.returncode == 2
    assert done.stderr.startswith("galaxy: --bundle - and --settings - both read stdin.")
    assert galaxy(env, "versions", "both.example.com").returncode == 2


@pytest.mark.parametrize("given", ["", "not a URL", "\udcff"])
def test_what_stdin_holds_instead_of_a_bundle_url_is_refused(
    env: dict[str, str], settings: str, given: str
) -> None:
    arguments = [*GALAXY, "deploy", "wrong.example.com", "--bundle", "-", "--settings", settings]
    done = subprocess.run(
        arguments, env=env, cwd=ROOT, capture_output=True, check=False, timeout=60,
        input=given.encode(errors="surrogateescape"),
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(b"galaxy: bundle_url: ")


def test_a_bundle_on_localhost_is_warned_about_at_once_and_in_the_log(env: dict[str, str]) -> None:
    app = "localhost.example.com"
    told = "names localhost, which inside the build container is the container itself"
    arguments = ("deploy", app, "--settings", "-", "--bundle", "http://localhost:8000/x", "--no-wait")
    done = galaxy(env, *arguments)
    assert done.returncode == 0
    assert f"Warning: The bundle's URL {told}" in done.stderr
    assert told in galaxy(env, "logs", app).stdout


def test_a_deploy_that_no_build_worker_takes_says_so_until_it_times_out(
    env: dict[str, str], redis: RedisProcess
) -> None:
    arguments = ("deploy", "nobody.example.com", "--settings", "-", "--bundle", SECRET_URL, "--timeout", "8")
    done = galaxy(env, *arguments, GALAXY_BROKER_URL=redis.url(0))
    assert done.returncode == 4
    assert done.stderr.count("Version 1 waits: no build worker answers.") == 1
    assert "galaxy: Timed out waiting; version 1 of nobody.example.com is queued and goes on." in done.stderr
    assert "galaxy logs nobody.example.com -f --version 1" in done.stderr


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (VersionState.ACTIVE, 0),
        (VersionState.RETIRED, 0),
        (VersionState.BUILD_FAILED, 1),
        (VersionState.CANCELLED, 1),
        (VersionState.SUPERSEDED, 1),
    ],
)
def test_following_the_log_of_a_final_version_ends_with_deploys_exit_codes(
    env: dict[str, str], redis: RedisProcess, state: VersionState, code: int
) -> None:
    app = f"final-{state.replace('_', '-')}.example.com"
    with redis.client(1) as client:
        bring_to(make_store(client, "galaxy"), state, app)
    done = galaxy(env, "logs", app, "-f", "--version", "1")
    assert done.returncode == code, done.stderr
    assert "ada deployed version 1" in done.stdout
    assert done.stdout.count("ada deployed version 1") == 1
    assert done.stderr == ""


@contextmanager
def following(env: dict[str, str], app: str) -> Iterator[subprocess.Popen[str]]:
    """Follows version 1 of the app, and has shown its first line."""
    deploy = ("deploy", app, "--settings", "-", "--bundle", SECRET_URL, "--by", "ada", "--no-wait")
    assert galaxy(env, *deploy).returncode == 0
    follower = subprocess.Popen(
        [*GALAXY, "logs", app, "-f", "--version", "1"], env=env, cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with follower:
        assert follower.stdout is not None
        assert "ada deployed version 1" in follower.stdout.readline()
        yield follower
        follower.kill()


def test_following_a_version_ends_when_it_becomes_final(env: dict[str, str]) -> None:
    with following(env, "followed.example.com") as follower:
        assert galaxy(env, "cancel", "followed.example.com", "1", "--by", "bob").returncode == 0
        out, err = follower.communicate(timeout=30)
    assert follower.returncode == 1, err
    assert "Version 1 is cancelled. Cancelled by bob." in out


def test_following_a_version_for_too_long_times_out(env: dict[str, str], redis: RedisProcess) -> None:
    with redis.client(1) as client:
        bring_to(make_store(client, "galaxy"), VersionState.BUILDING, "late.example.com")
    late = galaxy(env, "logs", "late.example.com", "-f", "--version", "1", "--timeout", "0.5")
    assert late.returncode == 4
    assert late.stderr.startswith("galaxy: Timed out waiting; version 1 of late.example.com is building and")


def test_ctrl_c_of_a_follower_says_how_to_attach_again(env: dict[str, str]) -> None:
    with following(env, "detached.example.com") as follower:
        follower.send_signal(signal.SIGINT)
        _, err = follower.communicate(timeout=30)
    assert follower.returncode == 130
    assert "galaxy logs detached.example.com -f --version 1" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("cancel", "nothing.example.com", "1"),
        ("show", "nothing.example.com", "1"),
        ("logs", "nothing.example.com", "--version", "1"),
        ("activity", "nothing.example.com"),
        ("base-images", "updates", "nothing.example.com"),
    ],
)
def test_an_app_that_does_not_exist_is_said_not_to(env: dict[str, str], arguments: tuple[str, ...]) -> None:
    done = galaxy(env, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "galaxy: There is no app nothing.example.com. `galaxy apps` lists all apps;"
    )


def test_a_deploy_without_any_name_of_a_user_is_one_by_its_login(env: dict[str, str]) -> None:
    nameless = {name: it for name, it in env.items() if name not in {"USER", "LOGNAME", "LNAME", "USERNAME"}}
    arguments = ("deploy", "login.example.com", "--settings", "-", "--bundle", SECRET_URL, "--no-wait")
    assert galaxy(nameless, *arguments).returncode == 0
    (version,) = galaxy(nameless, "versions", "login.example.com", "--json").stdout.splitlines()
    assert json.loads(version)["deployed_by"] == pwd.getpwuid(os.getuid()).pw_name


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
