"""Image configs: what an app's image has to keep of its base image."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, TypeAlias

from galaxy.domain.models import VersionRef

#: The `Config` object of an image as the engine's API shows it.
ImageConfig: TypeAlias = Mapping[str, object]

_PREFIX: Final = "org.opencontainers.image."
_TITLE, _VERSION = _PREFIX + "title", _PREFIX + "version"


def oci_labels(
    *, app: str, version: int, base_name: str, base_digest: str, created: datetime
) -> dict[str, str]:
    """Labels that say where an app's image comes from; names from the OCI image specification's annotations."""
    return {
        _PREFIX + "created": created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        _TITLE: app,
        _VERSION: str(version),
        _PREFIX + "base.name": base_name,
        _PREFIX + "base.digest": base_digest,
    }


def labelled_version(labels: Mapping[str, str]) -> VersionRef | None:
    """The version that an image says it is; other people's images may say so too."""
    app, number = labels.get(_TITLE, ""), labels.get(_VERSION, "")
    return VersionRef(app, int(number)) if app and number.isascii() and number.isdecimal() else None


def with_labels(base: ImageConfig, labels: Mapping[str, str]) -> dict[str, object]:
    """The config of an app's image: the base image's, and our labels."""
    own = base.get("Labels")
    return {**base, "Labels": {**(own if isinstance(own, Mapping) else {}), **labels}}


def differences(expected: ImageConfig, actual: ImageConfig) -> tuple[str, ...]:
    """Names of the fields that differ, sorted.

    Engines write an empty field as null, as an empty value, or leave it out; these count as the same.
    """
    return tuple(
        sorted(name for name in {*expected, *actual} if _value(expected, name) != _value(actual, name))
    )


def _value(config: ImageConfig, name: str) -> object:
    value = config.get(name)
    if name == "Env" and isinstance(value, list):
        value = sorted(value)
    return value or None
