from __future__ import annotations

import json
import math
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from galaxy.domain.base_images.image_reference import ImageReference
from galaxy.domain.deploys.app_settings import AppSettings, DeployRules
from galaxy.domain.deploys.problems import MAX_LISTED
from galaxy.domain.errors import InvalidInput

RULES = DeployRules(
    section="galaxy.meteor.com",
    settings_max_bytes=32 * 1024,
    default_base_image=ImageReference.parse("meteor/galaxy-app:latest"),
)
OURS = '$["galaxy.meteor.com"]'
SECRET = "hunter2-do-not-tell"
EVERY_TYPE = [
    None,
    True,
    0,
    1.5,
    math.nan,
    math.inf,
    "",
    "x",
    [],
    [1],
    {},
    {"a": 1},
    "\ud800",
    "\0",
    10**400,
]


def ours(**section: object) -> dict[str, object]:
    return {"galaxy.meteor.com": section}


def parse(value: object, rules: DeployRules = RULES) -> AppSettings:
    return AppSettings.parse(value, rules)


def problems_of(value: object, rules: DeployRules = RULES) -> dict[str, str]:
    """What is wrong, by path."""
    with pytest.raises(InvalidInput) as refusal:
        parse(value, rules)
    return {problem.path: problem.what for problem in refusal.value.problems}


def nested(depth: int) -> str:
    return '{"a":' * (depth - 1) + "{}" + "}" * (depth - 1)


# What is accepted


def test_settings_without_our_section_build_on_the_default() -> None:
    settings = parse('{"public": {"a": 1}}')
    assert settings.base_image == RULES.default_base_image
    assert not settings.base_image_given
    assert (dict(settings.env), settings.warnings) == ({}, ())


def test_our_section_names_base_image_and_environment() -> None:
    settings = parse(
        ours(
            baseImage={"repository": "docker.io/debian", "tag": "12"},
            env={"MONGO_URL": "mongodb://db", "_": ""},
        )
    )
    assert str(settings.base_image) == "debian:12"
    assert settings.base_image_given
    assert dict(settings.env) == {"MONGO_URL": "mongodb://db", "_": ""}


def test_the_text_is_kept_to_the_byte() -> None:
    text = (
        '{ "b": 1.0,\n\t"a": "\\u00fc \\ud800 \\u0000 \u00fc", "big": 12345678901234567890123, "e": 1E2 }\n'
    )
    assert parse(text).text == text
    assert parse(text.encode()).text == text


def test_a_byte_order_mark_is_left_out() -> None:
    assert parse(b'\xef\xbb\xbf{"a": 1}').text == '{"a": 1}'
    assert parse('\ufeff{"a": 1}').text == '{"a": 1}'


def test_decoded_settings_become_compact_text() -> None:
    settings = parse({"a": [1, None, "\u00fc"], "half": "\ud800"})
    assert json.loads(settings.text) == {"a": [1, None, "\u00fc"], "half": "\ud800"}
    assert settings.text.encode()


def test_decoded_settings_are_a_copy() -> None:
    given_settings: dict[str, Any] = {"a": [1]}
    settings = parse(given_settings)
    given_settings["a"].append(2)
    assert settings.content == {"a": [1]}


def test_what_lies_outside_our_section_is_the_apps() -> None:
    settings = parse('{"baseimage": 1, "env": [], "other": {"baseImage": null, "": {"Env": 2}}}')
    assert settings.warnings == ()


@pytest.mark.parametrize("section", ["galaxy", "platform.example.org"])
def test_the_sections_name_is_the_operators(section: str) -> None:
    rules = DeployRules(section, 1000, RULES.default_base_image)
    settings = parse({section: {"env": {"A": "b"}}, "galaxy.meteor.com": {"env": 3}}, rules)
    assert dict(settings.env) == {"A": "b"}


