"""Rules about the base images that apps depend on, and about their updates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from galaxy.domain.base_images.image_reference import ImageReference
from galaxy.domain.base_images.updates import UpdateState
from galaxy.domain.diagnosis.finding import fine, warning
from galaxy.domain.diagnosis.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from galaxy.domain.base_images.base_image import BaseImage
    from galaxy.domain.diagnosis.finding import Finding

SUBJECT: Final = "updates"
#: A registry may be away for a check or two.
_LASTING: Final = 3
_NAMED: Final = 3

#: Codes of findings; both have the fact `image`.
NOT_CHECKED: Final = "base_image_not_checked"
PAUSED: Final = "update_paused"


def judge_updates(images: Sequence[BaseImage]) -> Iterator[Finding]:
    """Whether base images can be checked, and whether an update waits for a person."""
    running = sum(image.update is not None and image.update.state is UpdateState.RUNNING for image in images)
    yield fine(
        SUBJECT, f"{counted(len(images), 'base image')} in use, {counted(running, 'update')} under way."
    )
    failing = [image for image in images if image.errors >= _LASTING]
    for image in failing[:_NAMED]:
        more = len(failing) - _NAMED
        others = f" So it is with {more} more." if more > 0 and image is failing[_NAMED - 1] else ""
        yield warning(
            SUBJECT,
            f"{_familiar(image)} could not be checked {image.errors} times in a row, and"
            f" {counted(image.dependents, 'app')} would miss its update. {image.error or ''}{others}",
            "When that is mended, check it again.",
            code=NOT_CHECKED,
            image=_familiar(image),
        )
    for image in images:
        if image.update and image.update.state is UpdateState.PAUSED:
            yield warning(
                SUBJECT,
                f"Update {image.update.number} of {_familiar(image)} has paused. {image.update.reason or ''}".rstrip(),
                "Look for the reason, and resume the update.",
                code=PAUSED,
                image=_familiar(image),
            )


def _familiar(image: BaseImage) -> str:
    return str(ImageReference.parse(image.reference))
