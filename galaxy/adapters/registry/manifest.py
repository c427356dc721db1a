"""Manifests and indexes of images, as values."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from typing import Any, Final

DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
#: All four, always and in this order: with fewer, a registry answers another digest or 404.
MEDIA_TYPES: Final = (DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX)
_INDEXES: Final = frozenset({DOCKER_LIST, OCI_INDEX})

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
#: Variants that say no more than the architecture alone (containerd's platforms/database.go).
_DEFAULT_VARIANT: Final = {"arm64": "v8", "arm": "v7", "amd64": "v1"}


class MalformedManifest(ValueError):
    """The bytes are no manifest that we know. The message completes the sentence `the registry ...`."""


@dataclass(frozen=True, slots=True)
class PlatformManifest:
    """One image of an index. `variant` is the CPU's, such as `v7`, or empty."""

    os: str
    architecture: str
    variant: str
    digest: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a registry keeps under a tag: one image, or an index of images for several platforms.

    Attributes:
        digest: Of `body`.
        body: The bytes as the registry sent them.
        images: Of an index, without attestations and the like; empty for a single image.
    """

    media_type: str
    digest: str
    body: bytes
    images: tuple[PlatformManifest, ...] = ()

    @classmethod
    def read(cls, body: bytes, content_type: str, digest: str | None = None) -> Manifest:
        """Reads a registry's answer.

        Args:
            body: As sent.
            content_type: The header; the document's own `mediaType` counts where the header says nothing useful.
            digest: What the bytes must have; without it, sha256 is used.

        Raises:
            MalformedManifest: Other bytes than the digest says, no JSON object, or an unknown type.
        """
        actual = digest_of(body, (digest or "sha256").partition(":")[0])
        if digest is not None and not hmac.compare_digest(actual, digest):
            raise MalformedManifest("sent a manifest that does not have the digest it should have")
        document = _document(body)
        media_type = content_type.partition(";")[0].strip().lower()
        if media_type not in MEDIA_TYPES:
            media_type = str(
                document.get("mediaType") or (OCI_INDEX if "manifests" in document else media_type)
            )
        if media_type not in MEDIA_TYPES:
            raise MalformedManifest("keeps it in a format that is no longer supported; push it again")
        images = _images(document) if media_type in _INDEXES else ()
        return cls(media_type, actual, body, images)

    @property
    def is_index(self) -> bool:
        """Whether it holds images for several platforms."""
        return self.media_type in _INDEXES

    def for_platform(self, os: str, architecture: str, variant: str = "") -> str | None:
        """Digest of the image that an engine on this platform would use; None when an index has none.

        A single image is taken as it is, as engines do: its platform stands in its config, not here.
        """
        if not self.is_index:
            return self.digest
        wanted = _variant_number(architecture, variant)
        fitting = [
            image
            for image in self.images
            if image.os == os
            and image.architecture == architecture
            and _variant_number(architecture, image.variant) <= wanted
        ]
        if not fitting:
            return None
        return max(fitting, key=lambda image: _variant_number(architecture, image.variant)).digest


def as_digest(text: str | None) -> str | None:
    """The text if it is a digest that we can check."""
    return text if text is not None and _DIGEST.fullmatch(text) else None


def digest_of(body: bytes, algorithm: str = "sha256") -> str:
    """`sha256:...` or `sha512:...` of the bytes."""
    return f"{algorithm}:{hashlib.new(algorithm, body).hexdigest()}"


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedManifest("sent a manifest that is no JSON") from error
    if not isinstance(document, dict):
        raise MalformedManifest("sent a manifest that is no JSON object")
    return document


def _images(index: dict[str, Any]) -> tuple[PlatformManifest, ...]:
    entries = index.get("manifests")
    if not isinstance(entries, list):
        raise MalformedManifest("sent an index without a list of manifests")
    found = (_image(entry) for entry in entries if isinstance(entry, dict))
    return tuple(image for image in found if image is not None)


def _image(entry: dict[str, Any]) -> PlatformManifest | None:
    platform, digest = entry.get("platform"), entry.get("digest")
    if not isinstance(platform, dict) or not isinstance(digest, str) or as_digest(digest) is None:
        return None
    os, architecture = platform.get("os"), platform.get("architecture")
    variant = platform.get("variant") or ""
    if not all(isinstance(part, str) and part != "unknown" for part in (os, architecture, variant)):
        return None
    return PlatformManifest(str(os), str(architecture), str(variant), digest)


def _variant_number(architecture: str, variant: str) -> int:
    """Newer CPUs of an architecture run what was made for older ones: v7 runs v6, never v8."""
    number = re.fullmatch(r"v(\d{1,3})", variant or _DEFAULT_VARIANT.get(architecture, "v0"))
    return int(number[1]) if number else 0