def test_registries_that_the_operator_allows_are_accepted() -> None:
    rules = DeployRules("s", 1000, RULES.default_base_image, ("Registry.example.com:5000",))
    settings = parse({"s": {"baseImage": {"repository": "registry.example.com:5000/x", "tag": "1"}}}, rules)
    assert str(settings.base_image) == "registry.example.com:5000/x:1"


def test_unknown_keys_of_our_section_are_warned_about_by_name() -> None:
    (warning,) = parse(ours(sticky=SECRET)).warnings
    assert '"sticky"' in warning
    assert SECRET not in warning


@pytest.mark.parametrize(
    "key", ["Galaxy.Meteor.Com", "galaxy.meteor.com ", "galaxy-meteor-com", "galaxy_meteor_com"]
)
def test_another_spelling_of_our_section_is_the_apps_and_warned_about(key: str) -> None:
    settings = parse({key: {"baseImage": 1}})
    (warning,) = settings.warnings
    assert json.dumps(key) in warning
    assert '"galaxy.meteor.com"' in warning
    assert not settings.base_image_given


@pytest.mark.parametrize("name", ["PORT", "METEOR_SETTINGS", "GALAXY_APP_ID"])
def test_variables_that_the_platform_sets_are_warned_about(name: str) -> None:
    (warning,) = parse(ours(env={name: SECRET, "ROOT_URL": "https://www.example.com"})).warnings
    assert name in warning
    assert SECRET not in warning


def test_warnings_have_an_end() -> None:
    assert len(parse(ours(**{f"u{number}": 0 for number in range(500)})).warnings) == MAX_LISTED


def test_secrets_are_not_in_the_representation() -> None:
    settings = parse({"private": SECRET, **ours(env={"A": SECRET})})
    assert SECRET not in repr(settings)


# The document


@pytest.mark.parametrize("value", [None, "", "  \n", b"", b"\xef\xbb\xbf"])
def test_missing_settings_are_refused_with_the_way_to_say_that_there_are_none(value: object) -> None:
    with pytest.raises(InvalidInput, match=r"Example: \{\}"):
        parse(value)


@pytest.mark.parametrize(
    "value", ["[]", "null", "3", '"x"', "true", [], 3, True, 1.5, math.nan, object(), {1, 2}]
)
def test_what_is_no_object_is_refused(value: object) -> None:
    assert "must be a JSON object" in problems_of(value)["$"]


@pytest.mark.parametrize("value", [b"\xff\xfe{\x00}\x00", b'{"a": "\xfc"}', '{"a": "\udcfc"}'])
def test_what_is_not_utf8_is_refused(value: object) -> None:
    assert "not UTF-8" in problems_of(value)["$"]


@pytest.mark.parametrize(
    "value", ["{", "{'a': 1}", '{"a": 1,}', '{"a": 1} x', '{"a": "\0"}', '{"a": "\n"}', '{"a": 01}']
)
def test_broken_json_is_refused_with_the_place(value: str) -> None:
    assert "line 1, column" in problems_of(value)["$"] or "line 2" in problems_of(value)["$"]


