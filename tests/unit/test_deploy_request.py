from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from galaxy.domain.base_images.image_reference import ImageReference
from galaxy.domain.deploys.app_settings import DeployRules
from galaxy.domain.deploys.deploy_request import MAX_URL_LENGTH, DeployRequest, parse_bundle_url
from galaxy.domain.errors import InvalidInput

RULES = DeployRules("galaxy.meteor.com", 32 * 1024, ImageReference.parse("meteor/galaxy-app:latest"))
URL = "https://bundles.example.com/www-42.tar.gz"
SECRET = "hunter2-do-not-tell"


def request(**arguments: object) -> DeployRequest:
    right: dict[str, object] = {"app": "www.example.com", "settings": "{}", "bundle_url": URL}
    return DeployRequest.parse(**(right | arguments), rules=RULES)


def refusal_of(**arguments: object) -> InvalidInput:
    with pytest.raises(InvalidInput) as refusal:
        request(**arguments)
    return refusal.value


def test_a_request_holds_what_was_asked_for() -> None:
    asked = request(app="WWW.example.com", deployed_by="jane", idempotency_key="k 1")
    assert (asked.app, asked.bundle_url) == ("www.example.com", URL)
    assert (asked.deployed_by, asked.idempotency_key) == ("jane", "k 1")
    assert asked.settings.base_image == RULES.default_base_image


def test_who_deploys_is_unknown_unless_said() -> None:
    assert request().deployed_by == "unknown"
    assert request().idempotency_key is None


def test_every_mistake_of_every_argument_is_told_one_a_line() -> None:
    settings = {
        "a": math.nan,
        "galaxy.meteor.com": {"baseImage": {"repository": "A"}, "Env": {}, "env": {"1": ""}},
    }
    error = refusal_of(app="", settings=settings, bundle_url="ftp://x", deployed_by="\n", idempotency_key=3)
    ours = '$["galaxy.meteor.com"]'
    paths = [
        "app",
        "$.a",
        f"{ours}.Env",
        f"{ours}.baseImage.repository",
        f"{ours}.baseImage.tag",
        f'{ours}.env["1"]',
        "bundle_url",
        "deployed_by",
        "idempotency_key",
    ]
    assert [problem.path for problem in error.problems] == paths
    lines = str(error).splitlines()
    assert [line.startswith(f"{path}: ") for line, path in zip(lines, paths, strict=True)] == [True] * len(
        paths
    )
    assert all("Example: " in line for line in lines)


def test_missing_arguments_are_refused() -> None:
    error = refusal_of(app=None, settings=None, bundle_url=None)
    assert [problem.path for problem in error.problems] == ["app", "$", "bundle_url"]
    assert all("missing" in problem.what for problem in error.problems)


def test_the_error_survives_a_trip_through_its_arguments() -> None:
    error = refusal_of(app="")
    assert str(InvalidInput(*error.args)) == str(error)


# Bundle URLs


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST.", "x.localhost", "127.0.0.1", "127.1", "127.255.0.9", "0.0.0.0", "[::1]", "[::]",
        "[::ffff:127.0.0.1]", "user:secret@localhost",
    ],
)  # fmt: skip
def test_a_bundle_on_localhost_is_accepted_with_a_warning(host: str) -> None:
    (warning,) = request(bundle_url=f"http://{host}:8000/secret.tgz").warnings
    assert "names localhost, which inside the build container is the container itself" in warning
    assert "secret" not in warning


@pytest.mark.parametrize(
    "host", ["localhost.example.com", "mylocalhost", "172.17.0.1", "12.7.0.1", "0.example.com", "[fe80::1]"]
)
def test_a_bundle_on_another_machine_is_accepted_without_a_warning(host: str) -> None:
    assert request(bundle_url=f"http://{host}:8000/x.tgz").warnings == ()


def test_warnings_about_the_bundle_and_about_the_settings_are_told_together() -> None:
    asked = request(bundle_url="http://localhost/x", settings='{"galaxy.meteor.com": {"region": 1}}')
    assert len(asked.warnings) == 1 + len(asked.settings.warnings)
    assert len(asked.settings.warnings) >= 1


