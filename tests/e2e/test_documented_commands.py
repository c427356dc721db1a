"""The documents' commands for the local stack, run as they are written."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from tests.e2e.conftest import Stack

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "writing-a-base-image.md"
#: The stack is up, and this process has its settings.
SET_UP = 'make up\neval "$(make -s env)"\n'


def documented_publishing() -> str:
    (block,) = re.findall(
        r"^```bash\n# publish on the local stack\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    assert SET_UP in block
    return block.replace(SET_UP, "")


def test_a_base_image_is_published_on_the_local_stack_as_the_page_says(stack: Stack, tmp_path: Path) -> None:
    name = f"tests/documented-{stack.run_id}"
    commands = documented_publishing()
    assert "example/my-base" in commands
    assert "my-app.example.com" in commands
    commands = commands.replace("example/my-base", name).replace("my-app.example.com", stack.app)
    hub = urlsplit(os.environ["GALAXY_DOCKER_HUB_MIRROR"]).netloc
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert f"{stack.app} version 1: active" in done.stdout
        assert "This app was set up by my own base image." in done.stderr
    finally:
        stack.engine.images.remove(f"{hub}/{name}:1", force=True)


def test_a_base_image_that_was_not_published_fails_with_the_line_that_the_page_shows(stack: Stack) -> None:
    hub = urlsplit(os.environ["GALAXY_DOCKER_HUB_MIRROR"]).netloc
    (shown,) = re.findall(r"^Attempt 1 of 4 failed: .* has no image .*$", PAGE.read_text(), re.MULTILINE)
    (shown_hub,) = re.findall(r"failed: (\S+),", shown)
    expected = shown.replace(shown_hub, hub).replace("example/my-base", f"tests/absent-{stack.run_id}")

    settings = stack.settings(repository=f"tests/absent-{stack.run_id}")
    done = stack.galaxy(
        "deploy", stack.app, "--bundle", "http://bundles.example.com/x", "--settings", settings
    )

    assert done.code == 1
    assert expected in done.err
