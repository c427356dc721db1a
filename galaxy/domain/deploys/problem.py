"""One thing that is wrong with input."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in what somebody sent. Holds no value of `env` and nothing of the bundle URL.

    Attributes:
        path: Where: a JSON path such as `$["galaxy.meteor.com"].baseImage.tag`, or an argument such as `app`.
        what: What is wrong, without a full stop.
        example: What is right, as it would be written at this place.
    """

    path: str
    what: str
    example: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}. Example: {self.example}"
