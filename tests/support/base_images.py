"""Base images for tests, made from nothing: static bash and busybox, whatever the test adds."""

from __future__ import annotations

import io
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from docker.errors import ImageNotFound

from galaxy.adapters.engine.ports import Image
from tests.support.fake_engine import BASH_SCRIPT, Program, succeed

if TYPE_CHECKING:
    from collections.abc import Mapping

    import docker

    from galaxy.domain.base_images.contract import SetupScript

BASH, BUSYBOX = Path("/bin/bash-static"), Path("/bin/busybox")
_APPLETS = ("sh", "sleep", "cat", "env", "mkdir", "id", "tar", "wget", "httpd", "true", "ls", "seq", "rm")

#: The least that a base image says.
CMD = 'CMD ["/bin/true"]'


class File(NamedTuple):
    """A file of an image; a symbolic link if `link` is set, a folder if `content` is None."""

    content: str | bytes | None = ""
    mode: int = 0o644
    link: str = ""


class BaseImageSpec(NamedTuple):
    """A base image, for the real engine as Dockerfile and files, for the fake one as values.

    Attributes:
        dockerfile: Instructions after FROM.
        config: What they come to in the image's config.
        setup: Text of `/app/setup.sh`, after its first line; None for an image without.
        program: The same in Python.
        files: Further files, by path, or another `/app/setup.sh`.
        script: What is found at `/app/setup.sh`.
        has_bash: False takes bash away.
    """

    dockerfile: str = CMD
    config: Mapping[str, object] = {"Cmd": ["/bin/true"]}
    setup: str | None = ""
    program: Program = succeed
    files: Mapping[str, File] = {}
    script: SetupScript = BASH_SCRIPT
    has_bash: bool = True


class BaseImages:
    """Builds base images on a Docker engine, and removes them in the end.

    Args:
        name: Repository of the images on the engine, of this run alone.
    """

    def __init__(self, api: docker.APIClient, name: str) -> None:
        self._api = api
        self._name = name
        self._built: list[str] = []
        self._roots: dict[bool, str] = {}

    def build(self, spec: BaseImageSpec) -> Image:
        """Builds an image on the engine."""
        files = dict(spec.files)
        if spec.setup is not None and "app/setup.sh" not in files:
            files["app/setup.sh"] = File(f"#!/bin/bash\n{spec.setup}\n", 0o755)
        context = {"files.tar": File(_tar(files)), "Dockerfile": File("")}
        dockerfile = f"FROM {self._root(has_bash=spec.has_bash)}\nADD files.tar /\n{spec.dockerfile}\n"
        return self._build(context | {"Dockerfile": File(dockerfile)})

    def publish(self, image: Image, repository: str, tag: str) -> str:
        """Pushes an image, takes it from the engine again, and returns its manifest digest."""
        self._api.tag(image.id, repository, tag)
        events = [*self._api.push(repository, tag=tag, stream=True, decode=True)]
        (digest,) = [event["aux"]["Digest"] for event in events if "Digest" in event.get("aux", {})]
        self._api.remove_image(f"{repository}:{tag}")
        return str(digest)

    def remove_all(self) -> None:
        for tag in reversed(self._built):
            with suppress(ImageNotFound):
                self._api.remove_image(tag, force=True)

    def _root(self, *, has_bash: bool) -> str:
        if has_bash not in self._roots:
            files = {
                "bin/busybox": File(BUSYBOX.read_bytes(), 0o755),
                "usr/bin/env": File(link="/bin/busybox"),
                "etc/passwd": File("root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n"),
                "app": File(None, 0o777),
                "tmp": File(None, 0o1777),
                **{f"bin/{applet}": File(link="busybox") for applet in _APPLETS},
            }
            if has_bash:
                files["bin/bash"] = File(BASH.read_bytes(), 0o755)
            context = {"root.tar": File(_tar(files)), "Dockerfile": File("FROM scratch\nADD root.tar /\n")}
            self._build(context)
            self._roots[has_bash] = self._built[-1]
        return self._roots[has_bash]

    def _build(self, context: Mapping[str, File]) -> Image:
        tag = f"{self._name}:{len(self._built)}"
        events = self._api.build(
            fileobj=io.BytesIO(_tar(context)),
            custom_context=True,
            tag=tag,
            rm=True,
            forcerm=True,
            decode=True,
        )
        said: list[dict[str, Any]] = [*events]
        if "error" in said[-1]:
            raise RuntimeError(f"The base image could not be built: {said[-1]['error']}")
        self._built.append(tag)
        found = self._api.inspect_image(tag)
        return Image(id=found["Id"], config=found["Config"])


def remove_images(api: docker.APIClient, prefix: str) -> None:
    """Removes all images whose names begin like this. By name: another run may have built on the same image."""
    for image in api.images():
        for name in (*(image["RepoTags"] or ()), *(image["RepoDigests"] or ())):
            if name.startswith(prefix):
                with suppress(ImageNotFound):  # gone with its last other name
                    api.remove_image(name)


def _tar(files: Mapping[str, File]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, file in files.items():
            entry = tarfile.TarInfo(path)
            entry.mode = file.mode
            if file.link:
                entry.type, entry.linkname = tarfile.SYMTYPE, file.link
                archive.addfile(entry)
            elif file.content is None:
                entry.type = tarfile.DIRTYPE
                archive.addfile(entry)
            else:
                data = file.content.encode() if isinstance(file.content, str) else file.content
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()
