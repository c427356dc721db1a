"""docker-compose.yml, as far as a machine without a network can tell."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from galaxy.domain.fleet import WORKER_KINDS, WorkerKind
from stack import processes
from stack.checkout import Checkout, Choices
from tests.conftest import unavailable

ROOT = Path(__file__).resolve().parents[2]
REQUIRED = {
    "REDIS_PASSWORD": "f00d" * 8,
    "REGISTRY_SECRET": "beef" * 8,
    "DOCKER_GID": "999",
    "FLOWER_BASIC_AUTH": "operator:cafe",
}


@pytest.fixture(scope="module")
def compose() -> list[str]:
    for candidate in (["docker-compose"], ["docker", "compose"]):
        if shutil.which(candidate[0]) and succeeds([*candidate, "version"]):
            return candidate
    return unavailable("Neither docker-compose nor Docker's compose plugin is installed")


def succeeds(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def config(compose: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*compose, "-f", str(ROOT / "docker-compose.yml"), "config"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"]} | variables,
    )


@pytest.fixture(scope="module")
def services(compose: list[str]) -> dict[str, Any]:
    done = config(compose, REQUIRED)
    assert done.returncode == 0, done.stderr
    return dict(yaml.safe_load(done.stdout)["services"])


@pytest.mark.parametrize("missing", REQUIRED)
def test_a_missing_variable_is_refused_with_a_word_on_what_to_set(compose: list[str], missing: str) -> None:
    done = config(compose, {name: value for name, value in REQUIRED.items() if name != missing})

    assert done.returncode != 0
    assert f"set {missing}" in done.stderr


def test_every_process_of_the_design_is_there(services: dict[str, Any]) -> None:
    assert set(services) == {"redis", "registry", "build-worker", "control-worker", "beat", "flower"}


def test_every_service_is_started_again_and_has_bounded_logs(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["restart"] == "unless-stopped", name
        assert service["logging"]["options"].keys() >= {"max-size", "max-file"}, name


def test_every_service_that_can_be_asked_has_a_health_check(services: dict[str, Any]) -> None:
    for name in services.keys() - {"beat"}:  # beat answers nobody
        assert services[name]["healthcheck"]["test"], name


def test_only_build_workers_may_use_the_engine(services: dict[str, Any]) -> None:
    users = {name for name, service in services.items() if "docker.sock" in str(service.get("volumes"))}

    assert users == {"build-worker"}


def test_build_containers_have_a_network_of_their_own(services: dict[str, Any]) -> None:
    for name in ("build-worker", "control-worker"):
        assert services[name]["environment"]["GALAXY_BUILD_NETWORK"] == "galaxy-builds", name
    assert all("galaxy-builds" not in str(service.get("networks")) for service in services.values())


def test_redis_keeps_everything_and_can_not_be_reached_from_outside(services: dict[str, Any]) -> None:
    redis = services["redis"]
    told = redis["command"][-1].split("\n")

    assert "ports" not in redis
    assert {"appendonly yes", "maxmemory-policy noeviction"} <= set(told)
    assert any(line.startswith("requirepass $") for line in told)
    assert redis["volumes"]


def test_the_build_worker_can_be_scaled(services: dict[str, Any]) -> None:
    worker = services["build-worker"]

    assert "container_name" not in worker
    assert "ports" not in worker
    assert "hostname" not in worker


@pytest.mark.parametrize("kind", WORKER_KINDS)
def test_every_kind_of_worker_is_started_as_declared(services: dict[str, Any], kind: WorkerKind) -> None:
    service = services[kind.service]

    assert _command(service) == " ".join(kind.command)
    assert f"-d {kind.node}@$$(hostname)" in " ".join(service["healthcheck"]["test"])


def test_every_process_of_the_pipeline_is_a_service_and_a_process_of_the_local_stack(
    services: dict[str, Any],
) -> None:
    pipeline = {process.name for process in processes.pipeline(Checkout(ROOT), Choices())}

    assert {name for name, service in services.items() if "celery" in _command(service)} == pipeline


def test_only_loopback_is_published_unless_the_operator_says_otherwise(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for port in service.get("ports", []):
            published = port if isinstance(port, str) else port.get("host_ip", "")
            assert published.startswith("127.0.0.1"), name


def test_no_password_is_in_the_file() -> None:
    text = (ROOT / "docker-compose.yml").read_text()

    for secret in ("REDIS_PASSWORD", "FLOWER_BASIC_AUTH", "REGISTRY_SECRET"):
        assert f"${{{secret}:?" in text
        assert not re.search(rf"\$\{{{secret}:?-", text)


def _command(service: dict[str, Any]) -> str:
    command = service.get("command", "")
    return command if isinstance(command, str) else " ".join(command)
