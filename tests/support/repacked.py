"""The same image under another manifest: its last layer compressed anew."""

from __future__ import annotations

import gzip
import hashlib
from urllib.parse import urljoin

import requests

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def repack(registry: str, repository: str, tag: str) -> str:
    """Moves a tag to a manifest with the same config, so the same image ID; returns the new digest.

    Args:
        registry: Its URL.
        repository: Without host.
        tag: Of a single image, no index.
    """
    base = f"{registry}/v2/{repository}"
    found = requests.get(f"{base}/manifests/{tag}", headers={"Accept": _MANIFEST}, timeout=10)
    found.raise_for_status()
    manifest = found.json()
    layer = manifest["layers"][-1]
    packed = requests.get(f"{base}/blobs/{layer['digest']}", timeout=10).content
    anew = gzip.compress(gzip.decompress(packed), compresslevel=1, mtime=1)
    layer["digest"], layer["size"] = _digest(anew), len(anew)
    upload = requests.post(f"{base}/blobs/uploads/", timeout=10)
    upload.raise_for_status()
    place = urljoin(base, upload.headers["Location"])
    requests.put(place, params={"digest": layer["digest"]}, data=anew, timeout=10).raise_for_status()
    moved = requests.put(
        f"{base}/manifests/{tag}", json=manifest, headers={"Content-Type": _MANIFEST}, timeout=10
    )
    moved.raise_for_status()
    return str(moved.headers["Docker-Content-Digest"])


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