@pytest.mark.parametrize(
    "url",
    [
        "http://a/b",
        "HTTPS://Example.com",
        "https://user:pass%20word@example.com:8443/a.tar.gz?X-Sig=a%2Bb&c=d#part",
        "http://127.0.0.1:9000/bundle",
        "http://[::1]:9000/bundle",
        "http://my_service/bundle",
        "http://example.com./b",
        "https://b\u00fccher.example/\u00e4.tgz",
        "http://example.com:/b",
        "http://example.com/a//b/../c;d=e?f[]=g|h",
    ],
)
def test_bundle_urls_are_kept_as_they_are(url: str) -> None:
    assert parse_bundle_url(url) == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "empty"),
        ("www.example.com/a.tar.gz", "begin with http"),
        ("ftp://example.com/a", "begin with http"),
        ("file:///etc/passwd", "begin with http"),
        ("-o/etc/passwd", "begin with http"),
        ("https:example.com", "begin with http"),
        ("https:/example.com", "begin with http"),
        ("//example.com/a", "begin with http"),
        ("https://", "no valid host"),
        ("https:///a", "no valid host"),
        ("https://user@/a", "no valid host"),
        ("https://:80/a", "no valid host"),
        ("https://?a", "no valid host"),
        ("https://-example.com/a", "no valid host"),
        ("https://a..b/", "no valid host"),
        ("https://exa%6dple.com/", "no valid host"),
        ("https://$(id)/", "no valid host"),
        ("https://" + "a" * 254 + "/", "no valid host"),
        ("https://example.com:0/a", "no valid host"),
        ("https://example.com:99999/a", "can't be read"),
        ("https://example.com:port/a", "can't be read"),
        ("https://[::1/a", "can't be read"),
        ("https://[zz]/a", ""),
        ("https://[]/a", ""),
        ("https://[v1.x]/a", ""),
        ("https://example.com\u2100.example/a", "can't be read"),
        (f"{URL}\n", "white space"),
        (f"\n{URL}", "white space"),
        (f" {URL}", "white space"),
        ("https://example.com/a b", "white space"),
        ("https://example.com/a\tb", "white space"),
        ("https://example.com/a\rb", "white space"),
        ("https://example.com/\0", "white space"),
        ("https://example.com/\x1b[31m", "white space"),
        ("https://example.com/\u2028b", "white space"),
        ("https://example.com/\u202eb", "white space"),
        ("https://example.com/\ud800", "white space"),
        ("https://example.com\\@evil.example/", "backslash"),
        ("https://example.com/" + "a" * MAX_URL_LENGTH, "8192 are the most"),
        (None, "missing"),
        (1, "a number"),
        (math.nan, "a number"),
        (False, "true or false"),
        ([URL], "an array"),
        ({"url": URL}, "an object"),
        (URL.encode(), "bytes"),
    ],
)
def test_what_is_no_bundle_url_is_refused_with_the_reason(url: object, said: str) -> None:
    (problem,) = refusal_of(bundle_url=url).problems
    assert problem.path == "bundle_url"
    assert said in problem.what


@given(st.text(st.characters()) | st.text("htps:/@[]?#.%\\-1a \n", max_size=30).map("http://".__add__))
def test_a_bundle_url_is_always_one_line_that_is_no_option(url: str) -> None:
    try:
        parsed = parse_bundle_url(url)
    except InvalidInput:
        return
    assert parsed == url
    assert parsed.split() == [parsed]
    assert parsed.lower().startswith(("http://", "https://"))
    assert parsed.encode()


@given(
    st.sampled_from(["ftp", "https", "HTTP", ""]),
    st.sampled_from(["", ":0", ":99999", ":x", " ", "\n", "\\", "\0"]),
)
def test_no_message_holds_anything_of_the_bundle_url(scheme: str, breakage: str) -> None:
    url = f"{scheme}://{SECRET}:{SECRET}@{SECRET}{breakage}/{SECRET}?{SECRET}={SECRET}#{SECRET}"
    try:
        told = repr(request(bundle_url=url))
    except InvalidInput as refusal:
        told = f"{refusal} {refusal.problems!r} {refusal.__context__!r}"
    assert SECRET not in told


# Who, and which request


@pytest.mark.parametrize("name", ["deployed_by", "idempotency_key"])
@pytest.mark.parametrize(
    "value", ["", " ", "a\nb", "a\0", "\ud800", "\x1b[31m", "x" * 201, 1, True, math.nan, [], {}, b"x"]
)
def test_notes_that_are_not_one_short_printable_line_are_refused(name: str, value: object) -> None:
    assert [problem.path for problem in refusal_of(**{name: value}).problems] == [name]


@pytest.mark.parametrize("value", ["x" * 200, "J\u00fcrgen <j@example.com>", "a b"])
def test_notes_are_kept_as_they_are(value: str) -> None:
    asked = request(deployed_by=value, idempotency_key=value)
    assert (asked.deployed_by, asked.idempotency_key) == (value, value)


# The fingerprint


@pytest.mark.parametrize(
    "settings", [{"b": 1, "a": "\u00fc"}, '{\n "a": "\\u00fc", "b": 1 }', b'{"b":1,"a":"\xc3\xbc"}']
)
def test_the_same_content_has_the_same_fingerprint(settings: object) -> None:
    reference = request(settings='{"a":"\u00fc","b":1}')
    again = request(app="WWW.Example.Com", settings=settings, deployed_by="other", idempotency_key="k")
    assert again.fingerprint == reference.fingerprint
    assert len(again.fingerprint) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"app": "w.example.com"},
        {"settings": '{"a": []}'},
        {"settings": '{"a": {}}'},
        {"bundle_url": URL + "?2"},
    ],
)
def test_other_content_has_another_fingerprint(change: dict[str, str]) -> None:
    assert request(**change).fingerprint != request().fingerprint


def test_content_that_only_json_can_write_has_a_fingerprint() -> None:
    settings = '{"half": "\\ud800", "big": ' + "1" * 309 + ', "deep": ' + "[" * 99 + "]" * 99 + "}"
    assert len(request(settings=settings).fingerprint) == 64


# Anything at all

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=6,
)


@given(anything, anything, anything, anything, anything)
def test_any_arguments_are_a_request_or_refused(
    app: object, settings: object, bundle_url: object, deployed_by: object, idempotency_key: object
) -> None:
    try:
        asked = request(
            app=app,
            settings=settings,
            bundle_url=bundle_url,
            deployed_by=deployed_by,
            idempotency_key=idempotency_key,
        )
    except InvalidInput as refusal:
        lines = str(refusal).split("\n")
    else:
        lines = [asked.fingerprint]
    assert [line for line in lines if not line.isprintable()] == []
