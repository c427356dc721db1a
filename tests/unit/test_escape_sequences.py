from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from galaxy.domain.output.escape_sequences import WithoutSequences, without_sequences, without_unfinished

PIECES = st.lists(
    st.sampled_from([b"a", b"bc", b"\n", b"m", b"\x1b", b"\x1b[", b"\x1b[1;31m", b"\x1b]0;t\x07", b"\x1b(B"])
)


@given(pieces=PIECES)
def test_each_byte_that_is_shown_is_found_in_the_original(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    shown = WithoutSequences(data)
    assert shown.text == without_sequences(data)
    assert bytes(data[shown.original(at)] for at in range(len(shown.text))) == shown.text
    assert shown.original(len(shown.text)) == len(data)


@pytest.mark.parametrize(
    "sequence",
    [
        "\x1b[0m",
        "\x1b[01;31m",
        "\x1b[38:5:3m",
        "\x1b[K",
        "\x1b[?25l",
        "\x1b[2 q",
        "\x1b7",
        "\x1bM",
        "\x1bc",
        "\x1b(B",
        "\x1b%G",
        "\x1b]0;title\x07",
        "\x1b]8;;https://example.com\x1b\\",
    ],
)
def test_whole_sequences_are_not_shown_and_unfinished_ones_can_be_left_out(sequence: str) -> None:
    data = sequence.encode()
    assert without_sequences(b"a" + data + b"b") == b"ab"
    for end in range(1, len(data)):
        assert without_unfinished(b"a" + data[:end]) == b"a"
    assert without_unfinished(b"a" + data + b"b") == b"a" + data + b"b"


def test_a_title_that_does_not_end_on_its_line_hides_nothing() -> None:
    assert without_sequences(b"\x1b]0;t\nkey\x07") == b"\x1b]0;t\nkey\x07"