def test_the_limit_counts_bytes_of_utf8() -> None:
    filling = "\u00fc" * ((32 * 1024 - len('{"a":""}')) // 2)
    text = f'{{"a":"{filling}"}}'
    assert len(text.encode()) == 32 * 1024
    assert parse(text).text == text
    assert parse({"a": filling}).text == text
    assert parse("\ufeff" + text).text == text
    assert "32769 bytes" in problems_of(text + " ")["$"]
    assert "32769 bytes" in problems_of({"a": filling + "x"})["$"]


def test_settings_that_are_too_large_still_have_their_other_mistakes_told() -> None:
    problems = problems_of({"a": "x" * 40_000, **ours(env=3)})
    assert problems.keys() == {"$", f"{OURS}.env"}


@pytest.mark.parametrize("value", ['{"a":"' + "x" * 2_000_000 + '"}', {"a": "x" * 2_000_000}])
def test_huge_settings_are_refused(value: object) -> None:
    assert "32768 bytes are the most" in problems_of(value)["$"]


def test_duplicate_keys_are_refused_at_every_depth() -> None:
    text = '{"a": 1, "a": 2, "b": [0, {"c": 1, "c d": 1, "c": 1, "c d": 2, "c": 3}], "e\\u0301": 1, "e": 2}'
    problems = problems_of(text)
    assert problems.keys() == {"$.a", "$.b[1].c", '$.b[1]["c d"]'}
    assert all("more than once" in what for what in problems.values())


def test_duplicate_keys_are_found_when_one_is_escaped() -> None:
    assert problems_of(r'{"a": 1, "\u0061": 2}').keys() == {"$.a"}


def test_a_duplicate_key_does_not_hide_other_mistakes() -> None:
    text = '{"a": 1, "a": NaN, "galaxy.meteor.com": {"baseImage": {"repository": "a/b", "tag": "x:y"}, "env": 1}}'
    assert problems_of(text).keys() == {"$.a", f"{OURS}.baseImage.tag", f"{OURS}.env"}


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" + "0" * 309, "9" * 5000]
)
def test_numbers_that_json_does_not_carry_are_refused(number: str) -> None:
    assert problems_of(f'{{"a": [{{"b": {number}}}]}}').keys() == {"$.a[0].b"}


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_decoded_numbers_that_json_does_not_carry_are_refused(number: float) -> None:
    assert problems_of({"a": number, **ours(env=3)}).keys() == {"$.a", f"{OURS}.env"}


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("digits", [309, 5000])
def test_decoded_integers_that_json_does_not_carry_are_refused(sign: int, digits: int) -> None:
    assert problems_of({"a": sign * 10**digits}).keys() == {"$.a"}


def test_the_largest_number_is_accepted() -> None:
    assert parse('{"a": 1.7e308, "b": ' + "1" * 309 + "}").content["b"] == int("1" * 309)


def test_nesting_has_an_end() -> None:
    assert parse(nested(100)).content
    assert parse(json.loads(nested(100))).content
    assert "deeper than 100" in problems_of(nested(101))["$"]
    assert "deeper than 100" in problems_of(json.loads(nested(101)))["$"]
    assert "deeper than 100" in problems_of('{"a":' + "[" * 15_000 + "]" * 15_000 + "}")["$"]


def test_nesting_beyond_pythons_own_limit_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(sys.getrecursionlimit() * 2):
        deep = {"a": deep}
    assert "deeper than 100" in problems_of(deep)["$"]


def test_values_that_contain_themselves_are_refused() -> None:
    loop: dict[str, Any] = {}
    loop["a"] = [loop, loop, loop]
    assert problems_of(loop)


@pytest.mark.parametrize(
    "value", [{1: "a"}, {None: 1}, {"a": {2: 3}}, {"a": b"x"}, {"a": [object()]}, {"a": {1, 2}}]
)
def test_python_values_that_json_does_not_know_are_refused(value: object) -> None:
    assert problems_of(value)


# Our section


@pytest.mark.parametrize("section", [None, [], "x", 1, False])
def test_a_section_that_is_no_object_is_refused(section: object) -> None:
    assert problems_of({"galaxy.meteor.com": section}).keys() == {OURS}


@pytest.mark.parametrize(
    ("key", "right"),
    [
        ("baseimage", "baseImage"),
        ("base_image", "baseImage"),
        ("base-image", "baseImage"),
        ("BaseImage", "baseImage"),
        ("BASE IMAGE", "baseImage"),
        (" baseImage", "baseImage"),
        ("baseImages", "baseImage"),
        ("baseImge", "baseImage"),
        ("basImage", "baseImage"),
        ("baseImgae", "baseImage"),
        ("\uff42aseImage", "baseImage"),
        ("Env", "env"),
        ("\uff25\uff2e\uff36", "env"),
        ("ENV", "env"),
        ("env ", "env"),
        ("envs", "env"),
        ("env_vars", "env"),
        ("environment", "env"),
        ("enviroment", "env"),
        ("environmentVariables", "env"),
    ],
)
def test_a_near_miss_of_a_known_key_is_refused_with_the_right_spelling(key: str, right: str) -> None:
    (what,) = problems_of({"galaxy.meteor.com": {key: {"A": "b"}}}).values()
    assert f'write "{right}"' in what


