"""JSON, read more strictly than Python does: no duplicate keys, no NaN, and a bound for everything."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from galaxy.domain.deploys.problems import Problems, json_path, kind, quoted, refused

if TYPE_CHECKING:
    from galaxy.domain.errors import InvalidInput

#: Nesting that every reader of JSON on the way can follow, far from Python's own limit.
MAX_DEPTH: Final = 100
#: Longer settings are not even looked into.
_MAX_BYTES_READ: Final = 1024 * 1024
#: A double has at most 309 digits before the point; Python takes quadratic time for more than a few thousand.
_MAX_DIGITS: Final = 310
_MAX_NUMBER: Final = 2**1024
#: Python writes integers of up to 4,300 digits.
_MAX_BITS_WRITTEN: Final = 14_000

_SURROGATE = re.compile("[\ud800-\udfff]")
_TOO_DEEP: Final = f"the settings are nested deeper than {MAX_DEPTH} levels"

_EXAMPLE: Final = '{"galaxy.meteor.com": {"baseImage": {"repository": "meteor/galaxy-app", "tag": "latest"}}}'


class _Object(dict[str, object]):
    """A JSON object that remembers which of its keys were written more than once."""

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        super().__init__(pairs)
        counts = Counter(key for key, _ in pairs) if len(self) < len(pairs) else Counter[str]()
        self.duplicates = tuple(key for key, count in counts.items() if count > 1)


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON object, as text and decoded.

    Attributes:
        text: As it came, without a byte order mark; compact if it came decoded.
        content: The same, decoded.
    """

    text: str = field(repr=False)
    content: dict[str, object] = field(repr=False)


def parse_document(value: object, *, max_bytes: int, problems: Problems) -> Document:
    """Read a JSON object from text, UTF-8 bytes, or what a JSON reader made of it.

    Args:
        value: Text, bytes or a dict; anything else is refused.
        max_bytes: Most bytes of UTF-8 that the text may take, a byte order mark not counted.
        problems: Gets every mistake that still leaves something to read, with its JSON path, so that the
            caller's own mistakes can be told with them.

    Raises:
        InvalidInput: When there is nothing to read. Repeats keys, never values.
    """
    text = _encoded(value, max_bytes) if isinstance(value, dict) else _decoded(value)
    size = len(text.encode())
    if size > max_bytes:
        too_large = _too_large(f"{size} bytes", max_bytes)
        if size > _MAX_BYTES_READ:
            raise too_large
        problems.note(too_large)
    content = _loaded(text)
    if not isinstance(content, dict):
        raise refused("$", f"the settings must be a JSON object, not {kind(content)}", _EXAMPLE)
    _Inspection(max_bytes, problems).of(content)
    return Document(text, content)


def is_unicode(text: str) -> bool:
    """Whether the text can be written in UTF-8: half of a surrogate pair can't."""
    return not _SURROGATE.search(text)


def _decoded(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        text = value.decode("utf-8", errors="surrogateescape")
    elif isinstance(value, str):
        text = value
    elif value is None:
        raise refused("$", "the settings are missing; without any, give an empty object", "{}")
    else:
        raise refused("$", f"the settings must be a JSON object or its text, not {kind(value)}", _EXAMPLE)
    if not is_unicode(text):
        raise refused("$", "the settings are not UTF-8 text", _EXAMPLE)
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise refused("$", "the settings are empty; without any, give an empty object", "{}")
    return text


def _encoded(value: dict[str, object], max_bytes: int) -> str:
    problems = Problems()
    if not _Inspection(max_bytes, problems).of(value):
        problems.refuse()
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # half of a surrogate pair has no UTF-8, but an escape
    return text if is_unicode(text) else json.dumps(value, separators=(",", ":"))


def _loaded(text: str) -> object:
    try:
        content: object = json.loads(text, object_pairs_hook=_Object, parse_int=_integer)
    except json.JSONDecodeError as error:
        what = f"the settings are not valid JSON: line {error.lineno}, column {error.colno}: {error.msg}"
    except RecursionError:
        what = _TOO_DEEP
    else:
        return content
    # outside the handler, for the reader's error holds the whole text
    raise refused("$", what, _EXAMPLE)


def _integer(digits: str) -> float:
    return int(digits) if len(digits) <= _MAX_DIGITS else math.inf


def _too_large(size: str, max_bytes: int) -> InvalidInput:
    what = f"the settings take {size} of UTF-8; {max_bytes} bytes are the most"
    return refused("$", what, "settings without large data, which goes into the bundle")


class _Inspection:
    """Looks at every value of a document. What is not a tree, or has no end, runs out of budget.

    The document may weigh `_MAX_BYTES_READ`: each value 1, each string its length. That is never more than the
    bytes of its text.
    """

    def __init__(self, max_bytes: int, problems: Problems) -> None:
        self._budget = max(max_bytes, _MAX_BYTES_READ)
        self._max_bytes = max_bytes
        self._problems = problems
        self._too_deep = False
        self._foreign = False

    def of(self, document: dict[str, object]) -> bool:
        """Note what is more than JSON, and tell whether the document can be written as text at all."""
        self._visit(document, ())
        if self._too_deep:
            self._problems.add("$", _TOO_DEEP, _EXAMPLE)
        return not (self._too_deep or self._foreign)

    def _visit(self, value: object, steps: tuple[str | int, ...]) -> None:
        self._weigh(1)
        match value:
            case None | bool():
                return
            case str():
                self._weigh(len(value))
            case int() | float():
                self._check_number(value, steps)
            case dict() | list() | tuple() if len(steps) >= MAX_DEPTH:
                self._too_deep = True
            case dict():
                self._visit_object(value, steps)
            case list() | tuple():
                for index, item in enumerate(value):
                    self._visit(item, (*steps, index))
            case _:
                self._foreign = True
                self._problems.add(json_path(*steps), f"is not JSON but {kind(value)}", '"text"')

    def _visit_object(self, members: dict[object, object], steps: tuple[str | int, ...]) -> None:
        for twice in members.duplicates if isinstance(members, _Object) else ():
            what = "is there more than once; readers disagree about which one counts"
            self._problems.add(json_path(*steps, twice), what, f"one {quoted(twice)} only")
        for key, value in members.items():
            if not isinstance(key, str):
                self._foreign = True
                self._problems.add(
                    json_path(*steps), f"has a key that is {kind(key)}, not a string", '{"1": true}'
                )
                continue
            self._weigh(len(key))
            self._visit(value, (*steps, key))

    def _check_number(self, value: float, steps: tuple[str | int, ...]) -> None:
        if isinstance(value, int):
            finite = abs(value) < _MAX_NUMBER
            self._foreign |= value.bit_length() > _MAX_BITS_WRITTEN
        else:
            finite = math.isfinite(value)
        if not finite:
            what = "is not a number of JSON's: NaN, Infinity or beyond 1.8e308"
            self._problems.add(json_path(*steps), what, "null, or the number as a string")

    def _weigh(self, weight: int) -> None:
        self._budget -= weight
        if self._budget < 0:
            raise _too_large(f"more than {self._max_bytes} bytes", self._max_bytes)
