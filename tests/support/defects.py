"""For tests that show a defect of Celery, kombu or billiard, and fail when the maintainers have mended it."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def still_defective(module: str) -> Iterator[None]:
    """The block shows what goes wrong without `workers/celery_fixes/<module>.py`; if it fails, nothing does."""
    try:
        yield
    except (AssertionError, pytest.fail.Exception) as gone:
        installed = ", ".join(f"{name} {version(name)}" for name in ("celery", "kombu", "billiard"))
        pytest.fail(
            f"The defect is gone ({installed}): drop workers/celery_fixes/{module}.py and what uses it.\n{gone}"
        )
