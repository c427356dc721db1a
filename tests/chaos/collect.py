"""Gathers what a run left behind: from the store, the logs, the engine, the registry and the processes' output."""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
from datetime import datetime
from typing import TYPE_CHECKING, Final

import requests

from galaxy.domain.fleet import Queue
from galaxy.domain.models import VersionRef
from galaxy.domain.names import app_image
from tests.chaos.facts import Began, Facts, Pushed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from galaxy.domain.models import Version
    from tests.chaos.facts import FaultRecord
    from tests.chaos.world import World

#: In the other one, beat goes on with its own work.
_QUEUES: Final = tuple(queue for queue in Queue if queue != Queue.RECONCILE)
_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
_BEGAN: Final = re.compile(r"^(\S+) .*attempt\.began\s")
_FIELD: Final = re.compile(r"\b(app|version|attempt|pid)=(\S+)")


def collect(world: World, faults: Sequence[FaultRecord]) -> Facts:
    """Everything that the checks want to know."""
    store, traffic = world.pipeline.store, world.traffic
    apps = store.apps()
    versions = {version.ref: version for app in apps for version in store.versions(app, limit=10_000)}
    pushed, configs = _images(world, versions)
    deployed = traffic.deployed()
    outputs = world.crew.outputs()
    logs = {
        app: tuple(line for page in world.pipeline.logs.pages(app) for line in page.lines) for app in apps
    }
    return Facts(
        timing=world.timing,
        deployed=deployed,
        versions=versions,
        active={app: store.active_version(app) for app in apps},
        activity={app: tuple(store.activity(app, limit=10_000)) for app in apps},
        logs=logs,
        runs=world.bundles.runs(world.name, traffic.refs()),
        pushed=pushed,
        began=tuple(_began(outputs)),
        faults=tuple(faults),
        leases=_leases(world, versions),
        waiting=waiting(world),
        left=(*leftovers(world), *world.crew.orphans()),
        texts={
            **outputs,
            "log lines": "\n".join(line.text for lines in logs.values() for line in lines),
            **_everything_written(world),
            "image configs": configs,
        },
        secrets=world.bundles.secrets(),
        accidents=tuple(world.crew.accidents),
    )


def waiting(world: World) -> dict[str, int]:
    """What is queued or due, by where."""
    with world.redis.client(world.broker_db) as broker:
        found = {f"queue {queue}": int(broker.llen(queue)) for queue in _QUEUES}
    with world.redis.client(world.store_db) as store:
        keys = world.pipeline.keys
        found["due"] = int(store.zcard(keys.due()))
        found["sentences for the logs of apps"] = int(store.scard(keys.outbox_apps()))
    return found


def leftovers(world: World) -> tuple[str, ...]:
    """What is on the engine and belongs to no version. On the machine's engine, only what is named after the run."""
    api, own = world.docker, world.own_engine is not None
    left = [
        f"container {container['Names'][0]}"
        for container in api.containers(all=True, filters={} if own else {"name": world.name})
    ]
    left += [
        f"volume {volume['Name']}"
        for volume in api.volumes(filters={} if own else {"name": world.name})["Volumes"] or ()
    ]
    left += [f"image {name}" for name in _dead_images(world)]
    if own:
        left += [
            f"network {network['Name']}"
            for network in api.networks()
            if network["Name"] not in {"bridge", "host", "none"}
        ]
    return tuple(left)


def _dead_images(world: World) -> Iterator[str]:
    """Images that are neither the base image nor a version's."""
    registry = world.registry.registry.authority
    for image in world.docker.images():
        if image["Id"] in world.base_images:
            continue
        names = {*(image["RepoTags"] or ()), *(image["RepoDigests"] or ())} - {
            "<none>:<none>",
            "<none>@<none>",
        }
        ours = any(name.startswith(f"{registry}/") for name in names)
        # a version's image has one tag, of digits; what else an attempt tagged goes with the attempt
        tags = [tag.rpartition(":")[2] for tag in image["RepoTags"] or () if tag in names]
        wanted = _is_wanted(world, names) and all(tag.isdecimal() for tag in tags)
        if (not names and world.own_engine) or (ours and not wanted):
            yield f"{image['Id'][7:19]} {' '.join(sorted(names))}"


