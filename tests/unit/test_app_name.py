from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from galaxy.domain.deploys.app_name import AppName, image_repository, parse_app_name
from galaxy.domain.errors import InvalidInput

COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
REPOSITORY = re.compile(rf"{COMPONENT}(?:/{COMPONENT})*")
LONGEST = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])

labels = st.from_regex(r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?", fullmatch=True)
hostnames = (
    st.lists(labels, min_size=1, max_size=8)
    .map(".".join)
    .filter(
        lambda name: len(name) <= 253 and not re.fullmatch(r"[0-9]+|0[xX][0-9a-fA-F]*", name.split(".")[-1])
    )
)


@pytest.mark.parametrize(
    "name",
    [
        "www.example.com",
        "localhost",
        "my-app",
        "a--b.example.com",
        "xn--bcher-kva.example",
        "1.2.3.4a",
        "3com.com",
        LONGEST,
    ],
)
def test_hostnames_are_kept_as_they_are(name: str) -> None:
    assert parse_app_name(name) == name


def test_upper_case_becomes_lower_case() -> None:
    assert parse_app_name("WWW.Example.COM") == "www.example.com"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "empty"),
        (" www.example.com", "' '"),
        ("www.example.com\n", r"'\n'"),
        ("www.example.com\0", r"'\x00'"),
        ("my_app.example.com", "'_'"),
        ("-rf", "hyphen"),
        ("a.b-.c", "hyphen"),
        (".example.com", "empty part"),
        ("www..example.com", "empty part"),
        ("www.example.com.", "ends with a dot"),
        ("https://www.example.com", "without scheme"),
        ("www.example.com:80", "without scheme"),
        ("www.example.com/path", "without scheme"),
        ("192.168.0.1", "number"),
        ("example.0X1F", "number"),
        ("a" * 64 + ".com", "64 characters"),
        (LONGEST + "d", "254 characters"),
        ("b\u00fccher.example", "punycode"),
        ("\u212aelvin.example", "punycode"),
        ("\ud800", "punycode"),
        (None, "missing"),
        (True, "true or false"),
        (3, "a number"),
        (["a"], "an array"),
        (b"www.example.com", "bytes"),
    ],
)
def test_what_is_no_hostname_is_refused_with_the_reason(name: object, said: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_app_name(name)
    assert said in refusal.value.message
    assert [problem.path for problem in refusal.value.problems] == ["app"]


def test_a_url_in_place_of_the_name_is_not_repeated() -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_app_name("https://user:hunter2@example.com/?sig=hunter2")
    assert "hunter2" not in str(refusal.value)


@given(hostnames)
def test_every_hostname_has_an_image_repository_that_docker_accepts(name: str) -> None:
    repository = image_repository(parse_app_name(name))
    assert REPOSITORY.fullmatch(repository)
    assert len(f"registry-of-our-own.platform.internal.example.com:65535/{repository}") <= 255


def test_the_longest_name_has_an_image_repository_that_docker_accepts() -> None:
    repository = image_repository(parse_app_name(LONGEST))
    assert REPOSITORY.fullmatch(repository)
    assert len(repository) <= 180


@pytest.mark.parametrize("cut_at", [".", "-"])
def test_a_cut_name_never_ends_in_punctuation(cut_at: str) -> None:
    name = AppName(f"{'a' * 50}.{'b' * 50}.{'c' * 47}{cut_at}{'d' * 10}.{'e' * 60}.com")
    assert name[149] == cut_at
    assert REPOSITORY.fullmatch(image_repository(parse_app_name(name)))


def test_ordinary_names_stand_in_their_repository_unchanged() -> None:
    assert image_repository(parse_app_name("www.example.com")) == "apps/www.example.com"


def test_long_names_that_share_their_beginning_have_different_repositories() -> None:
    one, other = (parse_app_name(LONGEST[:-1] + end) for end in "xy")
    assert image_repository(one) != image_repository(other)
