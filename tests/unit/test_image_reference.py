from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from galaxy.domain.base_images.image_reference import ImageReference, parse_repository, parse_tag
from galaxy.domain.errors import InvalidInput

DIGEST = "sha256:" + "ab" * 32

components = st.from_regex(r"[a-z0-9]{1,6}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,6}){0,2}", fullmatch=True)
hosts = st.sampled_from(
    ["", "docker.io/", "index.docker.io/", "localhost/", "registry.example.com:5000/", "A.Example/"]
)
tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", fullmatch=True)


@st.composite
def references(draw: st.DrawFn) -> ImageReference:
    path = "/".join(draw(st.lists(components, min_size=1, max_size=4)))
    host = draw(hosts)
    # without a host, a first part with a dot would be read as one
    text = (host or "docker.io/" if "." in path.split("/")[0] else host) + path
    tag, digest = draw(st.tuples(st.none() | tags, st.none() | st.just(DIGEST)))
    text += (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    return ImageReference.parse(text)


@given(references())
def test_both_spellings_of_a_reference_read_as_the_same_reference(reference: ImageReference) -> None:
    assert ImageReference.parse(str(reference)) == reference
    assert ImageReference.parse(reference.canonical) == reference


@given(st.text() | st.from_regex(r"[a-z./:@_-]{0,40}", fullmatch=True))
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    try:
        reference = ImageReference.parse(text)
    except InvalidInput:
        return
    assert ImageReference.parse(str(reference)) == reference


@pytest.mark.parametrize(
    "text",
    [
        "debian:12",
        "library/debian:12",
        "docker.io/debian:12",
        "docker.io/library/debian:12",
        "index.docker.io/library/debian:12",
        "registry-1.docker.io/library/debian:12",
        "Docker.IO/debian:12",
    ],
)
def test_one_image_on_docker_hub_has_one_spelling(text: str) -> None:
    reference = ImageReference.parse(text)
    assert str(reference) == "debian:12"
    assert reference.canonical == "docker.io/library/debian:12"
    assert (reference.registry, reference.repository, reference.tag) == ("docker.io", "library/debian", "12")
    assert reference.is_docker_hub
    assert reference.api_host == "registry-1.docker.io"


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag"),
    [
        ("meteor/galaxy-app", "docker.io", "meteor/galaxy-app", "latest"),
        ("localhost/x", "localhost", "x", "latest"),
        ("localhost:5000/x:1", "localhost:5000", "x", "1"),
        ("localhost:5000", "docker.io", "library/localhost", "5000"),
        ("Registry.Example.com:5000/a/b:V1", "registry.example.com:5000", "a/b", "V1"),
        ("a__b/c---d", "docker.io", "a__b/c---d", "latest"),
        (f"registry.example.com/{'ab' * 32}:1", "registry.example.com", "ab" * 32, "1"),
    ],
)
def test_the_parts_of_a_reference(text: str, registry: str, repository: str, tag: str) -> None:
    assert ImageReference.parse(text) == ImageReference(registry, repository, tag)


def test_a_docker_hub_path_that_looks_like_a_host_keeps_its_registry() -> None:
    reference = ImageReference.parse("docker.io/localhost/x:1")
    assert str(reference) == "docker.io/localhost/x:1"
    assert reference.name == "docker.io/localhost/x"


def test_other_registries_answer_at_their_own_host() -> None:
    reference = ImageReference.parse("registry.example.com:5000/x:1")
    assert reference.api_host == "registry.example.com:5000"
    assert not reference.is_docker_hub


def test_a_digest_pins_and_a_tag_does_not() -> None:
    tagged = ImageReference.parse("meteor/galaxy-app:latest")
    pinned = tagged.at(DIGEST)
    assert not tagged.pinned
    assert pinned.pinned
    assert str(pinned) == f"meteor/galaxy-app@{DIGEST}"
    assert ImageReference.parse(f"meteor/galaxy-app:1@{DIGEST}").tag == "1"
    assert ImageReference.parse(f"meteor/galaxy-app@{DIGEST}").tag is None


