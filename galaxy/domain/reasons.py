"""Why something happened to a version: a code and facts in the store, a sentence for people."""

from __future__ import annotations

from contextlib import suppress
from types import MappingProxyType
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

#: Longer messages are cut: a base image with a huge field must not fill an app's history.
MAX_MESSAGE_BYTES: Final = 4096

#: Code of what a release recorded that knew no codes: its sentence is the fact `message`.
_PLAIN: Final = "plain"

#: Each code of ours with its sentence. All other codes are those of errors, whose sentence is the fact `message`.
SENTENCES: Final = MappingProxyType(
    {
        "deployed_newer": "Version {newer} was deployed before this one was built.",
        "newer_is_active": "Version {active} was active before this one was built.",
        "base_image_changed": "The base image changed again before this version was built.",
        "base_image_changed_again": "The base image changed again: version {newer} takes its place.",
        "updates_turned_off": "Updates of {app} were turned off before this one was active.",
        "pinned_elsewhere": "{app} was pinned to another digest before this one was active.",
        "cancelled_by": "Cancelled by {who}.",
        "worker_lost": "The worker that ran this attempt was lost.",
        "rebuild": (
            "Base image {base_image} changed to digest {digest}: version {version} builds version {source} on it again."
        ),
    }
)


class Reason(BaseModel):
    """Why an attempt failed, a version ended, or an automatic version was made.

    Attributes:
        code: One of `SENTENCES`, or the code of the error that an attempt failed with.
        facts: What the sentence tells, by name. `message` is an error's own text, with secrets redacted; it is cut at
            `MAX_MESSAGE_BYTES`.
    """

    model_config = ConfigDict(frozen=True)

    code: str
    facts: dict[str, str | int | float] = {}

    @field_validator("facts")
    @classmethod
    def _bounded(cls, facts: dict[str, str | int | float]) -> dict[str, str | int | float]:
        return {name: cut(it) if isinstance(it, str) else it for name, it in facts.items()}

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Reads what the store keeps: JSON, or a sentence that an earlier release recorded; None for no text."""
        if not text:
            return None
        with suppress(ValidationError):
            if text.startswith("{"):
                return cls.model_validate_json(text)
        return cls(code=_PLAIN, facts={"message": text})

    @property
    def is_plain(self) -> bool:
        """An earlier release recorded it, as a sentence alone."""
        return self.code == _PLAIN

    @property
    def sentence(self) -> str:
        """What people read."""
        template = SENTENCES.get(self.code)
        with suppress(KeyError):  # a later release may record other facts
            if template:
                return template.format_map(self.facts)
        return str(self.facts.get("message", f"{self.code.replace('_', ' ').capitalize()}."))


#: The worker that ran an attempt has died.
WORKER_LOST: Final = Reason(code="worker_lost")


def failed(code: str, message: str) -> Reason:
    """Why an attempt failed.

    Args:
        code: The error's.
        message: The error's text, with secrets redacted.
    """
    return Reason(code=code, facts={"message": message})


def cancelled_by(who: str) -> Reason:
    """A person ended a version."""
    return Reason(code="cancelled_by", facts={"who": who})


def cut(text: str, max_bytes: int = MAX_MESSAGE_BYTES) -> str:
    """The text, or its beginning and how long it was; never more than `max_bytes` of UTF-8."""
    encoded = text.encode(errors="backslashreplace")
    if len(encoded) <= max_bytes:
        return encoded.decode()
    remark = f" … [cut: it had {len(encoded)} bytes]"
    return encoded[: max_bytes - len(remark.encode())].decode(errors="ignore") + remark