def test_a_near_miss_is_refused_beside_the_right_key() -> None:
    problems = problems_of(ours(baseImage={"repository": "a/b", "tag": "1"}, base_image={}))
    assert problems.keys() == {f"{OURS}.base_image"}


@pytest.mark.parametrize("key", ["end", "new", "event", "database", "image", "a" * 20_000, "", "\ud800"])
def test_other_keys_are_no_near_misses(key: str) -> None:
    assert len(parse({"galaxy.meteor.com": {key: 1}}).warnings) == 1


def test_a_base_image_of_null_is_refused_with_the_way_to_get_the_default() -> None:
    assert "leave it out" in problems_of(ours(baseImage=None))[f"{OURS}.baseImage"]


@pytest.mark.parametrize("value", ["meteor/galaxy-app:latest", [], 1, True])
def test_a_base_image_that_is_no_object_is_refused(value: object) -> None:
    assert "must be an object" in problems_of(ours(baseImage=value))[f"{OURS}.baseImage"]


def test_a_base_image_needs_repository_and_tag() -> None:
    problems = problems_of(ours(baseImage={}))
    assert problems.keys() == {f"{OURS}.baseImage.repository", f"{OURS}.baseImage.tag"}
    assert all("missing" in what for what in problems.values())


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("digest", ""),
        ("Tag", 'write "tag"'),
        ("repo", 'write "repository"'),
        ("repositry", 'write "repository"'),
    ],
)
def test_unknown_keys_of_a_base_image_are_refused(key: str, hint: str) -> None:
    problems = problems_of(ours(baseImage={"repository": "a/b", "tag": "1", key: "x"}))
    assert problems.keys() == {f"{OURS}.baseImage.{key}"}
    assert hint in problems[f"{OURS}.baseImage.{key}"]


def test_every_mistake_of_a_base_image_is_told() -> None:
    problems = problems_of(ours(baseImage={"repository": "A/b:c", "tag": "a b", "x": 1}, env={"1": 2}))
    assert problems.keys() == {
        f"{OURS}.baseImage.repository",
        f"{OURS}.baseImage.tag",
        f"{OURS}.baseImage.x",
        f'{OURS}.env["1"]',
    }


@pytest.mark.parametrize("registry", ["localhost", "registry.example.com:5000", "ghcr.io", "127.0.0.1:5000"])
def test_other_registries_are_refused(registry: str) -> None:
    what = problems_of(ours(baseImage={"repository": f"{registry}/x", "tag": "1"}))[
        f"{OURS}.baseImage.repository"
    ]
    assert registry in what
    assert "public on Docker Hub" in what


def test_a_refused_registry_tells_which_are_allowed() -> None:
    rules = DeployRules("s", 1000, RULES.default_base_image, ("ghcr.io", "quay.io"))
    (what,) = problems_of({"s": {"baseImage": {"repository": "gcr.io/x", "tag": "1"}}}, rules).values()
    assert "Docker Hub or ghcr.io or quay.io" in what


@pytest.mark.parametrize("value", [None, [], "A=b", 1])
def test_an_environment_that_is_no_object_is_refused(value: object) -> None:
    assert problems_of(ours(env=value)).keys() == {f"{OURS}.env"}


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "A=B", "A.B", "\u00dc", "A\n", "A\0", "\ud800"])
def test_names_that_no_variable_can_have_are_refused(name: str) -> None:
    (what,) = problems_of(ours(env={name: SECRET})).values()
    assert "no name of an environment variable" in what


