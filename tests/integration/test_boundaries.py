"""What must not cross: the worker's environment into builds, and code into workers by a message."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from kombu import Connection
from kombu import Queue as DeclaredQueue
from redis import Redis

from galaxy.adapters.logs.stream import LogStream
from galaxy.adapters.store.keys import Keys
from galaxy.domain.fleet import Queue
from galaxy.domain.models import VersionRef
from galaxy.domain.states import VersionState
from tests.support.fleet import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fleet import Fleet


def test_nothing_of_the_workers_environment_reaches_setup(own_fleet: Fleet, app: str, tmp_path: Path) -> None:
    proxies = {"httpProxy": "http://user:proxy-secret@proxy.example.com:3128"}
    (tmp_path / "config.json").write_text(json.dumps({"proxies": {"default": proxies}}))
    own_fleet.env |= {
        "DOCKER_CONFIG": str(tmp_path),
        "AWS_SECRET_ACCESS_KEY": "worker-secret",
        "HTTPS_PROXY": "http://user:proxy-secret@proxy.example.com:3128",
        "NO_PROXY": "*",
    }
    own_fleet.start(slots=1)
    bundle = own_fleet.bundles.add("cat /proc/self/environ | busybox tr '\\0' '\\n'")
    ref = own_fleet.deploy(app, bundle.url)
    assert own_fleet.wait_until_final(ref).state is VersionState.ACTIVE
    seen = variables(own_fleet, app)
    assert "PATH" in seen
    assert seen <= {"PATH", "HOSTNAME", "HOME", "PWD", "OLDPWD", "SHLVL", "_"}


def variables(fleet: Fleet, app: str) -> set[str]:
    """Names of the environment that setup.sh printed."""
    with Redis.from_url(fleet.redis.url(fleet.logs_db)) as client:
        lines = LogStream(client, Keys("galaxy"), retention_s=3600, max_bytes=10**7).tail(app, 1000).lines
    return {line.text.partition("=")[0] for line in lines if "=" in line.text and " " not in line.text}


class _Harmful:
    """Whoever unpickles it makes a file."""

    def __init__(self, file: str) -> None:
        self._file = file

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.mkfifo, (self._file, 0o600)


@pytest.mark.parametrize("serializer", ["pickle", "yaml"])
def test_a_message_that_is_not_json_is_dropped_with_a_line_and_the_worker_lives(
    fleet: Fleet, app: str, tmp_path: Path, serializer: str
) -> None:
    harmful = tmp_path / "harmed"
    body = [[], {"app": app, "secret": "in-the-message"}, {}]
    before = fleet.outputs().count("was dropped")
    with Connection(fleet.broker_url) as connection, connection.Producer() as producer:
        producer.publish(
            _Harmful(str(harmful)) if serializer == "pickle" else body,
            serializer=serializer,
            routing_key=Queue.CONTROL,
            declare=[DeclaredQueue(Queue.CONTROL)],
            headers={"task": "tasks.deploy", "id": f"harm-{app}", "lang": "py"},
        )
    eventually("the line", lambda: fleet.outputs().count("was dropped") == before + 1)
    assert not harmful.exists()
    assert "in-the-message" not in fleet.outputs()
    assert fleet.deploy(app, fleet.bundles.add().url) == VersionRef(app, 1)
