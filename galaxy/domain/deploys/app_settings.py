"""The app's settings.json: what our section of it says about the image, and the rest as it came."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from galaxy.domain.base_images.image_reference import DOCKER_HUB, ImageReference, parse_repository, parse_tag
from galaxy.domain.deploys.near_misses import is_like, meant
from galaxy.domain.deploys.problems import MAX_LISTED, Problems, json_path, kind, quoted, refused
from galaxy.domain.deploys.strict_json import is_unicode, parse_document

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

#: Set by the platform for every container, in the end: the value of the app's `env` would never be seen.
#: ROOT_URL and the others that the platform sets are defaults, which `env` may replace, as on Galaxy.
PLATFORM_ENV: Final = frozenset({"PORT", "METEOR_SETTINGS"})
PLATFORM_ENV_PREFIX: Final = "GALAXY_"

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

#: Other words for our keys, in the form of `folded`; misspellings of all these words are found by likeness.
_SECTION_WORDS: Final = MappingProxyType(
    {
        "baseimage": "baseImage",
        "env": "env",
        "envs": "env",
        "envvars": "env",
        "environment": "env",
        "environmentvariables": "env",
    }
)
_BASE_IMAGE_WORDS: Final = MappingProxyType(
    {
        "repository": "repository",
        "repo": "repository",
        "image": "repository",
        "name": "repository",
        "tag": "tag",
        "tags": "tag",
        "version": "tag",
    }
)

_EXAMPLE_BASE_IMAGE: Final = '{"repository": "meteor/galaxy-app", "tag": "latest"}'
_EXAMPLE_ENV: Final = '{"MONGO_URL": "mongodb://db.example.com/app"}'
_EXAMPLES: Final = MappingProxyType(
    {
        "baseImage": f'"baseImage": {_EXAMPLE_BASE_IMAGE}',
        "env": f'"env": {_EXAMPLE_ENV}',
        "repository": '"repository": "meteor/galaxy-app"',
        "tag": '"tag": "latest"',
    }
)


@dataclass(frozen=True, slots=True)
class DeployRules:
    """What the operator lets a deploy say.

    Attributes:
        section: The key of settings.json whose value is ours.
        settings_max_bytes: Most bytes that the settings' text may take in UTF-8.
        default_base_image: For settings without a `baseImage`.
        allowed_registries: Hosts, with their ports, that base images may come from besides Docker Hub.
    """

    section: str
    settings_max_bytes: int
    default_base_image: ImageReference
    allowed_registries: tuple[str, ...] = ()

    def allows(self, registry: str) -> bool:
        """Whether base images may come from this registry (a host in lower case)."""
        return registry == DOCKER_HUB or registry in {host.lower() for host in self.allowed_registries}


@dataclass(frozen=True, slots=True)
class AppSettings:
    """Settings that were read and found right.

    Attributes:
        text: The whole document as it came (JSON text, without a byte order mark): what the app is given.
        content: The same, decoded.
        base_image: What the app is built on.
        base_image_given: Whether the settings named it; else it is the default.
        env: The app's environment variables. A value may be secret.
        warnings: What was accepted and yet may be a mistake, as sentences; `MAX_LISTED` at most.
    """

    text: str = field(repr=False)
    content: Mapping[str, object] = field(repr=False)
    base_image: ImageReference
    base_image_given: bool
    env: Mapping[str, str] = field(repr=False)
    warnings: tuple[str, ...] = ()

    @classmethod
    def parse(cls, value: object, rules: DeployRules) -> AppSettings:
        """Read settings from JSON text, UTF-8 bytes, or a decoded JSON object.

        Raises:
            InvalidInput: With the JSON path of every mistake.
        """
        problems = Problems()
        document = parse_document(value, max_bytes=rules.settings_max_bytes, problems=problems)
        section = document.content.get(rules.section, {})
        if not isinstance(section, dict):
            what = f"must be an object, not {kind(section)}"
            problems.add(json_path(rules.section), what, "{" + _EXAMPLES["baseImage"] + "}")
            section = {}
        _refuse_near_misses(section, rules, problems)
        base_image = rules.default_base_image
        env: dict[str, str] = {}
        with problems.gathered():
            if "baseImage" in section:
                base_image = _parse_base_image(section["baseImage"], rules)
        with problems.gathered():
            env = _parse_env(section.get("env", {}), rules)
        problems.refuse()
        return cls(
            text=document.text,
            content=document.content,
            base_image=base_image,
            base_image_given="baseImage" in section,
            env=MappingProxyType(env),
            warnings=tuple(_warnings(document.content, section, env, rules)[:MAX_LISTED]),
        )


def _refuse_near_misses(section: Mapping[str, object], rules: DeployRules, problems: Problems) -> None:
    for key in section:
        word = meant(key, _SECTION_WORDS)
        if word not in {None, key}:
            problems.add(
                json_path(rules.section, key),
                f"is not a key of this section; write {quoted(word)}",
                _EXAMPLES[word],
            )


def _parse_base_image(value: object, rules: DeployRules) -> ImageReference:
    at = json_path(rules.section, "baseImage")
    if value is None:
        what = f"is null; leave it out to build on {rules.default_base_image}"
        raise refused(at, what, _EXAMPLE_BASE_IMAGE)
    if not isinstance(value, dict):
        what = f"must be an object with repository and tag, not {kind(value)}"
        raise refused(at, what, _EXAMPLE_BASE_IMAGE)
    problems = Problems()
    for key in value:
        if key in {"repository", "tag"}:
            continue
        word = meant(key, _BASE_IMAGE_WORDS)
        hint = f"; write {quoted(word)}" if word else ""
        what = f"is unknown; baseImage has repository and tag, nothing else{hint}"
        problems.add(json_path(rules.section, "baseImage", key), what, _EXAMPLE_BASE_IMAGE)
    at_repository = json_path(rules.section, "baseImage", "repository")
    with problems.gathered():
        registry, repository = parse_repository(value.get("repository"), path=at_repository)
        _check_registry(registry, rules, at_repository)
    with problems.gathered():
        tag = parse_tag(value.get("tag"), path=json_path(rules.section, "baseImage", "tag"))
    problems.refuse()
    return ImageReference(registry, repository, tag)


def _check_registry(registry: str, rules: DeployRules, path: str) -> None:
    if rules.allows(registry):
        return
    hosts = " or ".join(("Docker Hub", *rules.allowed_registries))
    what = f"names the registry {registry}, but a base image must be public on {hosts}"
    raise refused(path, what, '"meteor/galaxy-app"')


def _parse_env(value: object, rules: DeployRules) -> dict[str, str]:
    if not isinstance(value, dict):
        what = f"must be an object of names and strings, not {kind(value)}"
        raise refused(json_path(rules.section, "env"), what, _EXAMPLE_ENV)
    problems = Problems()
    for name, text in value.items():
        path = json_path(rules.section, "env", name)
        if not _ENV_NAME.fullmatch(name):
            what = "is no name of an environment variable: letters, digits and _, not beginning with a digit"
            problems.add(path, what, _EXAMPLE_ENV)
        if not isinstance(text, str):
            problems.add(path, f"must be a string, not {kind(text)}", _EXAMPLE_ENV)
        elif "\0" in text or not is_unicode(text):
            what = "has a NUL character or half of a surrogate pair, which no environment variable can hold"
            problems.add(path, what, _EXAMPLE_ENV)
    problems.refuse()
    return dict(value)


def _warnings(
    content: Mapping[str, object], section: Mapping[str, object], env: Collection[str], rules: DeployRules
) -> list[str]:
    ours = quoted(rules.section)
    unlike = [key for key in content if key != rules.section and is_like(key, rules.section)]
    unknown = sorted(section.keys() - {"baseImage", "env"})
    platform = sorted(name for name in env if name in PLATFORM_ENV or name.startswith(PLATFORM_ENV_PREFIX))
    return [
        *(
            f"The settings' key {quoted(key)} is left to the app; our section is spelled {ours}."
            for key in unlike
        ),
        *(
            f"The key {quoted(key)} of the settings' section {ours} is unknown and has no effect."
            for key in unknown
        ),
        *(
            f"The platform sets {quoted(name)} itself; the value in the settings' env has no effect."
            for name in platform
        ),
    ]
