from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from galaxy.domain.output.needles import Needles

#: Few letters, so that needles contain, begin and overlap each other.
TEXTS = st.text("ab", max_size=60).map(str.encode)
NEEDLES = st.sets(st.text("ab", min_size=1, max_size=12).map(str.encode), max_size=20)


def _covered(spans: list[tuple[int, int]]) -> set[int]:
    return {at for start, end in spans for at in range(start, end)}


def _one_by_one(needles_: set[bytes], text: bytes) -> list[tuple[int, int]]:
    return [
        (at, at + len(needle))
        for needle in needles_
        for at in range(len(text))
        if text.startswith(needle, at)
    ]


@example(wanted={b"aaaa", b"aaaaaaab"}, text=b"aaaaaaaaab")
@example(wanted={b"abab", b"babb"}, text=b"xababbx")
@example(
    wanted={b"https://a" * 4 + b"x", b"https://a" * 4, b"https://b"}, text=b"https://a" * 5 + b"xhttps://b"
)
@given(wanted=NEEDLES, text=TEXTS)
def test_every_byte_of_every_needle_is_found(wanted: set[bytes], text: bytes) -> None:
    assert _covered(Needles(wanted).spans(text)) == _covered(_one_by_one(wanted, text))


def test_a_needle_is_found_up_to_the_very_end_of_a_text() -> None:
    found = Needles([b"needle", b"needles and pins"])
    assert found.spans(b"a needle") == [(2, 8)]
    assert found.spans(b"needl") == []
    assert found.spans(b"") == []


def test_no_needles_are_found_nowhere() -> None:
    assert Needles(()).spans(b"text") == []


@given(wanted=NEEDLES, text=TEXTS, at_least=st.integers(1, 5))
def test_the_beginning_of_a_needle_at_the_end_of_a_text_is_found(
    wanted: set[bytes], text: bytes, at_least: int
) -> None:
    begun = [
        at for at in range(len(text) - at_least + 1) if any(needle.startswith(text[at:]) for needle in wanted)
    ]
    assert Needles(wanted).begun_at(text, at_least) == (begun[0] if begun else len(text))
