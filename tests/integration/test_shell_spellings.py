"""Secrets as a real bash prints them, in two locales."""

from __future__ import annotations

import random
import subprocess

import pytest

from galaxy.domain.redaction import Redactor
from tests.conftest import unavailable
from tests.support.base_images import BASH

_SCRIPT = """
set -x
: "$1"
{ set +x; } 2>/dev/null
printf '%q\\n' "$1"
export SECRET="$1"
export -p | grep -a SECRET=
echo "${1@Q}" "$(printf %s "$1" | base64 -w 0)"
"""
_CHARACTERS = "ab1 _-/@!'\"\\$`<>&%+=~*()[]{};|?#^,.:äß日😀\t\x01\x7f\x1b\u200b\xa0\xad"


def _values(count: int) -> list[str]:
    choice = random.Random(count)
    values = ("".join(choice.choices(_CHARACTERS, k=choice.randint(8, 20))).strip() for _ in range(count))
    return [value for value in values if len(value) >= 8]


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_no_line_in_which_bash_prints_a_secret_shows_it(locale: str) -> None:
    if not BASH.exists():
        unavailable(f"{BASH} is not installed")
    for value in ("pässwörd-日本語😀", "p@ss!w'ord", 'tab\t"quote"', *_values(100)):
        done = subprocess.run(
            [BASH, "-c", _SCRIPT, "bash", value],
            capture_output=True, env={"LC_ALL": locale, "PATH": "/usr/bin:/bin"}, check=True, timeout=20,
        )  # fmt: skip
        shown = Redactor([value]).redact(done.stderr + done.stdout).splitlines()
        assert len(shown) == 4
        assert [line for line in shown if b"[redacted]" not in line] == []
