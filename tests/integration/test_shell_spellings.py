"""Secrets as real shells print them."""

from __future__ import annotations

import random
import shutil
import subprocess

import pytest

from galaxy.domain.output.redaction import Redactor
from tests.conftest import unavailable
from tests.support.base_images import BASH, BUSYBOX

_IN_BASH = """
set -x
: "$1"
{ set +x; } 2>/dev/null
printf '%q\\n' "$1"
export SECRET="$1"
export -p | grep -a SECRET=
echo "${1@Q}"
printf %s "$1" | base64 -w 0
"""
_IN_SMALL_SHELLS = """
set -x
: "$1"
{ set +x; } 2>/dev/null
export SECRET="$1"
export -p | grep -a SECRET=
"""
_CHARACTERS = "ab1 _-/@!'\"\\$`<>&%+=~*()[]{};|?#^,.:äß日😀\t\x01\x7f\x1b\u200b\xa0\xad"


def _values(count: int) -> list[str]:
    choice = random.Random(count)
    values = ("".join(choice.choices(_CHARACTERS, k=choice.randint(8, 20))).strip() for _ in range(count))
    return [value for value in values if len(value) >= 8]


def _printed(shell: list[str], script: str, value: str, locale: str = "C") -> bytes:
    done = subprocess.run(
        [*shell, "-c", script, "sh", value],
        capture_output=True, env={"LC_ALL": locale, "PATH": "/usr/bin:/bin"}, check=True, timeout=20,
    )  # fmt: skip
    return done.stderr + done.stdout


def _without_a_mask(value: str, printed: bytes, lines: int) -> list[bytes]:
    shown = Redactor([value]).redact(printed).splitlines()
    assert len(shown) == lines
    return [line for line in shown if b"[redacted]" not in line]


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_no_line_in_which_bash_prints_a_secret_shows_it(locale: str) -> None:
    if not BASH.exists():
        unavailable(f"{BASH} is not installed")
    for value in ("pässwörd-日本語😀", "p@ss!w'ord", 'tab\t"quote"', *_values(100)):
        assert _without_a_mask(value, _printed([str(BASH)], _IN_BASH, value, locale), 5) == []


@pytest.mark.parametrize("shell", [["dash"], [str(BUSYBOX), "sh"]], ids=["dash", "busybox"])
def test_no_line_in_which_a_small_shell_prints_a_secret_shows_it(shell: list[str]) -> None:
    if not shutil.which(shell[0]):
        unavailable(f"{shell[0]} is not installed")
    for value in ("pässwörd-日本語😀", "p@ss!w'ord", "it''s 'quoted'", *_values(50)):
        assert _without_a_mask(value, _printed(shell, _IN_SMALL_SHELLS, value), 2) == []
