from __future__ import annotations

import json

import pytest

from galaxy.adapters.registry.manifest import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    MEDIA_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    MalformedManifest,
    Manifest,
    digest_of,
)


def digest(name: str) -> str:
    return digest_of(name.encode())


def index_of(*platforms: str) -> Manifest:
    """An index with a manifest for each `os/architecture[/variant]`, whose digest is that of the platform's text."""
    entries = []
    for text in platforms:
        platform = dict(zip(("os", "architecture", "variant"), text.split("/"), strict=False))
        entries.append({"digest": digest(text), "platform": platform})
    return Manifest.read(json.dumps({"manifests": entries}).encode(), OCI_INDEX)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (("linux", "amd64"), "linux/amd64"),
        (("linux", "amd64", "v1"), "linux/amd64"),
        (("linux", "arm64"), "linux/arm64/v8"),
        (("linux", "arm64", "v8"), "linux/arm64/v8"),
        (("linux", "arm"), "linux/arm/v7"),
        (("linux", "arm", "v8"), "linux/arm/v7"),
        (("linux", "arm", "v6"), "linux/arm/v6"),
        (("linux", "arm", "v5"), None),
        (("windows", "amd64"), None),
        (("linux", "s390x"), None),
    ],
)
def test_the_best_image_that_the_platform_runs_is_found(wanted: tuple[str, ...], found: str | None) -> None:
    index = index_of("linux/arm/v6", "linux/arm/v7", "linux/amd64", "linux/arm64/v8", "unknown/unknown")
    assert index.for_platform(*wanted) == (found and digest(found))


def test_other_platforms_and_attestations_move_the_index_and_not_our_image() -> None:
    before = index_of("linux/amd64", "linux/arm64")
    after = index_of("linux/amd64", "linux/arm64/v9", "unknown/unknown")
    assert before.digest != after.digest
    assert before.for_platform("linux", "amd64") == after.for_platform("linux", "amd64")


def test_images_without_a_usable_platform_or_digest_are_passed_over() -> None:
    entries = [
        {"digest": digest("a")},
        {"digest": "sha256:short", "platform": {"os": "linux", "architecture": "amd64"}},
        {"digest": digest("b"), "platform": {"os": 1, "architecture": "amd64"}},
        "text",
    ]
    index = Manifest.read(json.dumps({"manifests": entries}).encode(), DOCKER_LIST)
    assert index.images == ()


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_the_documents_own_type_counts_where_the_header_says_nothing(media_type: str) -> None:
    body = json.dumps({"mediaType": media_type, "manifests": []}).encode()
    assert Manifest.read(body, "application/json; charset=utf-8").media_type == media_type
    assert Manifest.read(body, media_type.upper() + "; x=y").media_type == media_type


def test_a_single_image_is_taken_as_it_is() -> None:
    manifest = Manifest.read(b"{}", OCI_MANIFEST)
    assert manifest.for_platform("linux", "riscv64") == manifest.digest == digest_of(b"{}")


def test_the_digests_own_algorithm_is_checked() -> None:
    told = digest_of(b"{}", "sha512")
    assert Manifest.read(b"{}", DOCKER_MANIFEST, told).digest == told


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"1", b"[" * 200_000, b'{"manifests": 1}'])
def test_what_is_no_manifest_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedManifest):
        Manifest.read(body, OCI_INDEX)
