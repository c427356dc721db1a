"""The example configuration of Redis, users and TLS and all, with a whole fleet on it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from galaxy.domain.states import VersionState
from tests.support.certificates import Certificates, make_certificates
from tests.support.fleet import BARE_CLIENT, ROOT, Fleet, Flower, eventually
from tests.support.redis_process import RedisProcess, redis_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.fleet import Around

EXAMPLES = ROOT / "examples" / "redis"


class SecureRedis:
    """A Redis with the example's users behind TLS, as one of its users sees it."""

    def __init__(self, server: RedisProcess, certificates: Certificates, user: str) -> None:
        self._server = server
        self._certificates = certificates
        self.user = user
        self.password = password_of(user)

    def url(self, database: int) -> str:
        query = {
            "ssl_ca_certs": self._certificates.ca,
            "ssl_certfile": self._certificates.client,
            "ssl_keyfile": self._certificates.client_key,
            "ssl_cert_reqs": "required",
        }
        return f"rediss://{self.user}:{self.password}@{self._server.address}/{database}?{urlencode(query)}"

    def as_(self, user: str) -> SecureRedis:
        return SecureRedis(self._server, self._certificates, user)

    @contextmanager
    def client(self, database: int) -> Iterator[Redis]:
        with Redis.from_url(self.url(database), decode_responses=True) as client:
            yield client


def password_of(user: str) -> str:
    return f"secret-of-{user}"


@pytest.fixture(scope="module")
def secure_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureRedis]:
    folder = tmp_path_factory.mktemp("secure-redis")
    certificates = make_certificates(folder)
    users = (EXAMPLES / "users.conf").read_text().replace("CHANGE-ME-", "secret-of-")
    (folder / "users.conf").write_text(users)
    config = (EXAMPLES / "redis.conf").read_text().replace("/etc/redis/tls", str(folder))
    config = config.replace("/etc/redis", str(folder)).replace("/var/lib/redis", str(folder))
    config = config.replace("tls-port 6379", "tls-port @PORT@")
    with redis_process(folder, config) as server:
        yield SecureRedis(server, certificates, "worker")


