"""Replaces secrets in what a build prints by a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from galaxy.domain.output.escape_sequences import (
    WithoutSequences,
    has_sequences,
    without_sequences,
    without_unfinished,
)
from galaxy.domain.output.needles import Needles
from galaxy.domain.output.spellings import MIN_SECRET_LENGTH, spellings
from galaxy.domain.output.utf8 import character_start

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

MASK: Final = b"[redacted]"

#: UTF-8 characters have at most this many bytes.
_MAX_CHARACTER_BYTES: Final = 4

#: Escape sequences of so many bytes may stand within a secret on a line that is not whole, which bounds what waits.
_MAX_SEQUENCES_BYTES: Final = 4096


class OpenLine(NamedTuple):
    """The beginning of a line whose end is not known yet.

    Attributes:
        passed: What may be shown now, redacted.
        rest: What has to wait, because a secret may begin in it.
        covered: How many bytes at the start of `rest` belong to a secret that `passed` has already masked.
    """

    passed: bytes
    rest: bytes
    covered: int


class Redactor:
    """Replaces secrets and the forms in which programs print them by `[redacted]`.

    Works on whole lines of UTF-8 bytes. Overlapping secrets are masked together, and with a secret the escape sequences
    that stand in it, which no terminal shows. Values shorter than `MIN_SECRET_LENGTH` characters are not redacted.

    Attributes:
        longest: Length of the longest form of a secret, in bytes; 0 if there are none.
        longest_shown: The same with as many escape sequences in it as are allowed for; 0 if there are no secrets.

    Args:
        secrets: Each line of a value with several lines counts as a secret. See `spellings` for the forms of each that
            are looked for.
        whole: Parts of URLs are no secrets of their own.
        shown: Texts that are left alone although they may be such a form: the public part of a secret URL.
    """

    def __init__(self, secrets: Iterable[str], *, whole: bool = False, shown: Collection[str] = ()) -> None:
        forms = {form for secret in secrets for form in spellings(secret, whole=whole)}
        self._needles = Needles(form.encode(errors="replace") for form in forms.difference(shown))
        self.longest = self._needles.longest
        self.longest_shown = self.longest + _MAX_SEQUENCES_BYTES if self.longest else 0

    def redact(self, data: bytes, covered: int = 0, *, cut_off: bool = False) -> bytes:
        """Masks all secrets in whole lines.

        Args:
            data: Lines; the first one may be the end of an open line.
            covered: See `OpenLine`; 0 if no open line came before.
            cut_off: The output ends here, perhaps inside a secret: the beginning of one at the end is masked too.
        """
        begun = self._begun_at(data) if cut_off else len(data)
        spans = self._spans(data, (0, covered), (begun, len(data)))
        return _masked(data, spans, len(data), covered) if spans else data

    def redact_text(self, text: str) -> str:
        """Masks all secrets in a sentence."""
        return self.redact(text.encode(errors="backslashreplace")).decode()

    def redact_open(self, data: bytes, covered: int = 0) -> OpenLine:
        """Masks secrets in the beginning of a line. What may be the beginning of a secret or character is held back."""
        cut = character_start(data, self._certain_up_to(data))
        if cut <= 0:
            return OpenLine(b"", data, covered)
        spans = self._spans(data, (0, covered))
        return OpenLine(_masked(data, spans, cut, covered), data[cut:], _reach(spans, cut))

    def reach(self, before: bytes, after: bytes) -> int:
        """How many bytes at the beginning of `after` belong to secrets that begin in `before`.

        It is enough to give the last `longest_shown` bytes of `before`. A secret that does not end within `after`
        counts too.
        """
        after = after[: self.longest_shown]
        both = before + after
        if self._begun_at(both) < len(before):
            return len(after)
        return _reach(self._spans(both), len(before))

    def _spans_amid_sequences(self, data: bytes) -> list[tuple[int, int]]:
        spans = self._needles.spans(without_sequences(data))
        if not spans:  # as nearly always
            return []
        shown = WithoutSequences(data)
        return [shown.original_span(*span) for span in spans]

    def _begun_at(self, data: bytes) -> int:
        """Index at which a secret begins that is cut off by the end of the data; the data's length if there is none."""
        begun = self._needles.begun_at(data, MIN_SECRET_LENGTH)
        if has_sequences(data):
            shown = WithoutSequences(without_unfinished(data))
            begun_there = self._needles.begun_at(shown.text, MIN_SECRET_LENGTH)
            if begun_there < len(shown.text):
                begun = min(begun, shown.original(begun_there))
        return begun

    def _certain_up_to(self, data: bytes) -> int:
        """Index up to which the data can be masked now: no secret that begins before it needs bytes still to come."""
        waits = max(self.longest, _MAX_CHARACTER_BYTES) - 1
        last = len(data) - waits
        first = last - _MAX_SEQUENCES_BYTES
        end = data[max(0, first) :]
        if has_sequences(end):
            shown = WithoutSequences(without_unfinished(end))
            of_shown = max(0, first) + shown.original(max(0, len(shown.text) - waits))
            last = max(min(last, of_shown), first)
        return last

    def _spans(self, data: bytes, *known: tuple[int, int]) -> list[tuple[int, int]]:
        """Spans [start, end) of secrets and of the known spans, sorted and merged where they overlap."""
        found = [*self._needles.spans(data), *(span for span in known if span[0] < span[1])]
        if has_sequences(data):
            found += self._spans_amid_sequences(data)
        merged: list[tuple[int, int]] = []
        for start, end in sorted(found):
            if merged and start < merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return merged


def _reach(spans: list[tuple[int, int]], cut: int) -> int:
    """How many bytes after `cut` belong to the span that crosses it; 0 if none does."""
    return next((end - cut for start, end in spans if start < cut < end), 0)


def _masked(data: bytes, spans: list[tuple[int, int]], cut: int, covered: int) -> bytes:
    """`data[:cut]` with a mask for each span that begins in it; the mask of covered bytes was passed on before."""
    parts = []
    at = 0
    for start, end in spans:
        if start >= cut:
            break
        parts.append(data[at:start])
        if start or not covered:
            parts.append(MASK)
        at = end
    parts.append(data[at:cut])
    return b"".join(parts)
