from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from galaxy.domain.deploys.run_settings import HealthCheck, RunSettings, parse_run_settings
from galaxy.domain.errors import InvalidInput

OURS = '$["galaxy.meteor.com"]'
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.lists(st.text(), max_size=3),
    st.dictionaries(st.sampled_from(["path", "timeout", "x"]), st.text(), max_size=3),
)


def parse(**section: object) -> RunSettings:
    return parse_run_settings(section, "galaxy.meteor.com")


def problems_of(**section: object) -> dict[str, str]:
    """What is wrong, by path."""
    with pytest.raises(InvalidInput) as refusal:
        parse(**section)
    return {problem.path: problem.what for problem in refusal.value.problems}


def test_without_a_word_about_it_galaxys_rules_hold() -> None:
    assert parse() == RunSettings(
        health_check=HealthCheck(path="/", timeout_s=5, deadline_s=600),
        grace_period_s=30,
        domains=(),
        replace_containers=True,
    )


def test_everything_can_be_chosen() -> None:
    settings = parse(
        healthCheck={"path": "/health?of=db", "timeout": 1, "deadline": 3600},
        gracePeriod=600,
        domains=["WWW.Example.com", "example.org"],
        replaceContainers=False,
    )
    assert settings == RunSettings(
        health_check=HealthCheck(path="/health?of=db", timeout_s=1, deadline_s=3600),
        grace_period_s=600,
        domains=("www.example.com", "example.org"),
        replace_containers=False,
    )


def test_an_app_without_a_web_server_says_so() -> None:
    assert parse(healthCheck=False).health_check is None


def test_what_is_left_out_of_a_health_check_has_its_default() -> None:
    assert parse(healthCheck={"deadline": 5}).health_check == HealthCheck(deadline_s=5)


@pytest.mark.parametrize(
    ("section", "path", "what"),
    [
        (
            {"healthCheck": True},
            ".healthCheck",
            "must be an object, or false for an app without a web server",
        ),
        ({"healthCheck": None}, ".healthCheck", "not null"),
        ({"healthCheck": {"path": "health"}}, ".healthCheck.path", "must begin with a slash"),
        ({"healthCheck": {"path": "/a b"}}, ".healthCheck.path", "percent-encode it"),
        ({"healthCheck": {"path": "/\r\nX: y"}}, ".healthCheck.path", "percent-encode it"),
        ({"healthCheck": {"path": "/#top"}}, ".healthCheck.path", "percent-encode it"),
        ({"healthCheck": {"path": "/" * 1025}}, ".healthCheck.path", "1024 is the most"),
        ({"healthCheck": {"timeout": 0.5}}, ".healthCheck.timeout", "from 1 to 60 seconds"),
        ({"healthCheck": {"timeout": "5"}}, ".healthCheck.timeout", "a number of seconds, not a string"),
        (
            {"healthCheck": {"timeout": True}},
            ".healthCheck.timeout",
            "a number of seconds, not true or false",
        ),
        ({"healthCheck": {"deadline": 4.9}}, ".healthCheck.deadline", "from 5 to 3600 seconds"),
        ({"healthCheck": {"deadline": 3601}}, ".healthCheck.deadline", "from 5 to 3600 seconds"),
        ({"healthCheck": {"deadline": math.nan}}, ".healthCheck.deadline", "from 5 to 3600 seconds"),
        ({"healthCheck": {"timeOut": 5}}, ".healthCheck.timeOut", 'write "timeout"'),
        ({"healthCheck": {"retries": 5}}, ".healthCheck.retries", "is unknown"),
        ({"gracePeriod": 9}, ".gracePeriod", "from 10 to 600 seconds"),
        ({"gracePeriod": 10**400}, ".gracePeriod", "from 10 to 600 seconds"),
        ({"gracePeriod": "30s"}, ".gracePeriod", "a number of seconds, not a string"),
        ({"domains": "www.example.com"}, ".domains", "must be an array of hostnames, not a string"),
        ({"domains": ["https://x.example"]}, ".domains[0]", "a hostname alone"),
        ({"domains": ["a.example", "A.example"]}, ".domains[1]", "is there twice"),
        ({"domains": ["a.example"] * 101}, ".domains", "100 is the most"),
        ({"replaceContainers": "no"}, ".replaceContainers", "must be true or false"),
    ],
)
def test_a_mistake_is_told_with_its_place(section: dict[str, object], path: str, what: str) -> None:
    (told,) = [text for at, text in problems_of(**section).items() if at == OURS + path]
    assert what in told


def test_all_mistakes_are_told_at_once() -> None:
    found = problems_of(healthCheck={"path": 1, "timeout": 0}, gracePeriod=1, domains=[None, "-"])
    assert list(found) == [
        f"{OURS}.healthCheck.path",
        f"{OURS}.healthCheck.timeout",
        f"{OURS}.gracePeriod",
        f"{OURS}.domains[0]",
        f"{OURS}.domains[1]",
    ]


@given(st.sampled_from(["healthCheck", "gracePeriod", "domains", "replaceContainers"]), VALUES)
def test_any_value_is_settings_or_refused_with_its_place(key: str, value: object) -> None:
    try:
        settings = parse(**{key: value})
    except InvalidInput as error:
        places = [problem.path.startswith(f"{OURS}.{key}") for problem in error.problems]
    else:
        places = [10 <= settings.grace_period_s <= 600]
    assert places
    assert all(places)
