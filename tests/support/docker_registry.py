"""A CNCF distribution registry (Debian's `docker-registry`) as a process of the test's own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest
import requests

from tests.support.registry_server import DOCKER_LIST, DOCKER_MANIFEST, digest_of, image_manifest, index

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_DEADLINE_S = 20
_CONFIG = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: "{folder}"}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


class DockerRegistry:
    """The running process: where it is, and how images get in."""

    def __init__(self, port: int) -> None:
        self.authority = f"127.0.0.1:{port}"
        self.url = f"http://{self.authority}"

    def publish_image(self, repository: str, tag: str, config: bytes) -> str:
        upload = requests.post(f"{self.url}/v2/{repository}/blobs/uploads/", timeout=10)
        upload.raise_for_status()
        place = urljoin(self.url, upload.headers["Location"])
        done = requests.put(place, params={"digest": digest_of(config)}, data=config, timeout=10)
        done.raise_for_status()
        return self._put(repository, tag, image_manifest(config), DOCKER_MANIFEST)

    def publish_index(self, repository: str, tag: str, configs: dict[str, bytes]) -> str:
        for number, config in enumerate(configs.values()):
            self.publish_image(repository, f"{tag}-{number}", config)
        manifests = {platform: image_manifest(config) for platform, config in configs.items()}
        return self._put(repository, tag, index(manifests), DOCKER_LIST)

    def _put(self, repository: str, tag: str, body: bytes, media_type: str) -> str:
        url = f"{self.url}/v2/{repository}/manifests/{tag}"
        requests.put(url, data=body, headers={"Content-Type": media_type}, timeout=10).raise_for_status()
        return digest_of(body)


@contextmanager
def docker_registry(folder: Path) -> Iterator[DockerRegistry]:
    """Starts one on a free port; without the program the test is skipped, or fails in CI."""
    program = shutil.which("docker-registry")
    if program is None:
        missing = "docker-registry is not installed; it is the package of that name"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    port = _free_port()
    config = folder / "config.yml"
    config.write_text(_CONFIG.format(folder=folder / "data", port=port))
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen([program, "serve", str(config)], stdout=output, stderr=output)
    try:
        registry = DockerRegistry(port)
        _wait_until_it_answers(registry, process, folder / "output")
        yield registry
    finally:
        process.terminate()
        process.wait(10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_answers(registry: DockerRegistry, process: subprocess.Popen[bytes], output: Path) -> None:
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline:
        try:
            requests.get(f"{registry.url}/v2/", timeout=2).raise_for_status()
        except requests.RequestException:
            if process.poll() is not None:
                break
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"docker-registry did not answer: {output.read_text(errors='replace')[-2000:]}")
