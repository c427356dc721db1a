from __future__ import annotations

import io
import json
import re
import subprocess
import sys

import pytest

from galaxy.cli.render import coloured, ndjson, plain, renderer, visible, wants_colour
from galaxy.domain.log import LogLine, Source, Stream

AT_MS = 1_767_323_045_067
LINE = LogLine(AT_MS, Source.SERVICE, Stream.STDOUT, 3, 1, error=False, text="Pulling it.")
ATTACK = "a\x1b]0;title\x07b\x1b[2Jc\x9b2Jd\x00e\x7ff\rg\u202eh\u2028i\nj"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_plain_lines_have_time_version_attempt_and_source() -> None:
    assert plain(LINE) == "2026-01-02T03:04:05.067Z v3/1  service        Pulling it."
    stderr = LINE._replace(stream=Stream.STDERR, source=Source.APP, version=None, attempt=None, text="Oh.")
    assert plain(stderr) == "2026-01-02T03:04:05.067Z -     app:stderr     Oh."


def test_a_piece_of_a_line_is_marked() -> None:
    assert plain(LINE._replace(continued=True)).endswith("Pulling it.…")


def test_nothing_that_a_build_prints_can_act_on_a_terminal() -> None:
    for shown in (plain(LINE._replace(text=ATTACK)), ndjson(LINE._replace(text=ATTACK))):
        assert shown.isprintable()
    shown = coloured(LINE._replace(text=ATTACK, error=True))
    assert re.sub(r"\x1b\[(2|31|0)m", "", shown).isprintable()
    assert visible(ATTACK) == (r"a\x1b]0;title\x07b\x1b[2Jc\x9b2Jd\x00e\x7ff\x0dg\u202eh\u2028i\x0aj")


def test_colours_of_the_build_are_dropped_and_text_in_any_language_stays() -> None:
    assert visible("\x1b[1;32mok\x1b[0m\t日本語 é ß 😀") == "ok\t日本語 é ß 😀"


def test_ndjson_is_one_ascii_line_that_gives_back_every_field() -> None:
    line = LINE._replace(text=ATTACK + "é", stream=Stream.STDERR, error=True)
    shown = ndjson(line)
    assert shown.isascii()
    assert json.loads(shown) == {
        "at": "2026-01-02T03:04:05.067Z",
        "at_ms": AT_MS,
        "source": "service",
        "stream": "stderr",
        "version": 3,
        "attempt": 1,
        "error": True,
        "continued": False,
        "text": ATTACK + "é",
    }


@pytest.mark.parametrize(
    ("out", "environ", "colour"),
    [
        (_Terminal(), {"TERM": "xterm"}, True),
        (_Terminal(), {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (_Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {"TERM": "xterm"}, False),
    ],
)
def test_colour_is_for_terminals_whose_user_wants_it(
    out: io.StringIO, environ: dict[str, str], *, colour: bool
) -> None:
    assert wants_colour(out, environ) is colour
    assert renderer(out, environ) is (coloured if colour else plain)
    assert renderer(out, environ, as_json=True) is ndjson


def test_importing_it_imports_nothing_heavy() -> None:
    program = (
        "import sys, galaxy.cli.render; print(sorted({'pydantic', 'redis', 'celery'} & set(sys.modules)))"
    )
    code = f"import sys; sys.path.insert(0, '.'); {program}"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert shown.strip() == "[]"
