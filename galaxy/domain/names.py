"""Names of what an attempt leaves on an engine, and how to read them again."""

from __future__ import annotations

import re
from typing import NamedTuple

from galaxy.domain.deploys.app_name import AppName, image_repository
from galaxy.domain.models import VersionRef

#: Ends the name of the container that is made to look into the base image, and never started.
LOOK = "-look"
#: Stands between the name of a container and the number of its volume.
VOLUME = "-volume-"


class LeaseRef(NamedTuple):
    """Names one lease of work on a version: that of the attempt with this fencing token."""

    version: VersionRef
    token: int


def container_name(pipeline: str, lease: LeaseRef) -> str:
    """Unique for each lease: an engine keeps a removed container's name for a while."""
    return f"{pipeline}-build-{lease.version.app}-v{lease.version.number}-{lease.token}"


def parse_container_name(pipeline: str, name: str) -> LeaseRef | None:
    """The lease that a container belongs to; None when it is not a build container of this pipeline."""
    match = re.fullmatch(rf"{re.escape(pipeline)}-build-(\S+)-v(\d+)-(\d+)(?:{LOOK})?", name)
    return LeaseRef(VersionRef(match[1], int(match[2])), int(match[3])) if match else None


def volume_name(container: str, number: int) -> str:
    """Of a container's volumes, counted from 1."""
    return f"{container}{VOLUME}{number}"


def parse_volume_name(pipeline: str, name: str) -> LeaseRef | None:
    """The lease that a volume belongs to; None when it is not of a build container of this pipeline."""
    match = re.fullmatch(rf"(.+){VOLUME}\d+", name)
    return parse_container_name(pipeline, match[1]) if match else None


def app_image(registry: str, ref: VersionRef) -> tuple[str, str]:
    """Repository, with its host, and tag of a version's image."""
    return f"{registry}/{image_repository(AppName(ref.app))}", str(ref.number)


def attempt_tag(pipeline: str, lease: LeaseRef) -> str:
    """Tag of the image that an attempt commits, on its engine alone: it says whose image that is."""
    return f"{lease.version.number}-{pipeline}-{lease.token}"


def parse_attempt_tag(pipeline: str, ref: VersionRef, tag: str) -> LeaseRef | None:
    """The lease on this version that a tag stands for; None when it is none of this pipeline's."""
    match = re.fullmatch(rf"{ref.number}-{re.escape(pipeline)}-(\d+)", tag)
    return LeaseRef(ref, int(match[1])) if match else None
