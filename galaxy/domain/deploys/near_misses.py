"""Keys that were most likely meant to be others: misspelled, or in other words."""

from __future__ import annotations

import difflib
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: difflib's ratio: one letter wrong, missing, swapped or too many in a word of eight or more.
_LIKENESS: Final = 0.87
#: Words of fewer letters are like too many others.
_MIN_LIKENESS_LENGTH: Final = 6


def meant(key: str, words: Mapping[str, str]) -> str | None:
    """The key of ours that `key` is, or was meant to be; None if it is like none.

    Args:
        key: As somebody wrote it.
        words: Our keys, by all words for them in the form of `folded`. Misspellings are found by likeness.
    """
    plain = folded(key)
    if plain in words:
        return words[plain]
    candidates = [word for word in words if len(word) >= _MIN_LIKENESS_LENGTH]
    like = difflib.get_close_matches(plain, candidates, n=1, cutoff=_LIKENESS)
    return words[like[0]] if like else None


def is_like(key: str, section: str) -> bool:
    """Whether a key was most likely meant to be our section: `Galaxy.Meteor.com`, `galaxy.meteor.co`."""
    # difflib's time grows with the product of the lengths, and keys are as long as their author likes
    if abs(len(key) - len(section)) > len(section):
        return False
    return difflib.SequenceMatcher(None, folded(key), folded(section)).ratio() >= _LIKENESS


def folded(key: str) -> str:
    """A key without what people get wrong: case, width, blanks, punctuation."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", key).casefold()))
