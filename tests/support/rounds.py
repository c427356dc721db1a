"""How often a test of random values tries, besides those that leave it to hypothesis."""

from __future__ import annotations

from hypothesis import settings


def rounds(thorough: int) -> int:
    """The number of rounds in this run: as given in `make test`, and a quarter of it in `make unit`."""
    return thorough * settings().max_examples // 100
