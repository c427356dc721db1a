from __future__ import annotations

import base64
import json
import random
import time
from itertools import cycle, islice
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from galaxy.domain.output.escape_sequences import WithoutSequences, without_unfinished
from galaxy.domain.output.redaction import MASK, Redactor

URL = "https://deploy:p%40ss%2Fword@files.example.com/bundles/app.tar.gz?X-Sig=abc%2F0123456789&expires=99999999"


def _redacted(text: str, *secrets: str) -> str:
    return Redactor(secrets).redact_text(text)


def test_text_without_a_secret_is_passed_on_as_the_same_object() -> None:
    data = b"nothing to see here\n" * 1000
    assert Redactor([URL]).redact(data) is data


@pytest.mark.parametrize(
    "spelling",
    [
        URL,
        quote(URL, safe=""),
        URL.replace("&", "&amp;"),
        json.dumps({"url": URL}),
        "https://files.example.com/bundles/app.tar.gz?X-Sig=abc%2F0123456789&expires=99999999",
        "files.example.com/bundles/app.tar.gz?X-Sig=abc%2F0123456789&expires=99999999",
        "GET /bundles/app.tar.gz?X-Sig=abc%2F0123456789&expires=99999999",
        "login deploy:p%40ss%2Fword",
        "password p%40ss%2Fword",
        "password p@ss/word",
        "Authorization: Basic " + base64.b64encode(b"deploy:p@ss/word").decode(),
        "signature abc/0123456789",
        "signature abc%2F0123456789",
    ],
)
def test_a_url_and_its_secret_parts_are_masked_however_they_are_spelled(spelling: str) -> None:
    shown = _redacted(f"+ curl {spelling} | tar", URL)
    assert "[redacted]" in shown
    for secret in (
        "p%40ss",
        "p@ss",
        "0123456789",
        base64.b64encode(b"deploy:p@ss").decode()[:-4],
        "99999999",
    ):
        assert secret not in shown


def test_long_parts_of_a_path_are_masked_and_words_are_not() -> None:
    url = "https://files.example.com/app/0f3c9a7be1d24c55b6aa/bundle.tar.gz"
    assert (
        _redacted("GET /app/0f3c9a7be1d24c55b6aa/bundle.tar.gz", url) == "GET /app/[redacted]/bundle.tar.gz"
    )


def test_each_line_of_a_value_with_several_lines_is_masked() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\r\nkqhkiG9w0BAQ\n-----END KEY-----\n"
    shown = _redacted("a MIIEvQIBADANBg b\nkqhkiG9w0BAQ", key)
    assert shown == "a [redacted] b\n[redacted]"
    assert _redacted(json.dumps(key), key).count("[redacted]") == 1


def test_values_with_quotes_are_masked_as_the_shell_prints_them() -> None:
    assert _redacted(r"+ echo 'it'\''s secret'", "it's secret") == "+ echo '[redacted]'"


def test_values_shorter_than_four_characters_are_left_alone() -> None:
    text = "abc & 1 é %26 &amp; \\u00e9"
    assert _redacted(text, "abc", "&", "1", "é", "") == text


def test_the_longest_secret_wins_and_overlapping_ones_are_masked_together() -> None:
    assert _redacted("x secret-long y secret z", "secret", "secret-long") == "x [redacted] y [redacted] z"
    assert _redacted("<abcdefgh>", "abcdef", "defgh") == "<[redacted]>"
    assert _redacted("aaaaaaa", "aaaa") == "[redacted]"


@given(
    secret=st.binary(min_size=8, max_size=40).map(bytes.hex),
    before=st.text(st.characters(codec="utf-8"), max_size=5),
    after=st.text(st.characters(codec="utf-8"), max_size=5),
)
def test_of_a_value_in_base64_no_more_than_an_edge_is_left_wherever_it_stands(
    secret: str, before: str, after: str
) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(f"{before}{secret}{after}".encode()).decode()
        left = _redacted(encoded, secret).replace(MASK.decode(), "", 1)
        assert len(left) <= len(encode(before.encode())) + len(encode(after.encode())) + 4


def test_a_mask_is_not_masked_again() -> None:
    assert _redacted("token-1 redacted", "token-1", "redacted") == "[redacted] [redacted]"


def test_bytes_that_are_no_utf8_do_not_hide_a_secret() -> None:
    assert Redactor(["hunter2"]).redact(b"\xff\xfehunter2\xff") == b"\xff\xfe" + MASK + b"\xff"


SEQUENCES = ["\x1b[0m", "\x1b[01;31m", "\x1b[K", "\x1b(B", "\x1b]8;;http://x\x07", "\x1b]0;t\x1b\\", "\x1b7"]


@example(pieces=["é", "aaaa", "aaaa", "aaaa"], cuts=[14])
@example(pieces=["baab-c", "\x1b[01;31m", "d"], cuts=[10])
@given(
    pieces=st.lists(
        st.sampled_from(["aaaa", "abab", "ab", "a", "é", "x" * 9, "baab-cd", *SEQUENCES]), max_size=30
    ),
    cuts=st.lists(st.integers(1, 40), min_size=1, max_size=20),
)
def test_an_open_line_is_masked_like_a_whole_one_wherever_it_is_cut(
    pieces: list[str], cuts: list[int]
) -> None:
    redactor = Redactor(["aaaa", "abab", "baab-cd", "éaéa"])
    line = "".join(pieces).encode()
    passed, rest, covered = b"", b"", 0
    left = line
    for cut in cuts:
        opened = redactor.redact_open(rest + left[:cut], covered)
        opened.passed.decode()  # no character is cut
        passed, rest, covered, left = passed + opened.passed, opened.rest, opened.covered, left[cut:]
    passed += redactor.redact(rest + left, covered)
    assert passed == redactor.redact(line)


