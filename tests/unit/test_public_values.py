"""Which values of an app's `env` the log shows."""

from __future__ import annotations

import base64
import string
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from galaxy.domain.output.public_values import PUBLIC_NAMES, PUBLIC_WORDS, is_public

APP = "www.example.com"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ROOT_URL", "https://www.example.com"),
        ("ROOT_URL", "https://www.example.com/"),
        ("ROOT_URL", "https://x7f3kq9z.example.com/shop"),
        ("MOBILE_DDP_URL", "wss://x7f3kq9z.example.com"),
        ("APP", "www.example.com"),
        ("SITE", "https://www.example.com/blog"),
        ("API_URL", "https://api.example.com/v1/users"),
        ("API_URL", "http://localhost:3000"),
        ("API_URL", "http://10.0.0.5:8080/health"),
        ("MONGO_URL", "mongodb://db.example.com/app"),
        ("MONGO_URL", "mongodb://db-1.internal:27017/my-app"),
        ("MONGO_URL", "mongodb+srv://cluster0.example.com/app"),
        ("CACHE", "redis://cache:6379/0"),
        ("DB_HOST", "db.us-east-1.example.com"),
        ("DB_HOST", "db.example.com:27017"),
        ("DB_HOST", "localhost:27017"),
        ("DB_HOST", "127.0.0.1"),
        ("BIND_IP", "0.0.0.0"),
        ("PORT", "3000"),
        ("METEOR_SIGTERM_GRACE_PERIOD_SECONDS", "30"),
        ("LIMIT", "123456"),
        ("LIMIT", "-1500"),
        ("RATIO", "0.7525"),
        ("NODE_ENV", "production"),
        ("NODE_ENV", "preview-eu"),
        ("LOG_LEVEL", "debug"),
        ("LOG_LEVEL", "DEBUG"),
        ("FEATURE", "true"),
        ("FEATURE", " False\n"),
        ("LANG", "en_US.UTF-8"),
        ("REQUIRE_PASSWORD", "false"),
        ("NAME_OF_URL", "ROOT_URL"),
    ],
)
def test_what_everybody_may_know_is_public(name: str, value: str) -> None:
    assert is_public(name, value, APP)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        # a login, or something that may give access
        ("ROOT_URL", "https://user:pw@www.example.com"),
        ("ROOT_URL", "https://token@www.example.com"),
        ("ROOT_URL", "https://www.example.com/?key=abc"),
        ("ROOT_URL", "https://www.example.com/#abc"),
        ("ROOT_URL", "https://www.example.com/0f3c9a7be1d24c55b6aa17e08d92f4c3"),
        ("MONGO_URL", "mongodb://user:pw@db.example.com/app"),
        ("MONGO_URL", "mongodb://db.example.com/app?authSource=admin"),
        ("MAIL_URL", "smtp://postmaster:pw@smtp.example.com:587"),
        ("CHAT", "https://hooks.slack.com/services/T000/B000/XXXX"),
        ("CHAT", "https://discord.com/api/webhooks/123456789012345678/abc"),
        ("CHAT_WEBHOOK", "https://chat.example.com/incoming"),
        ("TUNNEL", "https://x7f3kq9z.ngrok.io"),
        ("API_URL", "https://api.example.com/a/b/c/d"),
        ("API_URL", "https://api.example.com/123/456/789"),
        ("API_URL", "https://api.example.com/%2e%2e/abc"),
        ("API_URL", "https://api.example.com/user@example.com"),
        ("API_URL", "https://api.example.com\n.evil"),
        ("NOTIFY", "tgram://abcdef/ghijkl"),
        # numbers that are long, or are not what they look like
        ("ACCOUNT", "1234567"),
        ("ACCOUNT", "48291734650129"),
        ("ACCOUNT", "1234.5678"),
        ("ACCOUNT", "١٢٣٤"),
        # a name that says so
        ("ADMIN_PIN", "4711"),
        ("DB_PASSWORD", "123456"),
        ("DBPASS", "rosebud.com"),
        ("API_KEY", "abcd.efgh.io"),
        ("TOKEN_URL", "https://login.example.com/token"),
        # words and the rest
        ("NODE_ENV", "0f3c9a7be1d24c55b6aa"),
        ("PORT", "0f3c9a7be1d24c55b6aa"),
        ("GALAXY_CONTAINER_ID", "0f3c9a7be1d24c55b6aa"),
        ("METEOR_SETTINGS", '{"private": {"stripe": "sk_live_1"}}'),
        ("USER", "admin"),
        ("ANY", "hunter2"),
        ("ANY", "correct-horse-battery-staple"),
        ("ANY", "correct.horse"),
        ("ANY", "Rosebud.Com"),
        ("ANY", "production secret"),
        ("ANY", ""),
    ],
)
def test_what_may_be_a_secret_is_none_of_these(name: str, value: str) -> None:
    assert not is_public(name, value, APP)


