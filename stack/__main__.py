"""`python3 -m stack COMMAND`: what the make targets call."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - whoever comes with an older one shall read why
    sys.exit(
        "Python 3.11 or newer is needed. If it is installed under another name: make PYTHON=python3.11 …"
    )

from stack.commands import main

sys.exit(main(sys.argv[1:]))
