"""`galaxy doctor` against services that are really there, really wrong, or really away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from galaxy.adapters.redis_probe import look_at_redis
from galaxy.adapters.store.keys import Keys
from galaxy.bootstrap import Pipeline
from galaxy.domain.diagnosis.finding import Finding, Severity
from galaxy.domain.diagnosis.redis import Role, judge_redis
from galaxy.settings import Settings
from tests.support.fleet import ROOT, free_port
from tests.support.redis_process import RedisProcess, redis_process
from tests.support.stores import claim, deploy, make_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.docker_registry import DockerRegistry
    from tests.support.fleet import Fleet

GOOD = "appendonly yes\nmaxmemory-policy noeviction\n"


@pytest.fixture(scope="module")
def good_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    with redis_process(tmp_path_factory.mktemp("good-redis"), GOOD) as server:
        yield server


def judged(url: str, role: Role = Role.STORE) -> list[Finding]:
    return list(judge_redis([look_at_redis(role, url, timeout_s=1)], message_expires_s=60))


def told(findings: list[Finding], level: Severity = Severity.PROBLEM) -> str:
    return "\n".join(finding.found for finding in findings if finding.level is level)


def test_a_well_configured_redis_is_fine(good_redis: RedisProcess) -> None:
    (finding,) = judged(good_redis.url(1))
    assert finding.level is Severity.OK
    assert "AOF everysec" in finding.found


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ("appendonly yes\nmaxmemory-policy allkeys-lru\n", "maxmemory-policy is allkeys-lru"),
        ("maxmemory-policy noeviction\n", "appendonly is off"),
        (f"{GOOD}replicaof 127.0.0.1 1\n", "It is a replica"),
        (f"{GOOD}maxmemory 1000kb\n", "of maxmemory"),
        (f"{GOOD}requirepass right\n", "refuses the login"),
        # its second port is 10,000 above the first unless it is told, and may then be none
        pytest.param(
            f"{GOOD}cluster-enabled yes\ncluster-port {free_port()}\n", "It is a cluster", id="cluster"
        ),
    ],
)
def test_a_redis_that_loses_or_refuses_is_a_problem(tmp_path: Path, config: str, problem: str) -> None:
    with redis_process(tmp_path, config) as server:
        assert problem in told(judged(server.url()))


def test_a_user_who_may_not_look_is_told_what_can_not_be_told(tmp_path: Path) -> None:
    users = "user default off\nuser worker on >pw ~* &* +@all -info -config\nuser blind on >pw ~* -@all\n"
    with redis_process(tmp_path, GOOD + users) as server:
        findings = judged(server.url(login="worker:pw@"))
        assert "may not run INFO and CONFIG" in told(findings, Severity.WARNING)
        assert told(findings) == ""
        assert "may not run PING and TIME and INFO" in told(
            judged(server.url(login="blind:pw@")), Severity.WARNING
        )
        wrong = judged(server.url(login="worker:wrong@"))
        assert wrong[0].unreachable
        assert "refuses the login" in wrong[0].found
        assert "wrong" not in told(wrong)


def test_a_failed_snapshot_is_told(tmp_path: Path) -> None:
    with (
        redis_process(tmp_path, GOOD + "enable-protected-configs yes\n") as server,
        server.client() as client,
    ):
        client.config_set("dbfilename", "no.rdb")
        (tmp_path / "no.rdb").mkdir()
        (tmp_path / "no.rdb" / "in-the-way").touch()
        client.bgsave()
        deadline = time.monotonic() + 10
        while client.info("persistence")["rdb_bgsave_in_progress"] and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "last snapshot failed" in told(judged(server.url()))


def test_a_frozen_redis_is_given_up_soon(tmp_path: Path) -> None:
    with redis_process(tmp_path, GOOD) as server, server.frozen():
        began = time.monotonic()
        (finding,) = judged(server.url())
        assert time.monotonic() - began < 5
    assert finding.unreachable
    assert "does not answer within 1 s" in finding.found


def test_a_redis_that_is_away_or_addressed_wrongly_is_unreachable() -> None:
    assert judged(f"redis://127.0.0.1:{free_port()}/0")[0].unreachable
    (malformed,) = judged("redis://127.0.0.1:notaport/0")
    assert (malformed.unreachable, malformed.found) == (True, "GALAXY_STORE_URL is malformed.")


# -- the whole command


def environment(redis: RedisProcess, registry: str, **others: str) -> dict[str, str]:
    outside = {
        name: value for name, value in os.environ.items() if not name.startswith(("GALAXY_", "DOCKER_"))
    }
    urls = {
        f"GALAXY_{role.upper()}_URL": redis.url(database)
        for database, role in enumerate((Role.BROKER, Role.STORE, Role.LOGS))
    }
    return {
        **outside, **urls, "GALAXY_REGISTRY": registry, "GALAXY_DOCKER_HUB_MIRROR": f"http://{registry}", **others,
    }  # fmt: skip


def galaxy_doctor(env: dict[str, str]) -> tuple[int, list[dict[str, Any]], str]:
    done = subprocess.run(
        [sys.executable, "-c", "from galaxy.cli import main; main()", "doctor", "--json"],
        env=env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_with_everything_away_it_tells_all_of_it_within_15_seconds(tmp_path: Path) -> None:
    with redis_process(tmp_path, GOOD) as server, server.frozen():
        env = environment(server, f"127.0.0.1:{free_port()}", DOCKER_HOST=f"tcp://127.0.0.1:{free_port()}")
        began = time.monotonic()
        code, findings, err = galaxy_doctor(env)
        assert time.monotonic() - began < 15
    assert code == 3, err
    away = {finding["subject"] for finding in findings if finding["unreachable"]}
    assert away >= {"redis: broker", "redis: store", "redis: logs", "engine", "base images", "workers"}
    assert all(finding["advice"] for finding in findings if finding["level"] != "ok")


def test_a_pipeline_without_workers_and_beat_is_a_problem_and_not_unreachable(
    good_redis: RedisProcess, app_registry: DockerRegistry
) -> None:
    with good_redis.client(1) as client:
        client.flushdb()
        store = make_store(client, "galaxy", lease_s=0)
        waiting, lost = deploy(store, "waits.example.com"), deploy(store, "lost.example.com")
        claim(store, lost)
        hour_ms = 3600 * 1000
        client.hincrby(Keys("galaxy").version(*waiting), "created_at", -hour_ms)
        client.hincrby(Keys("galaxy").version(*lost), "lease_until", -hour_ms)
    with good_redis.client(0) as client:
        client.flushdb()
        client.rpush("builds", *["a message"] * 1500)
    app_registry.publish_image("meteor/galaxy-app", "latest", b"{}")
    code, findings, err = galaxy_doctor(environment(good_redis, app_registry.authority))
    assert code == 1, (findings, err)
    problems = "\n".join(finding["found"] for finding in findings if finding["level"] == "problem")
    assert "No worker serves builds, builds.bulk" in problems
    assert "No worker serves reconcile, control" in problems
    assert "1500 messages in builds, and no worker serves it." in problems
    assert "version 1 of waits.example.com. No build worker answers." in problems
    assert "1 attempt of lost workers not ended: version 1 of lost.example.com." in problems
    assert "The leading beat has not been seen" in problems
    by_subject = {finding["subject"]: finding for finding in findings}
    assert by_subject["base images"]["level"] == "ok"
    assert by_subject["redis"]["level"] == "ok"


@pytest.mark.usefixtures("docker_api")
def test_an_open_network_of_build_containers_is_a_problem(
    good_redis: RedisProcess, app_registry: DockerRegistry
) -> None:
    engine = {name: value for name, value in os.environ.items() if name.startswith("DOCKER_")}
    env = environment(good_redis, app_registry.authority, GALAXY_BUILD_NETWORK="bridge", **engine)
    code, findings, err = galaxy_doctor(env)
    assert code == 1, (findings, err)
    (network,) = [each for each in findings if "own network bridge" in each["found"]]
    assert (network["subject"], network["level"]) == ("engine", "problem")


def test_a_running_fleet_is_found_by_name_and_a_stalled_beat_by_its_age(fleet: Fleet) -> None:
    with pytest.MonkeyPatch.context() as environ:
        for name, value in fleet.env.items():
            environ.setenv(name, value)
        here = Pipeline(Settings())
        here.heartbeats.record_heartbeat("reconcile")
        findings = list(here.doctor.examine())
        of_workers = "\n".join(each.found for each in findings if each.subject == "workers")
        assert "build@fleet answers: 2 slots for builds, builds.bulk." in of_workers
        assert "control@fleet answers" in of_workers
        assert "other code" not in of_workers
        assert "other settings" not in of_workers
        assert not any(each.unreachable for each in findings if each.subject.startswith("redis"))

        environ.setenv("GALAXY_LEASE_S", "17")
        other = list(Pipeline(Settings()).doctor.examine())
        differing = [each.found for each in other if "other settings" in each.found]
        assert any("GALAXY_LEASE_S is 2.0 there and 17.0 here" in found for found in differing)
        assert fleet.redis.password not in "".join(each.model_dump_json() for each in [*findings, *other])


def test_people_read_an_aligned_page_without_colours_in_a_pipe(
    good_redis: RedisProcess, app_registry: DockerRegistry
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from galaxy.cli import main; main()", "doctor"],
        env=environment(good_redis, app_registry.authority, GALAXY_LEASES="5"),
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert lines[0] == "warning  settings       GALAXY_LEASES is no setting and has no effect."
    assert lines[1] == f"{'':24}-> Did you mean GALAXY_LEASE_S?"
    assert "\x1b" not in done.stdout
    assert "problems, " in done.stderr
