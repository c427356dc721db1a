"""Backup and restore by the very commands of docs/operating.md, and what a crash of Redis leaves."""

from __future__ import annotations

import os
import random
import re
import subprocess
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from galaxy.adapters.logs.stream import LogStream
from galaxy.adapters.store.keys import Keys
from galaxy.domain.errors import StoreError
from galaxy.domain.log import LogBlock
from galaxy.domain.models import Attempt, VersionRef
from galaxy.domain.states import VersionState
from tests.support.fleet import ROOT
from tests.support.redis_process import RedisProcess, redis_process
from tests.support.stores import bring_to, claim, deploy, make_store

if TYPE_CHECKING:
    from pathlib import Path

    from redis import Redis

    from tests.support.stores import AllStores

CONFIG = 'appendonly yes\nappendfsync everysec\nmaxmemory-policy noeviction\nsave ""\n'
LOGIN = "worker:CHANGE-ME-worker@"


def documented(name: str) -> str:
    """The commands below `# NAME` in docs/operating.md."""
    text = (ROOT / "docs" / "operating.md").read_text()
    (block,) = re.findall(rf"^( *)```bash\n *# {name}\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    return block[1]


def run(commands: str, cwd: Path, **variables: str) -> None:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=cwd, env={**os.environ, **variables}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout, done.stderr)


def back_up(server: RedisProcess, folder: Path) -> None:
    run(
        documented("back up"), folder, REDIS_HOST="127.0.0.1", REDIS_PORT=str(server.port), REDIS_USER="backup",
        REDISCLI_AUTH="CHANGE-ME-backup",
    )  # fmt: skip


def restored(backup: Path, folder: Path, users: str) -> RedisProcess:
    run(documented("restore"), backup, REDIS_DIR=str(folder))
    return RedisProcess(folder, CONFIG + users)


def deploy_until_it_fails(store: AllStores) -> list[VersionRef]:
    acknowledged = []
    with suppress(StoreError):
        while True:
            acknowledged.append(deploy(store))
    return acknowledged


def logs_of(client: Redis) -> LogStream:
    return LogStream(client, Keys("galaxy"), retention_s=3600, max_bytes=10**6)


@pytest.fixture
def users() -> str:
    return (ROOT / "examples" / "redis" / "users.conf").read_text()


def test_a_restored_backup_has_every_version_lease_and_log_line(tmp_path: Path, users: str) -> None:
    for name in ("old", "new", "backup"):
        (tmp_path / name).mkdir()
    with redis_process(tmp_path / "old", CONFIG + users) as old:
        with old.client(1, LOGIN) as client, old.client(2, LOGIN, text=False) as log_client:
            store = make_store(client, "galaxy")
            refs = {state: bring_to(store, state, f"{state}.example.com") for state in VersionState}
            before = {state: store.version(ref) for state, (ref, _) in refs.items()}
            heartbeats = store.record_heartbeat("beat") or store.heartbeats()["beat"].at_ms
            logs_of(log_client).append("a.example.com", [LogBlock(text="one\ntwo", at_ms=1, version=1)])
        back_up(old, tmp_path / "backup")
        old.kill()
        new = restored(tmp_path / "backup", tmp_path / "new", users)
        new.start()
        try:
            with new.client(1, LOGIN) as client, new.client(2, LOGIN, text=False) as log_client:
                store = make_store(client, "galaxy")
                assert {state: store.version(ref) for state, (ref, _) in refs.items()} == before
                assert store.heartbeats()["beat"].at_ms == heartbeats
                _, attempt = refs[VersionState.BUILDING]
                assert isinstance(attempt, Attempt)
                assert store.renew(attempt) is None, "the lease lives on"
                assert [line.text for line in logs_of(log_client).tail("a.example.com", 9).lines] == [
                    "one",
                    "two",
                ]
                deploy(store, "after.example.com")
            # and it keeps what comes after the restore
            new.kill()
            new.start()
            with new.client(1, LOGIN) as client:
                assert make_store(client, "galaxy").version(VersionRef("after.example.com", 1)).number == 1
        finally:
            new.kill()


def test_an_older_backup_gives_numbers_again_and_its_attempts_are_no_ones(tmp_path: Path, users: str) -> None:
    for name in ("old", "new", "backup"):
        (tmp_path / name).mkdir()
    with redis_process(tmp_path / "old", CONFIG + users) as old:
        with old.client(1, LOGIN) as client:
            first, _ = bring_to(make_store(client, "galaxy"), VersionState.ACTIVE)
        back_up(old, tmp_path / "backup")
        with old.client(1, LOGIN) as client:
            store = make_store(client, "galaxy")
            second = deploy(store, key="release-2")
            attempt = claim(store, second)
    new = restored(tmp_path / "backup", tmp_path / "new", users)
    new.start()
    try:
        with new.client(1, LOGIN) as client:
            store = make_store(client, "galaxy")
            assert store.active_version(first.app) == first.number
            with pytest.raises(StoreError, match="record is gone"):
                store.renew(attempt)
            again = deploy(store, key="release-2")
            assert again == second, "the number is given again"
            assert store.version(again).state is VersionState.QUEUED
    finally:
        new.kill()


@pytest.mark.parametrize("sync", ["always", "everysec"])
def test_a_redis_that_is_killed_between_writes_keeps_what_it_acknowledged(tmp_path: Path, sync: str) -> None:
    """All of it; but on a disk that is too slow for `everysec`, a last part may be gone, and never one in between."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    chance = random.Random(seed)
    with redis_process(tmp_path, CONFIG.replace("everysec", sync)) as server:
        for _ in range(4):
            killer = threading.Timer(chance.uniform(0.02, 0.3), server.kill)
            with server.client(1) as client:
                client.ping()
                store = make_store(client, "galaxy")
                killer.start()
                acknowledged = deploy_until_it_fails(store)
            killer.join()
            server.start()
            with server.client(1) as client:
                kept = make_store(client, "galaxy").versions("www.example.com", 10**5)
            assert acknowledged
            assert [version.number for version in kept] == [*range(len(kept), 0, -1)]
            if sync == "always":
                assert set(acknowledged) <= {version.ref for version in kept}
