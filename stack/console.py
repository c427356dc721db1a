"""What the stack says to people."""

from __future__ import annotations

import sys


class StackError(Exception):
    """The stack can't go on. The message says what is wrong and how to mend it."""


def say(text: str) -> None:
    """Print a line of progress on stderr, which leaves stdout to results."""
    print(text, file=sys.stderr, flush=True)