@example(pieces=["abbaa", "\x1b["], cut_off=True)
@given(
    pieces=st.lists(st.sampled_from(["aa", "ab", "b", "x", "\x1b", "\x1b[", *SEQUENCES]), max_size=30),
    cut_off=st.booleans(),
)
def test_what_a_terminal_shows_holds_no_secret(pieces: list[str], cut_off: bool) -> None:  # noqa: FBT001 - hypothesis
    shown = Redactor(["aaaab", "abbaab"]).redact("".join(pieces).encode(), cut_off=cut_off)
    on_screen = WithoutSequences(without_unfinished(shown)).text
    assert not {secret for secret in (b"aaaab", b"abbaab") if secret in on_screen}
    if cut_off:
        assert not on_screen.endswith((b"aaaa", b"abba", b"abbaa"))


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_a_secret_that_is_coloured_in_part_is_masked_with_its_colours(sequence: str) -> None:
    line = f"key: Tok{sequence}enV{sequence}alue-1 end{sequence}"
    assert _redacted(line, "TokenValue-1") == f"key: [redacted] end{sequence}"
    redactor = Redactor(["TokenValue-1"])
    for end in range(len(sequence) + 1):
        cut_off = redactor.redact(f"key: Tok{sequence}enV{sequence[:end]}".encode(), cut_off=True)
        assert cut_off == b"key: [redacted]"


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        ("pässwörd-77", r"$'p\303\244ssw\303\266rd-77'"),
        ("pässwörd-77", r"b'p\xc3\xa4ssw\xc3\xb6rd-77'"),
        ("tab\tä-quote'd", r"$'tab\tä-quote\'d'"),
        ("tab\tä-quote'd", r"$'tab\t\303\244-quote\'d'"),
        ("bell\x01-key", r"$'bell\001-key'"),
        ("p@ss!w'ord", "p%40ss!w'ord"),
        ("p/q/r-secret", "p%2fq%2fr-secret"),
        ("mongodb://db.example/x?a=b c", "mongodb://db.example/x?a=b%20c"),
        ("a b~c*d-key", "a+b%7Ec*d-key"),
        ("abc<def>&ghi", "abc&lt;def&gt;&amp;ghi"),
        ("it's<b>-key", r"it\u0027s\u003cb\u003e-key"),
        ("it's=b&c-key", r"it\u0027s\u003db\u0026c-key"),
        ("it's a '' secret", """'it'"'"'s a '"''"' secret'"""),
        ("it's a '' secret", """'it'"'"'s a '"'"''"'"' secret'"""),
        ("https://u:p%40ss'w@h.example/x", r"p@ss'\''w"),
        ("https://h.example/x?sig=abc%26def-ghi", "sig: abc&amp;def-ghi"),
        ("abc<def>&ghi", r"abc\u003cdef\u003e\u0026ghi"),
        ("""say "hi" & 'bye'""", "say &quot;hi&quot; &amp; &#39;bye&#39;"),
        ("""say "hi" & 'bye'""", "say &#34;hi&#34; &amp; &#39;bye&#39;"),
        ("""say "hi" & 'bye'""", "say &quot;hi&quot; &amp; &apos;bye&apos;"),
        ("""say "hi" & 'bye'""", r"say\ \"hi\"\ \&\ \'bye\'"),
        ("abc/def/ghi", r"abc\/def\/ghi"),
        ("schlüssel", r"schl\u00FCssel"),
        ('a"b$c`d-key', r'declare -x A="a\"b\$c\`d-key"'),
    ],
)
def test_a_value_is_masked_as_programs_print_it(value: str, printed: str) -> None:
    shown = _redacted(f"<{printed}>", value)
    assert "[redacted]" in shown
    assert len(shown) <= len("<declare -x A=$'[redacted]'>")


def _words(count: int, length: int) -> list[str]:
    choice = random.Random(count)
    return ["".join(choice.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=length)) for _ in range(count)]


@pytest.mark.parametrize(
    "secrets",
    [
        ["\n".join(_words(3100, 8))],
        _words(1400, 10),
        [f"key-{number:06}" for number in range(2000)],
        ["a" * length for length in range(4, 250)],
    ],
    ids=["lines of one value", "values", "values that begin alike", "values within each other"],
)
def test_the_most_secrets_that_settings_have_room_for_hold_nothing_up(secrets: list[str]) -> None:
    assert sum(map(len, secrets)) < 32 * 1024
    words = secrets[-1].split("\n")
    lines = (f"{word} {number:090}\n" for number, word in enumerate(islice(cycle(words), 2600)))
    printed = "".join(lines)[: 256 * 1024]
    began_s = time.process_time()  # of this process alone: a busy machine does not count
    shown = _redacted(printed, URL, *secrets)
    assert time.process_time() - began_s < 3, (
        "a search that looks for one secret after the other takes minutes"
    )
    assert {*words}.isdisjoint(shown.split())
