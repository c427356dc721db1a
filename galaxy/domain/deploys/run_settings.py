"""What an app's settings say about running it: health checks, grace period, domains."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from galaxy.domain.deploys.app_name import parse_app_name
from galaxy.domain.deploys.near_misses import meant
from galaxy.domain.deploys.problems import Problems, json_path, kind, quoted, refused
from galaxy.domain.errors import InvalidInput
from galaxy.domain.models import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

#: As Galaxy: a new version gets at least ten minutes for all containers to become healthy.
_DEADLINE_S: Final = 600.0
_MAX_DOMAINS: Final = 100
_MAX_PATH_LENGTH: Final = 1024

#: Keys of our section that this module reads.
RUN_KEYS: Final = ("healthCheck", "gracePeriod", "domains", "replaceContainers")
#: Other words for them, see `near_misses.meant`.
RUN_WORDS: Final = MappingProxyType(
    {
        "healthcheck": "healthCheck",
        "healthchecks": "healthCheck",
        "health": "healthCheck",
        "graceperiod": "gracePeriod",
        "graceperiodseconds": "gracePeriod",
        "domains": "domains",
        "domain": "domains",
        "hostnames": "domains",
        "replacecontainers": "replaceContainers",
    }
)
RUN_EXAMPLES: Final = MappingProxyType(
    {
        "healthCheck": '"healthCheck": {"path": "/", "timeout": 5, "deadline": 600}',
        "gracePeriod": '"gracePeriod": 30',
        "domains": '"domains": ["www.example.com"]',
        "replaceContainers": '"replaceContainers": true',
    }
)
_CHECK_WORDS: Final = MappingProxyType(
    {
        "path": "path",
        "url": "path",
        "timeout": "timeout",
        "timeouts": "timeout",
        "timeoutseconds": "timeout",
        "deadline": "deadline",
        "deadlineseconds": "deadline",
    }
)
#: From and to, in seconds, both allowed.
_TIMEOUT_S: Final = (1.0, 60.0)
_DEADLINES_S: Final = (5.0, 3600.0)
_GRACE_S: Final = (10.0, 600.0)


class HealthCheck(Frozen):
    """How it is found out whether a container serves: `GET path` on its port, from outside.

    Attributes:
        path: Of the request, with its query.
        timeout_s: For one well-formed HTTP answer.
        deadline_s: For all containers of a new version to answer.
    """

    path: str = "/"
    timeout_s: float = 5.0
    deadline_s: float = _DEADLINE_S


class RunSettings(Frozen):
    """How an app's containers are run.

    Attributes:
        health_check: None for an app without a web server, whose containers only have to run.
        grace_period_s: From SIGTERM to SIGKILL; a drain takes as long at most.
        domains: Further hostnames that the app answers to.
        replace_containers: Containers that die or stay unhealthy are replaced.
    """

    health_check: HealthCheck | None = HealthCheck()
    grace_period_s: float = 30.0
    domains: tuple[str, ...] = ()
    replace_containers: bool = True


DEFAULT: Final = RunSettings()


def parse_run_settings(section: Mapping[str, object], name: str) -> RunSettings:
    """Reads our section's keys about running the app; keys that are not there keep their defaults.

    Args:
        section: Our section of settings.json.
        name: Its key, for the paths of mistakes.

    Raises:
        InvalidInput: With the JSON path of every mistake.
    """
    problems = Problems()
    found: dict[str, object] = {}
    if "healthCheck" in section:
        with problems.gathered():
            found["health_check"] = _health_check(section["healthCheck"], name)
    if "gracePeriod" in section:
        with problems.gathered():
            path = json_path(name, "gracePeriod")
            found["grace_period_s"] = _seconds(section["gracePeriod"], path, _GRACE_S, "30")
    if "domains" in section:
        with problems.gathered():
            found["domains"] = _domains(section["domains"], name)
    if "replaceContainers" in section:
        with problems.gathered():
            found["replace_containers"] = _flag(
                section["replaceContainers"], json_path(name, "replaceContainers")
            )
    problems.refuse()
    return RunSettings.model_validate(found)


def _health_check(value: object, name: str) -> HealthCheck | None:
    example = '{"path": "/", "timeout": 5, "deadline": 600}'
    if value is False:
        return None
    if not isinstance(value, dict):
        what = f"must be an object, or false for an app without a web server, not {kind(value)}"
        raise refused(json_path(name, "healthCheck"), what, example)
    problems = Problems()
    found: dict[str, object] = {}
    for key, given in value.items():
        path = json_path(name, "healthCheck", key)
        with problems.gathered():
            if key == "path":
                found["path"] = _path(given, path)
            elif key == "timeout":
                found["timeout_s"] = _seconds(given, path, _TIMEOUT_S, "5")
            elif key == "deadline":
                found["deadline_s"] = _seconds(given, path, _DEADLINES_S, "600")
            else:
                word = meant(key, _CHECK_WORDS)
                hint = f"; write {quoted(word)}" if word else ""
                problems.add(path, f"is unknown; healthCheck has path, timeout and deadline{hint}", example)
    problems.refuse()
    return HealthCheck.model_validate(found)


def _path(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise refused(path, f"must be a string, not {kind(value)}", '"/"')
    if not value.startswith("/"):
        raise refused(path, "must begin with a slash", '"/health"')
    if len(value) > _MAX_PATH_LENGTH:
        raise refused(path, f"has {len(value)} characters; {_MAX_PATH_LENGTH} is the most", '"/health"')
    if not all("!" <= character <= "~" for character in value) or "#" in value:
        what = "has a character that no request may hold; percent-encode it"
        raise refused(path, what, '"/health?of=db"')
    return value


def _seconds(value: object, path: str, limits: tuple[float, float], example: str) -> float:
    least, most = limits
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refused(path, f"must be a number of seconds, not {kind(value)}", example)
    if not least <= value <= most:  # nor is NaN
        raise refused(path, f"must be from {least:g} to {most:g} seconds", example)
    return float(value)


def _flag(value: object, path: str) -> bool:
    if not isinstance(value, bool):
        raise refused(path, f"must be true or false, not {kind(value)}", "true")
    return value


def _domains(value: object, name: str) -> tuple[str, ...]:
    example = '["www.example.com"]'
    if not isinstance(value, list):
        raise refused(
            json_path(name, "domains"), f"must be an array of hostnames, not {kind(value)}", example
        )
    if len(value) > _MAX_DOMAINS:
        what = f"has {len(value)} hostnames; {_MAX_DOMAINS} is the most"
        raise refused(json_path(name, "domains"), what, example)
    problems = Problems()
    domains: list[str] = []
    for index, each in enumerate(value):
        path = json_path(name, "domains", index)
        try:
            domain = str(parse_app_name(each))
        except InvalidInput as error:
            for problem in error.problems:
                problems.add(path, problem.what, '"www.example.com"')
            continue
        if domain in domains:
            problems.add(path, "is there twice", '"www.example.com"')
        domains.append(domain)
    problems.refuse()
    return tuple(domains)
