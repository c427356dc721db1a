"""What operators may see of a task's arguments: names and numbers, and nothing of a deploy."""

from __future__ import annotations

import pytest

from workers.hidden_arguments import ids_in

IMAGE = "docker.io/meteor/galaxy-app:latest"
SECRET = "https://bundles.example.com/app.tgz?signature=Zm9v"


@pytest.mark.parametrize(
    ("kwargs", "shown"),
    [
        ({"app": "a.example.com", "version": 1}, {"app": "a.example.com", "version": 1}),
        ({"image": IMAGE, "update": 3}, {"image": IMAGE, "update": 3}),
        (
            {"image": IMAGE, "update": 3, "apps": [["a.example.com", 1, "seen"]]},
            {"app": "a.example.com", "image": IMAGE, "update": 3},
        ),
        (
            {"image": IMAGE, "update": 3, "apps": [["a.example.com", 1, ""], ["b.example.com", 2, ""]]},
            {"apps": 2, "image": IMAGE, "update": 3},
        ),
    ],
)
def test_names_and_numbers_are_shown(kwargs: dict[str, object], shown: dict[str, object]) -> None:
    assert ids_in(kwargs) == shown


@pytest.mark.parametrize(
    "kwargs",
    [
        {"app": SECRET, "settings": {}, "bundle_url": SECRET},
        {"app": SECRET},
        {"app": SECRET, "version": 1, "bundle_url": SECRET},
        {"image": IMAGE, "update": 3, "bundle_url": SECRET},
        {"image": IMAGE, "update": SECRET},
        {"image": IMAGE, "update": 3, "apps": [], "bundle_url": SECRET},
        {"image": IMAGE, "update": 3, "apps": SECRET},
        [SECRET],
        None,
    ],
)
def test_whatever_could_be_a_deploy_is_hidden(kwargs: object) -> None:
    assert ids_in(kwargs) == {}