@pytest.mark.parametrize(
    "value", [None, 1, 1.5, True, [SECRET], {SECRET: SECRET}, f"{SECRET}\0", f"{SECRET}\ud800"]
)
def test_values_that_no_variable_can_have_are_refused_and_not_repeated(value: object) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse(ours(env={"A": value}))
    assert refusal.value.problems[0].path == f"{OURS}.env.A"
    assert SECRET not in str(refusal.value)


def test_a_message_has_an_end_and_says_how_much_it_leaves_out() -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse(ours(env={f"{number}": 0 for number in range(300)}))
    assert len(refusal.value.problems) == 600
    lines = refusal.value.message.splitlines()
    assert len(lines) == MAX_LISTED + 1
    assert "500 more" in lines[-1]


def test_a_key_never_breaks_the_line_or_acts_on_a_terminal() -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse(ours(env={"a\n\x1b[31m\u202e\ud800" + "x" * 1000: "v"}))
    assert refusal.value.message.isprintable()
    assert len(refusal.value.message) < 400


# Anything at all

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
    max_leaves=12,
)
our_keys = st.sampled_from(
    ["baseImage", "env", "base_image", "repository", "tag", "A", "1", "galaxy.meteor.com"]
)
odd_values = st.sampled_from([*EVERY_TYPE, "meteor/galaxy-app", "latest"])
near_settings = st.recursive(
    odd_values,
    lambda inner: st.dictionaries(our_keys, inner, max_size=4) | st.lists(inner, max_size=2),
    max_leaves=12,
)


@given(json_values | near_settings | near_settings.map(lambda section: {"galaxy.meteor.com": section}))
def test_any_value_is_settings_or_refused(value: object) -> None:
    try:
        settings = parse(value)
    except InvalidInput:
        return
    assert parse(settings.text) == settings


@given(st.binary(max_size=200) | st.text(st.characters(), max_size=200))
def test_any_text_is_settings_or_refused(text: str | bytes) -> None:
    try:
        settings = parse(text)
    except InvalidInput:
        return
    assert isinstance(settings.content, dict)


@given(near_settings.map(json.dumps))
def test_text_and_its_decoded_form_get_the_same_answer(text: str) -> None:
    def answer(value: object) -> object:
        try:
            return dict(parse(value).env)
        except InvalidInput as refusal:
            return refusal.problems

    decoded = json.loads(text)
    if isinstance(decoded, dict):
        assert answer(text) == answer(decoded)


@given(
    st.dictionaries(
        st.sampled_from(["A", "B-C", "1"]),
        st.just(SECRET) | st.just(SECRET + "\0") | st.just([SECRET]) | st.just({"k": SECRET}),
    ),
    st.sampled_from(["env", "Env", "environment"]),
    st.sampled_from(["", ",", "}", "\0"]),
)
def test_no_message_ever_holds_a_value_of_the_environment(
    env: dict[str, object], key: str, breakage: str
) -> None:
    for value in (ours(**{key: env}), json.dumps(ours(**{key: env})) + breakage):
        try:
            told = repr(parse(value))
        except InvalidInput as refusal:
            told = f"{refusal} {refusal.problems!r} {refusal.__context__!r}"
        assert SECRET not in told


@pytest.mark.parametrize(
    "key", ["galaxy.meteor.co", "galaxy.meteor.comm", "Galaxy.Meteor.com", "galaxy-meteor.com"]
)
def test_a_section_that_is_misspelled_is_warned_about(key: str) -> None:
    (warning,) = parse({key: {"env": {"A": "b"}}}).warnings
    assert f'"{key}" is left to the app' in warning


@pytest.mark.parametrize("key", ["public", "packages", "meteor", "galaxy", "www.example.com", "x" * 20_000])
def test_other_keys_are_the_apps_own(key: str) -> None:
    assert parse({key: {}}).warnings == ()