def test_what_is_no_digest_does_not_pin() -> None:
    with pytest.raises(ValueError, match="not a digest"):
        ImageReference.parse("meteor/galaxy-app").at("latest")


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (("docker.io", "debian", "12"), "normalise"),
        (("docker.io", "meteor/galaxy-app"), "tag or a digest"),
    ],
)
def test_a_reference_that_is_not_normalised_can_not_be_made(parts: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ImageReference(*parts)


@pytest.mark.parametrize(
    ("repository", "said"),
    [
        ("", "empty"),
        ("docker.io/", "ends after the registry"),
        ("registry.example.com/", "ends after the registry"),
        ("meteor/galaxy-app:latest", "put the part after the colon into tag"),
        (f"meteor/galaxy-app@{DIGEST}", "holds a digest"),
        ("https://docker.io/meteor/galaxy-app", "is a URL"),
        (" meteor/galaxy-app", "white space"),
        ("meteor/galaxy-app\n", "white space"),
        ("Meteor/galaxy-app", "upper-case"),
        ("meteor//galaxy-app", "is no repository's name"),
        ("meteor/galaxy-app/", "is no repository's name"),
        ("/meteor/galaxy-app", "is no repository's name"),
        ("meteor/-app", "is no repository's name"),
        ("meteor/a___b", "is no repository's name"),
        ("meteor/a._b", "is no repository's name"),
        ("m\u00e9t\u00e9or/app", "is no repository's name"),
        ("meteor/app\0", "is no repository's name"),
        ("meteor/\ud800", "is no repository's name"),
        ("registry.example.com:0/x", "neither a registry's host"),
        ("registry.example.com:65536/x", "neither a registry's host"),
        ("registry.example.com:/x", "neither a registry's host"),
        ("registry:5000:5000/x", "neither a registry's host"),
        ("-registry.example.com/x", "neither a registry's host"),
        ("a..b/x", "neither a registry's host"),
        ("../x", "neither a registry's host"),
        ("ab" * 32, "image ID"),
        ("a" * 240, "258 characters"),
        ("a" * 100_000, "characters"),
        (None, "missing"),
        (7, "a number"),
        ({}, "an object"),
    ],
)
def test_what_is_no_repository_is_refused_with_the_reason(repository: object, said: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        ImageReference.from_parts(repository, "latest")
    assert said in refusal.value.message
    assert [problem.path for problem in refusal.value.problems] == ["repository"]


def test_the_longest_name_that_engines_take_is_accepted() -> None:
    path = "a" * (255 - len("docker.io/library/"))
    assert parse_repository(path, path="repository") == ("docker.io", f"library/{path}")
    with pytest.raises(InvalidInput, match="256 characters"):
        parse_repository(path + "a", path="repository")


@pytest.mark.parametrize("tag", ["latest", "1.2.3", "_x", "V-1_a.b", "0", "a" * 128])
def test_tags_are_kept_as_they_are(tag: str) -> None:
    assert parse_tag(tag, path="tag") == tag


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("", "empty"),
        (" ", "white space"),
        ("latest\n", "white space"),
        (".hidden", "is no tag"),
        ("-x", "is no tag"),
        ("a:b", "is no tag"),
        ("a/b", "is no tag"),
        ("sch\u00f6n", "is no tag"),
        ("x\0", "is no tag"),
        (DIGEST, "is a digest"),
        (f"latest@{DIGEST}", "is a digest"),
        ("a" * 129, "129 characters"),
        (None, "missing"),
        (12, "a number"),
        (1.5, "a number"),
        (True, "true or false"),
    ],
)
def test_what_is_no_tag_is_refused_with_the_reason(tag: object, said: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        ImageReference.from_parts("meteor/galaxy-app", tag)
    assert said in refusal.value.message
    assert [problem.path for problem in refusal.value.problems] == ["tag"]


def test_both_parts_that_are_wrong_are_told() -> None:
    with pytest.raises(InvalidInput) as refusal:
        ImageReference.from_parts("Upper", "a:b")
    assert [problem.path for problem in refusal.value.problems] == ["repository", "tag"]


@pytest.mark.parametrize(
    "text", ["a@", "a@sha256:abc", f"a@{DIGEST}0", "a:", "a:@", f"@{DIGEST}", "", None, 1]
)
def test_what_is_no_reference_is_refused(text: object) -> None:
    with pytest.raises(InvalidInput):
        ImageReference.parse(text)