@pytest.fixture(scope="module")
def secure_fleet(
    around_fleets: Around, secure_redis: SecureRedis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    """Workers as `worker`, beat as `beat`."""
    around = around_fleets._replace(redis=secure_redis)
    fleet = Fleet(around, tmp_path_factory.mktemp("secure-fleet"), 0)
    try:
        fleet.celery("beat", "beat", "-l", "info", env=addressed(fleet, secure_redis.as_("beat")))
        fleet.start(beat=False)
        yield fleet
    finally:
        fleet.stop()


def addressed(fleet: Fleet, redis: SecureRedis) -> dict[str, str]:
    databases = {"BROKER": fleet.broker_db, "STORE": fleet.store_db, "LOGS": fleet.logs_db}
    return {f"GALAXY_{role}_URL": redis.url(database) for role, database in databases.items()}


def deploy_as_backend(fleet: Fleet, redis: SecureRedis, app: str, url: str) -> dict[str, Any]:
    call = {"task": "tasks.deploy", "kwargs": {"app": app, "settings": {}, "bundle_url": url}}
    asked = json.dumps({"url": redis.url(fleet.broker_db), "events": False, "calls": [call]})
    done = subprocess.run(
        [sys.executable, str(BARE_CLIENT)],
        input=asked, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (answer,) = json.loads(done.stdout)
    return dict(answer)


def galaxy(fleet: Fleet, redis: SecureRedis, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from galaxy.cli import main; main()", *arguments],
        env={"PATH": "/usr/bin:/bin", **fleet.env, **addressed(fleet, redis)}, cwd=ROOT,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_a_deploy_is_built_and_read_with_each_user_doing_its_own_part(
    secure_fleet: Fleet, secure_redis: SecureRedis, app: str
) -> None:
    bundle = secure_fleet.bundles.add("echo built behind TLS")
    answer = deploy_as_backend(secure_fleet, secure_redis.as_("backend"), app, bundle.url)
    assert answer["result"] == {"app": app, "version": 1}, answer

    version = eventually(
        "the version is active",
        lambda: next(
            (it for it in secure_fleet.store.versions(app) if it.state is VersionState.ACTIVE), None
        ),
    )
    assert version.attempt == 1
    reader = secure_redis.as_("reader")
    log = galaxy(secure_fleet, reader, "logs", app)
    assert log.returncode == 0, log.stderr
    assert "built behind TLS" in log.stdout
    assert galaxy(secure_fleet, reader, "versions", app).returncode == 0
    eventually(
        "beat's messages were taken", lambda: secure_fleet.store.heartbeats().keys() >= {"reconcile", "poll"}
    )
    doctor = galaxy(secure_fleet, reader, "doctor", "--json")
    findings = [json.loads(line) for line in doctor.stdout.splitlines()]
    assert [finding for finding in findings if finding["unreachable"]] == []
    of_redis = [finding for finding in findings if finding["subject"].startswith("redis")]
    assert [finding["level"] for finding in of_redis] == ["ok"], of_redis
    assert "TLS" in of_redis[0]["found"]
    assert "build@fleet answers" in doctor.stdout
    assert "secret-of" not in doctor.stdout + log.stdout + secure_fleet.outputs()


def test_a_person_deploys_and_cancels_as_the_workers_user(
    secure_fleet: Fleet, secure_redis: SecureRedis, app: str, tmp_path: Path
) -> None:
    (tmp_path / "settings.json").write_text("{}")
    bundle = secure_fleet.bundles.add("true")
    arguments = ["deploy", app, "--bundle", bundle.url, "--settings", str(tmp_path / "settings.json")]
    done = galaxy(secure_fleet, secure_redis, *arguments)
    assert done.returncode == 0, done.stderr
    refused = galaxy(secure_fleet, secure_redis.as_("reader"), *arguments)
    assert refused.returncode == 3
    assert "does not permit this to the user in GALAXY_STORE_URL" in refused.stderr


def test_flower_shows_the_broker_behind_tls(secure_fleet: Fleet) -> None:
    flower = Flower(secure_fleet)
    try:
        queues = json.loads(flower.get("/api/queues/length"))["active_queues"]
        assert {queue["name"] for queue in queues} >= {"builds", "control"}
    finally:
        flower.close()


@pytest.mark.parametrize(
    ("user", "command"),
    [
        ("backend", ("LRANGE", "control", "0", "-1")),  # others' settings and bundle URLs
        ("backend", ("RPOP", "control")),
        ("backend", ("LPUSH", "builds", "x")),
        ("backend", ("LPUSH", "reconcile", "x")),
        ("backend", ("HGETALL", "galaxy:version:www.example.com:1")),
        ("backend", ("KEYS", "*")),
        ("backend", ("PSUBSCRIBE", "*")),
        ("backend", ("CONFIG", "GET", "requirepass")),
        ("backend", ("EVAL", "return 1", "0")),
        ("beat", ("LRANGE", "reconcile", "0", "-1")),
        ("beat", ("LPUSH", "control", "x")),
        ("beat", ("HGETALL", "galaxy:version:www.example.com:1")),
        ("beat", ("LPUSH", "builds", "x")),
        ("reader", ("HSET", "galaxy:app:www.example.com", "active", "1")),
        ("reader", ("EVAL", "redis.call('SET', 'galaxy:x', 1)", "0")),
        ("reader", ("LPUSH", "control", "x")),
        ("reader", ("FLUSHALL",)),
        ("worker", ("FLUSHALL",)),
        ("worker", ("CONFIG", "SET", "appendonly", "no")),
        ("worker", ("ACL", "LIST")),
    ],
)
def test_nobody_may_do_more_than_its_part(
    secure_redis: SecureRedis, user: str, command: tuple[str, ...]
) -> None:
    with (
        secure_redis.as_(user).client(0) as client,
        pytest.raises(ResponseError, match=r"permission|NOPERM|can't (run|access)"),
    ):
        client.execute_command(*command)


def test_without_a_certificate_nobody_gets_in(secure_redis: SecureRedis) -> None:
    without = re.sub(r"ssl_(certfile|keyfile)=[^&]*&", "", secure_redis.url(0))
    with Redis.from_url(without) as client, pytest.raises(RedisConnectionError):
        client.ping()


def test_nobody_gets_in_without_a_name(secure_redis: SecureRedis) -> None:
    nameless = secure_redis.url(0).replace(f"{secure_redis.user}:{secure_redis.password}@", "")
    with Redis.from_url(nameless) as client, pytest.raises(RedisConnectionError, match="authenticated"):
        client.ping()
