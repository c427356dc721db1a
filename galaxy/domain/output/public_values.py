"""Which values of an app's `env` anybody may read, so that the log shows them."""

from __future__ import annotations

import re
from typing import Final

#: These hide nothing: whoever reads this file can try them all. Compared without case.
PUBLIC_WORDS: Final = frozenset({
    "true", "false", "yes", "no", "on", "off", "none", "null", "undefined", "enabled", "disabled",
    "production", "development", "staging", "testing", "test", "local", "localhost", "default", "auto", "always",
    "never", "trace", "verbose", "debug", "info", "notice", "warn", "warning", "error", "fatal", "silent",
    "en", "en-us", "en_us", "en_us.utf-8", "en_us.utf8", "c.utf-8", "c.utf8", "utf-8", "utf8", "utc",
})  # fmt: skip

#: Variables of Meteor and of the platform. Their names are public wherever they stand as a value.
PUBLIC_NAMES: Final = frozenset({
    "BIND_IP", "DDP_DEFAULT_CONNECTION_URL", "DISABLE_SOCKJS", "DISABLE_WEBSOCKETS", "GALAXY_APP_ID",
    "GALAXY_APP_VERSION_ID", "GALAXY_CONTAINER_ID", "HTTP_FORWARDED_COUNT", "MAIL_URL", "METEOR_SETTINGS",
    "METEOR_SIGTERM_GRACE_PERIOD_SECONDS", "MOBILE_DDP_URL", "MOBILE_ROOT_URL", "MONGO_OPLOG_URL", "MONGO_URL",
    "NODE_ENV", "NODE_OPTIONS", "PORT", "ROOT_URL",
})  # fmt: skip

#: A variable whose name has one of these parts, or one of these words between `_`, holds a secret.
_SECRET_PARTS: Final = ("pass", "pwd", "secret", "token", "key", "cred", "private", "salt", "hook")
_SECRET_WORDS: Final = frozenset({"pin", "otp", "pw", "psk", "code", "dsn"})

_MAX_DIGITS: Final = 6
_NUMBER: Final = re.compile(r"[+-]?\d+(?:[.,]\d+)?", re.ASCII)

#: What people write and generators of tokens do not: a lower-case word, perhaps with a number after it.
_PLAIN: Final = r"(?:[a-z]{1,15}\d{0,3}|\d{1,4})"
_PLAIN_NAME: Final = rf"{_PLAIN}(?:-{_PLAIN}){{0,3}}"
_PLAIN_HOST: Final = rf"{_PLAIN_NAME}(?:\.{_PLAIN_NAME}){{0,5}}"
_SEGMENT: Final = rf"{_PLAIN}(?:[-_.]{_PLAIN}){{0,2}}"
_PATH: Final = rf"(?P<path>(?:/{_SEGMENT}){{0,3}}/?)"
_PORT: Final = r"(?::\d{1,5})?"
_MAX_PATH_LENGTH: Final = 40

_SCHEMES: Final = (
    r"https?|wss?|ddp|mongodb(?:\+srv)?|rediss?|postgres(?:ql)?|mysql|mariadb"
    r"|amqps?|nats|kafka|smtps?|s?ftp|ldaps?|tcp|udp"
)
_ADDRESS: Final = re.compile(rf"(?:{_SCHEMES})://(?P<host>{_PLAIN_HOST}){_PORT}{_PATH}", re.ASCII)
#: Whatever their host is: browsers and mobile apps are given these addresses.
_OWN_ADDRESS: Final = re.compile(rf"(?:https?|wss?|ddp)://[A-Za-z0-9.-]{{1,253}}{_PORT}{_PATH}", re.ASCII)
_OWN_ADDRESSES: Final = frozenset(
    {"ROOT_URL", "MOBILE_ROOT_URL", "MOBILE_DDP_URL", "DDP_DEFAULT_CONNECTION_URL"}
)
_NODE_ENV: Final = re.compile(_PLAIN_NAME, re.ASCII)

#: Without a scheme, this tells a hostname from two words with a dot between them.
_LAST_LABELS: Final = (
    r"com|net|org|edu|gov|io|dev|app|cloud|info|biz|[a-z]{2}"
    r"|local|localdomain|internal|lan|svc|test|example|invalid"
)
_ADDRESS_V4: Final = r"\d{1,3}(?:\.\d{1,3}){3}"
_HOST: Final = re.compile(
    rf"(?:localhost|{_ADDRESS_V4}|(?:{_PLAIN_NAME}\.){{1,5}}(?:{_LAST_LABELS})){_PORT}", re.ASCII
)


def is_public(name: str, value: str, app: str) -> bool:
    """Whether the log may show a value of an app's `env`; everything else is a secret.

    Public are:

    - the app's name, the words in `PUBLIC_WORDS` (among them booleans), and the names in `PUBLIC_NAMES`;
    - numbers of up to 6 digits;
    - hostnames and addresses of hosts, with or without a port;
    - URLs of a known scheme with nothing but a host, a port and a short plain path: no login, no query, no fragment.
      A plain path has at most three parts, made of lower-case words and short numbers. A longer or random path may be
      what gives access, as in the URL of a webhook;
    - the addresses of the app itself in Meteor's own variables such as `ROOT_URL`, whatever their host, and `NODE_ENV`.

    But for the first line, nothing is public in a variable whose name says that it is a secret: `ADMIN_PIN`, `API_KEY`.
    In doubt a value is a secret: hiding too much is a nuisance, and showing too much can't be taken back.

    Args:
        name: Of the environment variable.
        value: As it stands in the settings.
        app: The app's name, a hostname.
    """
    value = value.strip()
    if value in {app, *PUBLIC_NAMES} or value.lower() in PUBLIC_WORDS:
        return True
    if _says_secret(name):
        return False
    return _is_number(value) or _is_address(name, value, app) or bool(_HOST.fullmatch(value))


def _says_secret(name: str) -> bool:
    name = name.lower()
    return any(part in name for part in _SECRET_PARTS) or not _SECRET_WORDS.isdisjoint(name.split("_"))


def _is_number(value: str) -> bool:
    return _digits(value) <= _MAX_DIGITS and bool(_NUMBER.fullmatch(value))


def _is_address(name: str, value: str, app: str) -> bool:
    if name == "NODE_ENV" and _NODE_ENV.fullmatch(value):
        return True
    pattern = _OWN_ADDRESS if name in _OWN_ADDRESSES else _ADDRESS
    # an app may have a name that looks like a token
    found = pattern.fullmatch(value) or _ADDRESS.fullmatch(value.replace(f"://{app}", "://app", 1))
    return (
        found is not None and len(found["path"]) <= _MAX_PATH_LENGTH and _digits(found["path"]) <= _MAX_DIGITS
    )


def _digits(text: str) -> int:
    return sum(map(str.isdigit, text))
