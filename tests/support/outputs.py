"""Outputs of attempts for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import SecretStr

from galaxy.domain.output.attempt_output import AttemptOutput
from tests.support.stores import APP, BUNDLE_URL

if TYPE_CHECKING:
    from collections.abc import Mapping


def attempt_output(
    env: Mapping[str, str] | None = None,
    *,
    app: str = APP,
    bundle_url: str = BUNDLE_URL,
    max_bytes: int = 10**7,
) -> AttemptOutput:
    """The output of an attempt with these values in the settings' `env`."""
    values = {name: SecretStr(value) for name, value in (env or {}).items()}
    return AttemptOutput(app=app, bundle_url=SecretStr(bundle_url), env=values, max_bytes=max_bytes)