def test_an_apps_name_is_public_even_if_it_looks_like_a_token() -> None:
    app = "0f3c9a7be1d24c55b6aa.example.com"
    assert is_public("SITE", app, app)
    assert is_public("SITE", f"https://{app}/blog", app)
    assert not is_public("SITE", f"https://ada:pw@{app}/blog", app)
    assert not is_public("SITE", app, APP)


def test_words_are_kept_as_they_are_compared() -> None:
    assert {word.lower() for word in PUBLIC_WORDS} == PUBLIC_WORDS


_NAMES = st.sampled_from([*sorted(PUBLIC_NAMES), "VALUE", "URL", "HOST", "API_KEY", "PASSWORD"])
_BYTES = st.binary(min_size=16, max_size=64)
_ALPHANUMERIC = string.ascii_letters + string.digits
_TOKENS = st.one_of(
    _BYTES.map(bytes.hex),
    _BYTES.map(lambda data: base64.b64encode(data).decode()),
    _BYTES.map(lambda data: base64.urlsafe_b64encode(data).decode().rstrip("=")),
    _BYTES.map(lambda data: base64.b32encode(data).decode()),
    _BYTES.map(lambda data: base64.b32encode(data).decode().lower().rstrip("=")),
    st.integers(0, 2**128 - 1).map(lambda number: str(UUID(int=number))),
    st.integers(10_000_000, 10**20).map(str),
    st.text(_ALPHANUMERIC, min_size=16, max_size=64),
    st.text(string.ascii_lowercase, min_size=16, max_size=64),
    st.tuples(_BYTES, _BYTES, _BYTES).map(
        lambda parts: ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    ),
    st.builds(
        "{}_{}".format, st.sampled_from(["sk_live", "ghp", "xoxb"]), st.text(_ALPHANUMERIC, min_size=16)
    ),
)


@given(name=_NAMES, token=_TOKENS)
def test_a_token_is_never_public(name: str, token: str) -> None:
    assert not is_public(name, token, APP)


_HOSTS = st.sampled_from([APP, "api.example.com", "localhost:3000"])
_SCHEMES = st.sampled_from(["http", "https", "mongodb", "redis", "wss"])
_PLACES = st.sampled_from(
    [
        "{scheme}://{token}@{host}",
        "{scheme}://user:{token}@{host}/app",
        "{scheme}://{host}/{token}",
        "{scheme}://{host}/services/{token}/x",
        "{scheme}://{host}/app?sig={token}",
        "{scheme}://{host}/?{token}",
        "{scheme}://{host}/app#{token}",
        "{host}/{token}",
        "{token}@{host}",
    ]
)


@given(name=_NAMES, token=_TOKENS, scheme=_SCHEMES, host=_HOSTS, place=_PLACES)
def test_a_url_with_a_token_in_it_is_never_public(
    name: str, token: str, scheme: str, host: str, place: str
) -> None:
    assert not is_public(name, place.format(token=token, scheme=scheme, host=host), APP)


@given(
    name=_NAMES,
    password=st.text(st.characters(exclude_characters="\n", codec="utf-8"), min_size=1, max_size=8),
    host=_HOSTS,
)
def test_a_url_with_a_login_is_never_public_however_short_its_password(
    name: str, password: str, host: str
) -> None:
    assert not is_public(name, f"https://ada:{password}@{host}", APP)
