"""The running stack, as its users meet it: the `galaxy` command, the engine, the folder of bundles."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

import docker
import pytest
from docker.errors import ImageNotFound
from redis import Redis

from galaxy.adapters.store.keys import Keys
from galaxy.adapters.store.versions import VersionStore
from galaxy.domain.errors import NotFound
from galaxy.domain.models import VersionRef

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEEDED = ("GALAXY_BUNDLES_DIR", "GALAXY_BUNDLES_URL", "GALAXY_DOCKER_HUB_MIRROR", "GALAXY_STORE_URL")


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    def json_lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.splitlines()]


class Stack:
    """One test's view of the stack: names of its own, and what it published is removed afterwards."""

    def __init__(self, tmp_path: Path) -> None:
        self.run_id = uuid4().hex[:10]
        self.app = f"app-{self.run_id}.example.com"
        self.engine = docker.from_env()
        self._tmp = tmp_path
        self._images: list[str] = []
        self._redis = Redis.from_url(os.environ["GALAXY_STORE_URL"], decode_responses=True)
        self._store = VersionStore(self._redis, Keys("galaxy"), requeue_after_s=60)

    def galaxy(self, *arguments: str, stdin: str | None = None, timeout_s: float = 90) -> Ran:
        done = subprocess.run(
            ["galaxy", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def output_of(self, image: str) -> bytes:
        """What the image's own command prints. Read at its end: a log that is followed may end before its container."""
        container = self.engine.containers.run(image, detach=True)
        try:
            assert container.wait(timeout=60)["StatusCode"] == 0
            return bytes(container.logs(stderr=False))
        finally:
            container.remove(force=True)

    def bundle(self, files: dict[str, str]) -> str:
        name = f"{self.run_id}-{uuid4().hex[:6]}.tar.gz"
        with tarfile.open(Path(os.environ["GALAXY_BUNDLES_DIR"]) / name, "w:gz") as archive:
            for path, text in files.items():
                member = tarfile.TarInfo(path)
                member.size = len(text.encode())
                archive.addfile(member, io.BytesIO(text.encode()))
        return f"{os.environ['GALAXY_BUNDLES_URL'].rstrip('/')}/{name}"

    def base_image(self, setup: str, dockerfile: str = "") -> str:
        """Publishes the sample base image with another setup.sh; returns the settings that name it."""
        repository = f"tests/base-{self.run_id}-{len(self._images)}"
        self.publish(repository, setup, dockerfile)
        return self.settings(repository=repository)

    def publish(self, repository: str, setup: str, dockerfile: str = "") -> str:
        """Publishes it as `repository:1`, whatever that was before; returns its digest."""
        mirror = urlsplit(os.environ["GALAXY_DOCKER_HUB_MIRROR"]).netloc
        context = io.BytesIO()
        lines = f"FROM {mirror}/meteor/galaxy-app:latest\nCOPY setup.sh /app/setup.sh\n{dockerfile}\n"
        with tarfile.open(fileobj=context, mode="w") as archive:
            for name, text in {"Dockerfile": lines, "setup.sh": setup}.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(text.encode()), 0o755
                archive.addfile(member, io.BytesIO(text.encode()))
        context.seek(0)
        tag = f"{mirror}/{repository}:1"
        self.engine.images.build(fileobj=context, custom_context=True, tag=tag, rm=True)
        self._images.append(tag)
        events = [*self.engine.images.push(f"{mirror}/{repository}", tag="1", stream=True, decode=True)]
        (digest,) = [event["aux"]["Digest"] for event in events if "Digest" in event.get("aux", {})]
        return str(digest)

    def settings(self, *, repository: str | None = None, env: dict[str, str] | None = None) -> str:
        section: dict[str, object] = {"env": env or {}}
        if repository:
            section["baseImage"] = {"repository": repository, "tag": "1"}
        path = self._tmp / f"settings-{uuid4().hex[:6]}.json"
        path.write_text(json.dumps({"galaxy.meteor.com": section}))
        return str(path)

    def version(self, number: int) -> dict[str, object]:
        return self.galaxy("show", self.app, str(number), "--json").json_lines()[0]

    def state(self, app: str, number: int) -> str | None:
        """State of a version in the store; None if there is no such version yet."""
        try:
            return str(self._store.version(VersionRef(app, number)).state)
        except NotFound:
            return None

    def close(self) -> None:
        self._redis.close()
        # not `images.list`, which looks at each once more and fails if one is gone by then
        for image in self.engine.api.images():
            # what a tag named before it was moved is found by its digest only
            for name in (*(image["RepoTags"] or ()), *(image["RepoDigests"] or ())):
                if self._is_ours(name):
                    with suppress(ImageNotFound):  # a repository's digests go with its last tag
                        self.engine.api.remove_image(name, force=True)
        self.engine.close()

    def _is_ours(self, name: str) -> bool:
        repository = name.partition("@")[0] if "@" in name else name.rpartition(":")[0]
        of_app = repository.startswith(f"{os.environ['GALAXY_REGISTRY']}/apps/") and repository.endswith(
            self.app
        )
        return of_app or f"{repository}:1" in self._images


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    missing = [name for name in _NEEDED if name not in os.environ]
    if missing:
        message = f"no running stack: {', '.join(missing)} not set; run make test"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)  # at home the other tests can be run without a stack
    here = Stack(tmp_path)
    yield here
    here.close()


class Counter:
    """An HTTP server that build containers reach, and that answers 500 to the first requests."""

    def __init__(self, failures: int) -> None:
        self.requests = 0
        counter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                counter.requests += 1
                self.send_response(500 if counter.requests <= failures else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        host = urlsplit(os.environ["GALAXY_BUNDLES_URL"]).hostname
        assert host is not None
        self._server = ThreadingHTTPServer((host, 0), Handler)
        self.url = f"http://{host}:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
