"""What an app's image keeps of its base image."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from galaxy.domain.base_images.image_config import differences, oci_labels, with_labels

BASE = {
    "Cmd": ["node", "main.js"],
    "Entrypoint": None,
    "Env": ["PATH=/bin", "A=1"],
    "User": "",
    "Labels": {"a": "b"},
    "Volumes": {},
}


def test_a_config_does_not_differ_from_itself() -> None:
    assert differences(BASE, BASE) == ()


@pytest.mark.parametrize("nothing", [None, "", [], {}])
@pytest.mark.parametrize("field", ["Entrypoint", "User", "Volumes", "OnBuild"])
def test_null_empty_and_missing_are_the_same(field: str, nothing: object) -> None:
    assert differences(BASE, {**BASE, field: nothing}) == ()
    without = {name: value for name, value in BASE.items() if name != field}
    assert differences({**BASE, field: nothing}, without) == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Cmd", ["node", "other.js"]),
        ("Cmd", None),
        ("Entrypoint", ["/bin/sh"]),
        ("Env", ["PATH=/bin", "A=1", "URL=secret"]),
        ("Env", ["PATH=/bin"]),
        ("User", "root"),
        ("Hostname", "c0ffee"),
        ("Labels", {"a": "c"}),
        ("Volumes", {"/data": {}}),
        ("StopSignal", "SIGKILL"),
        ("SomethingNew", True),
    ],
)
def test_any_field_that_changed_is_named(field: str, value: object) -> None:
    assert differences(BASE, {**BASE, field: value}) == (field,)
    assert differences({**BASE, field: value}, BASE) == (field,)


def test_all_fields_that_changed_are_named_in_order() -> None:
    assert differences(BASE, {**BASE, "User": "root", "Cmd": ["x"]}) == ("Cmd", "User")


def test_the_order_of_the_environment_does_not_count() -> None:
    assert differences(BASE, {**BASE, "Env": ["A=1", "PATH=/bin"]}) == ()


def test_the_order_of_a_command_counts() -> None:
    assert differences(BASE, {**BASE, "Cmd": ["main.js", "node"]}) == ("Cmd",)


def test_our_labels_are_added_and_win_over_the_base_images() -> None:
    assert with_labels(BASE, {"c": "d"})["Labels"] == {"a": "b", "c": "d"}
    assert with_labels(BASE, {"a": "ours"})["Labels"] == {"a": "ours"}
    assert BASE["Labels"] == {"a": "b"}


@pytest.mark.parametrize("labels", [None, {}])
def test_a_base_image_without_labels_gets_ours(labels: object) -> None:
    assert with_labels({**BASE, "Labels": labels}, {"c": "d"})["Labels"] == {"c": "d"}


def test_nothing_but_the_labels_changes() -> None:
    assert differences(BASE, with_labels(BASE, {"c": "d"})) == ("Labels",)


def test_labels_say_where_an_image_comes_from_in_utc() -> None:
    created = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    labels = oci_labels(
        app="www.example.com", version=7, base_name="docker.io/a/b:c", base_digest="sha256:0", created=created
    )
    assert labels == {
        "org.opencontainers.image.created": "2026-01-02T01:04:05Z",
        "org.opencontainers.image.title": "www.example.com",
        "org.opencontainers.image.version": "7",
        "org.opencontainers.image.base.name": "docker.io/a/b:c",
        "org.opencontainers.image.base.digest": "sha256:0",
    }
