"""The environment of app containers: what the platform says, and what the app's settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from galaxy.domain.deploys.app_settings import PLATFORM_ENV, PLATFORM_ENV_PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Proxies between a client and an app: Meteor takes the client's address from X-Forwarded-For by this.
_PROXIES: Final = 1


class Served(NamedTuple):
    """What a version is served as.

    Attributes:
        settings: The whole settings.json (JSON text).
        env: The `env` of its section of ours.
        domains: Further hostnames of the app.
        grace_s: From SIGTERM to SIGKILL.
    """

    app: str
    version: int
    settings: str
    env: Mapping[str, str]
    domains: tuple[str, ...] = ()
    grace_s: float = 30.0


def root_url(app: str, domains: tuple[str, ...], router_url: str) -> str:
    """The address under which people reach the app: its first domain, with scheme and port of the router.

    Args:
        app: Its name, which is a hostname, too.
        domains: Further hostnames; the first of them is the app's public name.
        router_url: Where people reach the router, such as `https://apps.example.com` or `http://127.0.0.1:8080`.
    """
    parts = urlsplit(router_url)
    host = domains[0] if domains else app
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


def environment(served: Served, *, container: str, port: int, router_url: str) -> dict[str, str]:
    """Variables that a container gets besides those of its image.

    The app's own `env` comes last, and may replace all but PORT, METEOR_SETTINGS and what begins with `GALAXY_`
    (https://galaxy-guide.meteor.com/environment-variables lists what Galaxy sets).

    Args:
        served: The version.
        container: What people see of the container's name.
        port: On which the app has to listen.
        router_url: See `root_url`.
    """
    platform = {
        "PORT": str(port),
        "METEOR_SETTINGS": served.settings,
        "GALAXY_APP_ID": served.app,
        "GALAXY_APP_VERSION_ID": str(served.version),
        "GALAXY_CONTAINER_ID": container,
    }
    defaults = {
        "ROOT_URL": root_url(served.app, served.domains, router_url),
        "HTTP_FORWARDED_COUNT": str(_PROXIES),
        "METEOR_SIGTERM_GRACE_PERIOD_SECONDS": f"{served.grace_s:g}",
    }
    own = {
        name: value
        for name, value in served.env.items()
        if name not in PLATFORM_ENV and not name.startswith(PLATFORM_ENV_PREFIX)
    }
    return {**defaults, **own, **platform}
