"""References to images, by the grammar of Docker and CNCF distribution, one spelling for one image."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from galaxy.domain.deploys.problems import Problems, not_a_string, refused
from galaxy.domain.errors import InvalidInput

DOCKER_HUB: Final = "docker.io"
DOCKER_HUB_API: Final = "registry-1.docker.io"
#: The second is the grammar's own other spelling; the third is where Docker Hub's API is, so the same images.
_DOCKER_HUB_HOSTS: Final = frozenset({DOCKER_HUB, "index.docker.io", DOCKER_HUB_API})

#: Of the name with its host, which engines count in (measured on 20.10).
MAX_NAME_LENGTH: Final = 255
MAX_TAG_LENGTH: Final = 128
MAX_PORT: Final = 65535

_HOST_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_HOST = re.compile(rf"{_HOST_LABEL}(?:\.{_HOST_LABEL})*(?::(?P<port>[0-9]{{1,5}}))?")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_IMAGE_ID = re.compile(r"[0-9a-f]{64}")

_EXAMPLE_REPOSITORY = '"meteor/galaxy-app"'
_EXAMPLE_TAG = '"latest"'
_EXAMPLE_PARTS = '"repository": "meteor/galaxy-app", "tag": "latest"'
_EXAMPLE_REFERENCE = "meteor/galaxy-app:latest"


@dataclass(frozen=True, slots=True)
class ImageReference:
    """An image in a registry, by tag, by digest, or by both. Equal references name the same image.

    Attributes:
        registry: Host in lower case, with its port if it has one; `docker.io` is Docker Hub.
        repository: Path in the registry; on Docker Hub with `library/` before a single word.
        tag: Which image of the repository; may be moved to another image at any time.
        digest: `sha256:...` of the manifest; never means another image.
    """

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    def __post_init__(self) -> None:
        if self.tag is None and self.digest is None:
            raise ValueError("an image reference needs a tag or a digest")
        if _split_name(self.canonical_name) != (self.registry, self.repository):
            raise ValueError("an image reference is made by parse or from_parts, which normalise its name")

    @classmethod
    def parse(cls, text: object, *, path: str = "image") -> ImageReference:
        """Read `[HOST/]NAME[:TAG][@DIGEST]`; without tag and digest the tag is `latest`.

        Raises:
            InvalidInput: With `path`, the name of the argument that the text came in.
        """
        if not isinstance(text, str):
            raise refused(path, not_a_string(text), _EXAMPLE_REFERENCE)
        named, has_digest, digest = text.partition("@")
        if has_digest and not _DIGEST.fullmatch(digest):
            raise refused(path, "has no valid digest after the @", f"meteor/galaxy-app@sha256:{'0' * 64}")
        name, tag = _cut_tag(named)
        registry, repository = parse_repository(name, path=path)
        if tag == "":
            raise refused(path, "ends with a colon and no tag", _EXAMPLE_REFERENCE)
        if tag is not None:
            tag = parse_tag(tag, path=path)
        elif not has_digest:
            tag = "latest"
        return cls(registry, repository, tag, digest or None)

    @classmethod
    def from_parts(cls, repository: object, tag: object) -> ImageReference:
        """Put a repository, with or without host, and a tag together.

        Raises:
            InvalidInput: With paths `repository` and `tag`.
        """
        problems = Problems()
        with problems.gathered():
            registry, name = parse_repository(repository, path="repository")
        with problems.gathered():
            parsed_tag = parse_tag(tag, path="tag")
        problems.refuse()
        return cls(registry, name, parsed_tag)

    def __str__(self) -> str:
        """The familiar spelling: `meteor/galaxy-app:latest`, `debian:12`, `registry.example.com:5000/x:1`."""
        return self.name + self._suffix

    @property
    def canonical(self) -> str:
        """The full spelling: `docker.io/library/debian:12`."""
        return self.canonical_name + self._suffix

    @property
    def name(self) -> str:
        """The familiar spelling without tag and digest."""
        if not self.is_docker_hub:
            return self.canonical_name
        first, *rest = self.repository.split("/")
        if first == "library" and len(rest) == 1:
            return rest[0]
        return self.canonical_name if _is_host(first) else self.repository

    @property
    def canonical_name(self) -> str:
        """The full spelling without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def is_docker_hub(self) -> bool:
        """Whether the image is on Docker Hub."""
        return self.registry == DOCKER_HUB

    @property
    def api_host(self) -> str:
        """Host and port that answer the registry's HTTP API."""
        return DOCKER_HUB_API if self.is_docker_hub else self.registry

    @property
    def pinned(self) -> bool:
        """Whether the reference holds a digest, and so can never come to mean another image."""
        return self.digest is not None

    def at(self, digest: str) -> ImageReference:
        """The same repository at this digest, without the tag.

        Raises:
            ValueError: When it is not a digest.
        """
        if not _DIGEST.fullmatch(digest):
            raise ValueError("not a digest: it must be sha256: and 64 hexadecimal digits")
        return replace(self, tag=None, digest=digest)

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def parse_repository(value: object, *, path: str) -> tuple[str, str]:
    """Registry and repository of a name such as `meteor/galaxy-app`, normalised.

    Raises:
        InvalidInput: With `path`.
    """
    if not isinstance(value, str):
        raise refused(path, not_a_string(value), _EXAMPLE_REPOSITORY)
    what = _misplaced(value)
    if what is not None:
        raise refused(path, what, _EXAMPLE_PARTS)
    registry, repository = _split_name(value)
    what = _name_mistake(registry, repository)
    if what is not None:
        raise refused(path, what, _EXAMPLE_REPOSITORY)
    return registry, repository


