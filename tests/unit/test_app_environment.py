from __future__ import annotations

import pytest

from galaxy.domain.app_environment import Served, environment, root_url

SERVED = Served("www.example.com", 3, '{"public": {}}', {"MONGO_URL": "mongodb://db"})


def made(**env: str) -> dict[str, str]:
    served = SERVED._replace(env=env)
    return environment(served, container="v3-0-0-1", port=3000, router_url="http://127.0.0.1:8080")


def test_an_app_is_told_where_it_is_and_what_it_may_expect() -> None:
    assert made(MONGO_URL="mongodb://db") == {
        "PORT": "3000",
        "ROOT_URL": "http://www.example.com:8080",
        "METEOR_SETTINGS": '{"public": {}}',
        "GALAXY_APP_ID": "www.example.com",
        "GALAXY_APP_VERSION_ID": "3",
        "GALAXY_CONTAINER_ID": "v3-0-0-1",
        "HTTP_FORWARDED_COUNT": "1",
        "METEOR_SIGTERM_GRACE_PERIOD_SECONDS": "30",
        "MONGO_URL": "mongodb://db",
    }


@pytest.mark.parametrize("name", ["ROOT_URL", "HTTP_FORWARDED_COUNT", "METEOR_SIGTERM_GRACE_PERIOD_SECONDS"])
def test_what_the_platform_proposes_the_app_may_replace(name: str) -> None:
    assert made(**{name: "mine"})[name] == "mine"


@pytest.mark.parametrize("name", ["PORT", "METEOR_SETTINGS", "GALAXY_APP_ID", "GALAXY_ANYTHING"])
def test_what_the_platform_decides_the_app_may_not_replace(name: str) -> None:
    assert made(**{name: "mine"}).get(name) != "mine"


@pytest.mark.parametrize(
    ("domains", "router_url", "url"),
    [
        ((), "http://127.0.0.1:8080", "http://www.example.com:8080"),
        (("shop.example.org", "example.org"), "https://apps.example.com", "https://shop.example.org"),
    ],
)
def test_the_root_url_is_the_first_domain_as_people_reach_it(
    domains: tuple[str, ...], router_url: str, url: str
) -> None:
    assert root_url("www.example.com", domains, router_url) == url
