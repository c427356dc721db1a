"""A poll of 2,000 base images in one registry, through the real service and store, against `ab` asking for one of them.

On a registry and a Redis of its own: tags and requests are nobody else's.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import requests
from redis import Redis

from bench.measure import CannotRun, Quantity, Throughput, in_pairs
from bench.own_redis import own_redis, settings_on
from bench.surroundings import publish_tags
from galaxy.adapters.registry.manifest import MEDIA_TYPES
from galaxy.bootstrap import Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.measure import Finding

GOAL: Final = 0.5
TAGS: Final = 2_000
QUICK_TAGS: Final = 500
PAIRS: Final = 5
QUICK_PAIRS: Final = 2

_REPOSITORY: Final = "bench/poll"
_START_TIMEOUT_S: Final = 10
_TIMEOUT_S: Final = 120
_CONFIG: Final = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: false}}}}
storage: {{filesystem: {{rootdirectory: "{folder}/data"}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""
#: A line of the access log begins like this, in the way of web servers: host, dashes, time, request.
_LOGGED: Final = re.compile(r'"(?P<method>[A-Z]+) (?P<path>/\S*) HTTP/[\d.]+"')


def run(*, quick: bool) -> Iterator[Finding]:
    """Measures it.

    Raises:
        CannotRun: redis-server, docker-registry or ab is missing, or an image was not checked as it should be.
    """
    ab = shutil.which("ab")
    if not ab:
        raise CannotRun("There is no ab, of Debian's package apache2-utils.")
    tags = QUICK_TAGS if quick else TAGS
    with own_redis() as url, _registry() as registry, Redis.from_url(url) as redis:
        registry.publish(tags)
        settings = settings_on(
            url,
            "poll",
            docker_hub_mirror=registry.url,
            registry_requests_per_s=1e6,
            base_image_poll_s=86_400.0,
        )
        ours = _Poll(Pipeline(settings), redis, tags)
        ours.deploy()
        ours.poll_s()
        seen = registry.requests()
        ours.poll_s()
        yield requests_found(registry.requests() - seen, tags)
        floor = _Floor(ab, registry, tags, settings.base_image_poll_threads)
        pairs = in_pairs(ours.poll_s, floor.heads_s, pairs=QUICK_PAIRS if quick else PAIRS)
        yield Throughput(f"poll of {tags:,} tags, HEADs", GOAL, tags, pairs, per_s=1)


def requests_found(seen: Counter[str], tags: int) -> Quantity:
    """What a poll asked of a registry that wants no tokens, against one HEAD for each tag."""
    wanted = Counter(f"HEAD {_path(number)}" for number in range(tags))
    wrong = sum((seen - wanted).values()) + sum((wanted - seen).values())
    detail = f"{seen.total()} requests for {tags} tags"
    return Quantity("poll: requests that are not one HEAD a tag", wrong, "requests", 0, detail)


@dataclass(frozen=True)
class _Poll:
    """A pipeline with an app on each tag."""

    pipeline: Pipeline
    redis: Redis
    tags: int

    def deploy(self) -> None:
        """Deploys the apps; nothing builds them."""
        for number in range(self.tags):
            settings = {"galaxy.meteor.com": {"baseImage": {"repository": _REPOSITORY, "tag": _tag(number)}}}
            self.pipeline.releases.deploy(
                app=f"app-{number}.poll.bench", settings=settings, bundle_url="http://bundles.invalid/none"
            )

    def poll_s(self) -> float:
        """Polls all base images, which are due all at once; returns the seconds that it took."""
        key = self.pipeline.keys.base_images()
        self.redis.zadd(key, dict.fromkeys(self.redis.zrange(key, 0, -1), 0))
        began = time.perf_counter()
        checked = self.pipeline.base_images.poll()
        took_s = time.perf_counter() - began
        if checked != self.tags or any(image.error for image in self.pipeline.base_images.all()):
            raise CannotRun(f"{checked} of {self.tags} base images were checked, or some failed.")
        return took_s


@dataclass(frozen=True)
class _Floor:
    """A load generator in C, which does nothing with the answers, over as many kept-alive connections."""

    program: str
    registry: _Registry
    requests: int
    connections: int

    def heads_s(self) -> float:
        """Asks as often for the first tag; returns the seconds that it took."""
        options = ["-q", "-k", "-i", "-c", str(self.connections), "-n", str(self.requests)]
        headers = ["-H", f"Accept: {', '.join(MEDIA_TYPES)}"]
        done = subprocess.run(
            [self.program, *options, *headers, f"{self.registry.url}{_path(0)}"],
            check=False, capture_output=True, text=True, timeout=_TIMEOUT_S,
        )  # fmt: skip
        took = re.search(r"^Time taken for tests:\s+([\d.]+) seconds", done.stdout, re.MULTILINE)
        failed = re.search(r"^(Failed|Non-2xx) re\w+:\s+[1-9]", done.stdout, re.MULTILINE)
        if done.returncode or not took or failed:
            raise CannotRun(f"ab ended with {done.returncode}: {done.stderr or done.stdout}")
        return float(took[1])


@dataclass(frozen=True)
class _Registry:
    """A CNCF distribution registry, and what it was asked."""

    url: str
    log: Path

    def publish(self, tags: int) -> None:
        """Puts an image under each tag, each with a digest of its own."""
        publish_tags(self.url, _REPOSITORY, {_tag(number): str(number) for number in range(tags)})

    def requests(self) -> Counter[str]:
        """How often it has been asked what, as `METHOD PATH`."""
        return Counter(f"{seen['method']} {seen['path']}" for seen in _LOGGED.finditer(self.log.read_text()))


@contextmanager
def _registry() -> Iterator[_Registry]:
    program = shutil.which("docker-registry") or shutil.which("registry")
    if not program:
        raise CannotRun("There is no docker-registry.")
    with tempfile.TemporaryDirectory(prefix="galaxy-bench-") as name:
        folder = Path(name)
        registry = _Registry(f"http://127.0.0.1:{(port := _free_port())}", folder / "access.log")
        (folder / "config.yml").write_text(_CONFIG.format(folder=folder, port=port))
        with registry.log.open("wb") as output, (folder / "errors").open("wb") as errors:
            command = [program, "serve", str(folder / "config.yml")]
            process = subprocess.Popen(command, stdout=output, stderr=errors)
        try:
            _wait_until_it_answers(registry, process)
            yield registry
        finally:
            process.terminate()
            process.wait()


def _wait_until_it_answers(registry: _Registry, process: subprocess.Popen[bytes]) -> None:
    began = time.monotonic()
    while process.poll() is None and time.monotonic() - began < _START_TIMEOUT_S:
        try:
            if requests.get(f"{registry.url}/v2/", timeout=1).ok:
                return
        except requests.RequestException:
            time.sleep(0.02)
    raise CannotRun("docker-registry did not start.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _tag(number: int) -> str:
    return f"tag-{number}"


def _path(number: int) -> str:
    return f"/v2/{_REPOSITORY}/manifests/{_tag(number)}"
