"""What benchmarks find around them: the engine, the served bundle, base images of their own."""

from __future__ import annotations

import io
import json
import os
import tarfile
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit
from uuid import uuid4

import docker
import requests
from docker.errors import DockerException
from docker.utils import kwargs_from_env

from bench.measure import CannotRun
from galaxy.adapters.registry.manifest import OCI_MANIFEST
from galaxy.domain.base_images.contract import SETUP_SCRIPT
from galaxy.domain.base_images.image_reference import ImageReference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from galaxy.settings import Settings

#: Longest silence of one answer of the engine.
ENGINE_TIMEOUT_S: Final = 60

_BUNDLE: Final = Path(__file__).parent.parent / "examples" / "bundles" / "hello" / "bundle"
#: Of the base images that benchmarks publish on what stands for Docker Hub; later runs overwrite it.
_TAG: Final = "1"


@contextmanager
def served_bundle() -> Iterator[str]:
    """The sample bundle, where build containers can download it."""
    try:
        folder, url = Path(os.environ["GALAXY_BUNDLES_DIR"]), os.environ["GALAXY_BUNDLES_URL"]
    except KeyError as error:
        raise CannotRun(f"{error} is not set: `make bench` does, or `make up` and `make env`.") from error
    name = f"bench-{uuid4().hex[:8]}.tar.gz"
    with tarfile.open(folder / name, "w:gz") as archive:
        for path in sorted(_BUNDLE.iterdir()):
            archive.add(path, path.name)
    try:
        yield f"{url.rstrip('/')}/{name}"
    finally:
        (folder / name).unlink()


@contextmanager
def engine() -> Iterator[docker.APIClient]:
    """A client of the engine. Its errors, wherever they are raised in the block, are `CannotRun`."""
    try:
        with closing(connected()) as api:
            yield api
    except DockerException as error:
        raise CannotRun(f"The engine could not do its part: {error}") from error


def connected() -> docker.APIClient:
    """A client for one thread alone."""
    return docker.APIClient(**kwargs_from_env(), version="auto", timeout=ENGINE_TIMEOUT_S)


@contextmanager
def images_removed(api: docker.APIClient, *repositories: str) -> Iterator[None]:
    """Removes all images of these repositories from the engine at the end."""
    try:
        yield
    finally:
        for repository in repositories:
            for image in api.images(repository):
                api.remove_image(image["Id"], force=True)


def hub(settings: Settings) -> str:
    """Host and port of what stands for Docker Hub, for the engine."""
    return urlsplit(settings.docker_hub_mirror or "").netloc or "docker.io"


def default_base_image(settings: Settings) -> str:
    """`HOST/REPOSITORY:TAG` of the base image of versions that name none, for the engine."""
    base = ImageReference.parse(settings.default_base_image)
    return f"{hub(settings)}/{base.repository}:{base.tag}"


@contextmanager
def base_image(
    api: docker.APIClient, settings: Settings, name: str, setup: str, files: Mapping[str, bytes] | None = None
) -> Iterator[BaseImage]:
    """Publishes the default base image with another setup.sh and more files, by their names in `/app`."""
    if not settings.docker_hub_mirror:
        raise CannotRun(
            "GALAXY_DOCKER_HUB_MIRROR is not set, and this publishes a base image: use `make bench`."
        )
    image = BaseImage(repository=f"bench/{name}", host=hub(settings))
    content = {Path(SETUP_SCRIPT).name: f"#!/bin/bash\n{setup}\n".encode(), **(files or {})}
    copied = f"FROM {default_base_image(settings)}\nCOPY {' '.join(content)} /app/\n"
    context = _tar({"Dockerfile": copied.encode(), **content})
    repository = image.on_engine.rpartition(":")[0]
    with images_removed(api, repository):
        _consume(api.build(fileobj=context, custom_context=True, tag=image.on_engine, rm=True, decode=True))
        _consume(api.push(repository, tag=_TAG, stream=True, decode=True))
        yield image


def publish_tags(registry: str, repository: str, tags: Mapping[str, str]) -> None:
    """Puts an image without files under each tag; their texts tell them apart.

    Args:
        registry: Its URL.
        repository: Without the registry's host.
        tags: Text by tag.
    """
    try:
        _publish_tags(registry, repository, tags)
    except requests.RequestException as error:
        raise CannotRun(f"{registry} takes no images: {error}") from error


def _publish_tags(registry: str, repository: str, tags: Mapping[str, str]) -> None:
    config = b"{}"
    with requests.Session() as session:
        upload = session.post(f"{registry}/v2/{repository}/blobs/uploads/", timeout=ENGINE_TIMEOUT_S)
        upload.raise_for_status()
        place = urljoin(registry, upload.headers["Location"])
        blob = {"mediaType": "application/vnd.oci.image.config.v1+json", "size": len(config)}
        blob["digest"] = f"sha256:{sha256(config).hexdigest()}"
        session.put(
            place, params={"digest": str(blob["digest"])}, data=config, timeout=ENGINE_TIMEOUT_S
        ).raise_for_status()
        for tag, text in tags.items():
            manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": blob, "layers": []}
            session.put(
                f"{registry}/v2/{repository}/manifests/{tag}",
                data=json.dumps({**manifest, "annotations": {"text": text}}),
                headers={"Content-Type": OCI_MANIFEST}, timeout=ENGINE_TIMEOUT_S,
            ).raise_for_status()  # fmt: skip


class BaseImage:
    """A base image of a benchmark's own.

    Attributes:
        on_engine: `HOST/REPOSITORY:TAG`.
        settings: What a deploy's settings.json says.
    """

    def __init__(self, *, repository: str, host: str) -> None:
        self.on_engine = f"{host}/{repository}:{_TAG}"
        self.settings = {"galaxy.meteor.com": {"baseImage": {"repository": repository, "tag": _TAG}}}


def _consume(events: Iterable[dict[str, Any]]) -> None:
    for event in events:
        if "error" in event:
            raise CannotRun(f"The engine said: {event['error']}")


def _tar(files: Mapping[str, bytes]) -> io.BytesIO:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
    packed.seek(0)
    return packed
