"""The sample base image and the sample bundle, in the stack's registry and bundle folder."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import json
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from stack.checkout import write_private
from stack.console import say
from stack.environment import LOOPBACK
from stack.packages import find_static

if TYPE_CHECKING:
    from stack.checkout import Checkout, Choices
    from stack.docker_api import Engine

BASE_IMAGE = "meteor/galaxy-app"
TAG = "latest"
MANIFEST_TYPES = (
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.index.v1+json"
)


def pack_bundles(checkout: Checkout) -> None:
    """Every folder of `examples/bundles` as NAME.tar.gz in the folder that the stack serves."""
    checkout.bundles.mkdir(parents=True, exist_ok=True)
    for example in sorted((checkout.root / "examples" / "bundles").iterdir()):
        packed = gzip.compress(tar(files_below(example / "bundle")), mtime=0)
        target = checkout.bundles / f"{example.name}.tar.gz"
        if not target.exists() or target.read_bytes() != packed:
            target.write_bytes(packed)


def remove(checkout: Checkout) -> None:
    """Forget what was packed and published. Other bundles stay where they are: they are somebody's own."""
    for example in (checkout.root / "examples" / "bundles").iterdir():
        (checkout.bundles / f"{example.name}.tar.gz").unlink(missing_ok=True)
    _receipt(checkout).unlink(missing_ok=True)
    with suppress(OSError):  # it is not there, or not empty
        checkout.bundles.rmdir()


def publish_base_image(checkout: Checkout, choices: Choices, engine: Engine) -> None:
    """Build `examples/base-images/galaxy-app` and push it as `meteor/galaxy-app:latest` to the mirror.

    Nothing is done if that has been done with the same files. A tag that was moved since, as in a test of
    base image updates, is left alone: to publish again, remove `.stack/published.json`.
    """
    context = tar(_sample(checkout))
    mirror = _mirror(choices)
    receipt = _receipt(checkout)
    wanted = {"context": hashlib.sha256(context).hexdigest(), "registry": mirror}
    if receipt.exists() and json.loads(receipt.read_text()) == wanted and _in_registry(mirror):
        return
    say(f"Building the sample base image {BASE_IMAGE}:{TAG} …")
    _publish(mirror, engine, context)
    write_private(receipt, json.dumps(wanted))


def publish_changed_base_image(checkout: Checkout, choices: Choices, engine: Engine, said: str) -> str:
    """Publish the sample base image under the same tag with a setup.sh that also says something.

    What was never said before makes an image that never was before. It has no quotes and backslashes.

    Returns:
        The digest under which the registry has it.
    """
    files = _sample(checkout)
    changed = checkout.run / "changed-setup.sh"
    changed.write_text(f"{files['setup.sh'].read_text()}\necho '{said}'\n")
    changed.chmod(0o755)
    return _publish(_mirror(choices), engine, tar({**files, "setup.sh": changed}))


def _receipt(checkout: Checkout) -> Path:
    """Which base image was published, and where."""
    return checkout.home / "published.json"


def _sample(checkout: Checkout) -> dict[str, Path]:
    files = files_below(checkout.root / "examples" / "base-images" / "galaxy-app")
    for name, program in (("bash", "bash-static"), ("busybox", "busybox")):
        files[name] = Path(find_static(program) or program)
    return files


def _mirror(choices: Choices) -> str:
    return f"{LOOPBACK}:{choices.port('mirror')}"


def _publish(mirror: str, engine: Engine, context: bytes) -> str:
    repository = f"{mirror}/{BASE_IMAGE}"
    engine.build(context, f"{repository}:{TAG}")
    return engine.push(repository, TAG)


def _in_registry(registry: str) -> bool:
    connection = http.client.HTTPConnection(registry, timeout=10)
    try:
        connection.request("HEAD", f"/v2/{BASE_IMAGE}/manifests/{TAG}", headers={"Accept": MANIFEST_TYPES})
        return connection.getresponse().status == http.client.OK
    finally:
        connection.close()


def files_below(folder: Path) -> dict[str, Path]:
    """The files of a folder by their names in an archive."""
    return {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}


def tar(files: dict[str, Path]) -> bytes:
    """An archive with the same bytes for the same files, whoever packs it, when and where."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(files):
            info = tarfile.TarInfo(name)
            info.size = files[name].stat().st_size
            info.mode = 0o755 if files[name].stat().st_mode & 0o100 else 0o644
            with files[name].open("rb") as content:
                archive.addfile(info, content)
    return target.getvalue()