def parse_tag(value: object, *, path: str) -> str:
    """A tag, as it is: upper and lower case differ.

    Raises:
        InvalidInput: With `path`.
    """
    if not isinstance(value, str):
        raise refused(path, not_a_string(value), _EXAMPLE_TAG)
    if _TAG.fullmatch(value):
        return value
    if not value:
        what = "is empty"
    elif _DIGEST.fullmatch(value) or "@" in value:
        what = "is a digest or holds one; it must be a tag alone"
    elif len(value) > MAX_TAG_LENGTH:
        what = f"has {len(value)} characters; a tag has {MAX_TAG_LENGTH} at most"
    elif any(character.isspace() for character in value):
        what = "has white space in it"
    else:
        what = "is no tag: it has letters, digits, _ . and - only, and begins with no . or -"
    raise refused(path, what, _EXAMPLE_TAG)


def _misplaced(name: str) -> str | None:
    """Says what stands in the name that belongs elsewhere."""
    if "://" in name:
        return "is a URL; it must be a repository's name without https://"
    if "@" in name:
        return "holds a digest or a user; it must be a repository's name alone"
    if _cut_tag(name)[1] is not None:
        return "holds a tag too; put the part after the colon into tag"
    return None


def _name_mistake(registry: str, repository: str) -> str | None:
    name = f"{registry}/{repository}"
    if repository in {"", "library/"}:
        return "is empty or ends after the registry"
    if any(character.isspace() for character in name):
        return "has white space in it"
    if len(name) > MAX_NAME_LENGTH:
        return f"has {len(name)} characters with its registry; {MAX_NAME_LENGTH} is the most"
    host = _HOST.fullmatch(registry)
    if not host or not 0 < int(host["port"] or 1) <= MAX_PORT:
        return "begins with something that is neither a registry's host nor a part of a repository's name"
    return _repository_mistake(registry, repository)


def _repository_mistake(registry: str, repository: str) -> str | None:
    if repository != repository.lower():
        return "has upper-case letters; a repository's name is in lower case"
    if not all(_COMPONENT.fullmatch(component) for component in repository.split("/")):
        return (
            "is no repository's name: a-z and 0-9, single . _ or - between them, parts separated by one slash"
        )
    if registry == DOCKER_HUB and _IMAGE_ID.fullmatch(repository.removeprefix("library/")):
        return "looks like an image ID, which no engine takes for a name"
    return None


def _cut_tag(named: str) -> tuple[str, str | None]:
    """Name and tag; a colon before the last slash belongs to a port."""
    head, colon, tail = named.rpartition(":")
    return (head, tail) if colon and "/" not in tail else (named, None)


def _split_name(name: str) -> tuple[str, str]:
    """Registry and repository, with Docker Hub's several spellings made one."""
    first, slash, rest = name.partition("/")
    registry, repository = (first.lower(), rest) if slash and _is_host(first) else (DOCKER_HUB, name)
    if registry not in _DOCKER_HUB_HOSTS:
        return registry, repository
    return DOCKER_HUB, repository if "/" in repository else f"library/{repository}"


def _is_host(component: str) -> bool:
    """Whether the first part of a name is a host: the rule of distribution's reference grammar."""
    return "." in component or ":" in component or component.lower() == "localhost"


def familiar_name(image: str) -> str:
    """A canonical reference as people write it; as it is, if today's rules refuse it."""
    try:
        return str(ImageReference.parse(image))
    except InvalidInput:
        return image
