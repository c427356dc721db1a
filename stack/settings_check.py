"""`python -m stack.settings_check`: what the pipeline thinks of the settings in its environment, as one JSON object.

The stack runs it in the virtual environment, because the settings need more than the standard library.
"""

from __future__ import annotations

import json

from pydantic import ValidationError

from galaxy.settings import Settings, current


def main() -> None:
    """Print the names of all settings as `known`, and a sentence for each that is malformed."""
    malformed = []
    try:
        current()
    except ValidationError as error:
        for each in error.errors(include_url=False, include_input=False):
            name = f"GALAXY_{str(each['loc'][0]).upper()}" if each["loc"] else "The settings"
            malformed.append(f"{name}: {each['msg'].removeprefix('Value error, ')}.")
    print(json.dumps({"known": Settings.variables(), "malformed": malformed}))


if __name__ == "__main__":
    main()
