"""`make chaos`: see `choose` for the variables that it heeds."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial

from tests.chaos.choice import BadChoiceError, choose
from tests.chaos.perform import perform


def main() -> int:
    """Returns the exit code: 0 if every invariant held, 1 if not, 2 if the choice makes no sense."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is ended on the way out
    try:
        choice = choose(os.environ)
    except BadChoiceError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0 if perform(choice, partial(print, flush=True)).held else 1


if __name__ == "__main__":
    sys.exit(main())
