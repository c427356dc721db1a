"""A CNCF distribution registry (Debian's `docker-registry`) as a process of the test's own."""

from __future__ import annotations

import json
import shutil
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest
import requests

from tests.conftest import unavailable
from tests.support.fleet import Process, eventually, free_port
from tests.support.registry_server import DOCKER_LIST, DOCKER_MANIFEST, digest_of, image_manifest, index

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_CONFIG = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: "{folder}"}}, delete: {{enabled: true}}}}
http: {{addr: "{address}:{port}"}}
"""


class DockerRegistry:
    """The running process: where it is, and how images get in."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self.authority = f"{address}:{port}"
        self.url = f"http://{self.authority}"

    def publish_image(self, repository: str, tag: str, config: bytes) -> str:
        self._upload(repository, config)
        return self._put(repository, tag, image_manifest(config), DOCKER_MANIFEST)

    def publish_image_with_layers(self, repository: str, tag: str, config: bytes, layers: list[bytes]) -> str:
        """The same config with other layers: what a recompressed image is."""
        manifest = json.loads(image_manifest(config))
        for content in (config, *layers):
            self._upload(repository, content)
        manifest["layers"] = [
            {"mediaType": _LAYER, "size": len(layer), "digest": digest_of(layer)} for layer in layers
        ]
        return self._put(repository, tag, json.dumps(manifest).encode(), DOCKER_MANIFEST)

    def publish_index(self, repository: str, tag: str, configs: dict[str, bytes]) -> str:
        for number, config in enumerate(configs.values()):
            self.publish_image(repository, f"{tag}-{number}", config)
        manifests = {platform: image_manifest(config) for platform, config in configs.items()}
        return self._put(repository, tag, index(manifests), DOCKER_LIST)

    def _upload(self, repository: str, content: bytes) -> None:
        upload = requests.post(f"{self.url}/v2/{repository}/blobs/uploads/", timeout=10)
        upload.raise_for_status()
        place = urljoin(self.url, upload.headers["Location"])
        done = requests.put(place, params={"digest": digest_of(content)}, data=content, timeout=10)
        done.raise_for_status()

    def _put(self, repository: str, tag: str, body: bytes, media_type: str) -> str:
        url = f"{self.url}/v2/{repository}/manifests/{tag}"
        requests.put(url, data=body, headers={"Content-Type": media_type}, timeout=10).raise_for_status()
        return digest_of(body)


class RegistryProcess:
    """The program as a process that a test may harm. What was pushed is in files, and stays.

    Args:
        address: Of this machine, to listen on.
    """

    def __init__(self, folder: Path, address: str = "127.0.0.1") -> None:
        program = shutil.which("docker-registry")
        if program is None:
            unavailable("docker-registry is not installed; it is the package of that name")
        port = free_port()
        config = folder / "config.yml"
        config.write_text(_CONFIG.format(folder=folder / "data", address=address, port=port))
        self._command, self._output = [program, "serve", str(config)], folder / "output"
        self.registry = DockerRegistry(port, address)
        self.start()

    def start(self) -> None:
        self._process = Process(self._command, {}, self._output)
        eventually(f"docker-registry answers; its output is {self._output}", self._answers)

    def kill(self) -> None:
        """As a crash would."""
        self._process.kill_all()

    def freeze(self) -> None:
        """It keeps its connections, takes new ones, and answers nothing."""
        self._process.send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send(signal.SIGCONT)

    def _answers(self) -> bool:
        if not self._process.alive:
            pytest.fail(f"docker-registry ended at its start: {self._process.output[-2000:]}")
        try:
            return requests.get(f"{self.registry.url}/v2/", timeout=2).ok
        except requests.RequestException:
            return False


@contextmanager
def docker_registry(folder: Path) -> Iterator[DockerRegistry]:
    """Starts one on a free port; without the program the test is skipped, or fails in CI."""
    process = RegistryProcess(folder)
    yield process.registry
    process.kill()