def _is_wanted(world: World, names: set[str]) -> bool:
    digests = {name.rpartition("@")[2] for name in names if "@" in name}
    recorded = {
        version.image_digest
        for app in world.pipeline.store.apps()
        for version in world.pipeline.store.versions(app, limit=10_000)
    }
    return bool(digests & recorded)


def _leases(world: World, versions: dict[VersionRef, Version]) -> tuple[VersionRef, ...]:
    with world.redis.client(world.store_db) as store:
        return tuple(
            ref for ref in versions if store.hexists(world.pipeline.keys.version(*ref), "lease_until")
        )


def _began(outputs: dict[str, str]) -> Iterator[Began]:
    for member, output in outputs.items():
        for line in output.splitlines():
            if found := _BEGAN.match(line):
                fields = dict(_FIELD.findall(line))
                ref = VersionRef(fields["app"], int(fields["version"]))
                at = datetime.fromisoformat(found[1]).timestamp()
                yield Began(ref, int(fields["attempt"]), at, member, int(fields["pid"]))


def _images(world: World, versions: dict[VersionRef, Version]) -> tuple[dict[VersionRef, Pushed], str]:
    """What the registry has for each version with an image, and the text of all configs."""
    found: dict[VersionRef, Pushed] = {}
    configs: list[str] = []
    for ref, version in versions.items():
        if version.image_digest is None:
            continue
        repository = app_image(world.settings.registry, ref)[0].partition("/")[2]
        base = f"{world.registry.registry.url}/v2/{repository}"
        tag = _get(f"{base}/manifests/{ref.number}").headers.get("Docker-Content-Digest", "")
        answer = _get(f"{base}/manifests/{version.image_digest}")
        if not answer.ok:
            found[ref] = Pushed(tag, recorded=False, run=None, labels={})
            continue
        manifest = answer.json()
        config = _get(f"{base}/blobs/{manifest['config']['digest']}").text
        configs.append(config)
        layer = _get(f"{base}/blobs/{manifest['layers'][-1]['digest']}").content
        labels = json.loads(config)["config"].get("Labels") or {}
        found[ref] = Pushed(tag, recorded=True, run=_run_of(layer), labels=labels)
    return found, "\n".join(configs)


def _get(url: str) -> requests.Response:
    return requests.get(url, headers={"Accept": _MANIFEST}, timeout=10)


def _run_of(layer: bytes) -> int | None:
    """The number that the script wrote into its image."""
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(layer))) as archive:
        for member in archive:
            if member.name == "app/run" and (content := archive.extractfile(member)):
                return int(content.read())
    return None


def _everything_written(world: World) -> dict[str, str]:
    """All that was ever written to the broker and to the logs: Redis keeps each command in its append-only file."""
    written: dict[int, list[str]] = {}
    for path in sorted((world.folder / "redis").rglob("*.aof")):
        database = 0
        for command in _commands(path):
            if command[0].upper() == b"SELECT":
                database = int(command[1])
            written.setdefault(database, []).append(b" ".join(command).decode(errors="replace"))
    return {
        "messages and results": "\n".join(written.get(world.broker_db, [])),
        "logs as they are kept": "\n".join(written.get(world.logs_db, [])),
    }


def _commands(path: Path) -> Iterator[list[bytes]]:
    """The commands in an append-only file (RESP arrays of bulk strings), but for one that is not complete."""
    with path.open("rb") as file:
        while (head := file.readline()).startswith(b"*"):
            parts = []
            for _ in range(int(head[1:])):
                length = file.readline()
                if not length.startswith(b"$"):
                    return
                parts.append(file.read(int(length[1:])))
                file.read(2)
            yield parts
