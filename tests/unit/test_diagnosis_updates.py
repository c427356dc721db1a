from __future__ import annotations

from galaxy.domain.base_images.base_image import BaseImage, UpdateProgress
from galaxy.domain.base_images.updates import UpdateState
from galaxy.domain.diagnosis.finding import Severity
from galaxy.domain.diagnosis.updates import NOT_CHECKED, PAUSED, judge_updates


def image(name: str = "meteor/galaxy-app", **known: object) -> BaseImage:
    its = {"reference": f"docker.io/{name}:latest", "dependents": 2, "next_check_ms": 0, **known}
    return BaseImage.model_validate(its)


def test_base_images_that_answer_are_fine() -> None:
    running = UpdateProgress(number=2, state=UpdateState.RUNNING)
    (finding,) = judge_updates([image(), image("x/y", errors=2, error="Away."), image("z", update=running)])
    assert (finding.level, finding.found) == (Severity.OK, "3 base images in use, 1 update under way.")


def test_a_base_image_that_fails_for_long_is_told_with_its_reason() -> None:
    _, finding = judge_updates([image(errors=3, error="There is no such image.")])
    assert finding.level is Severity.WARNING
    assert finding.found == (
        "meteor/galaxy-app:latest could not be checked 3 times in a row, and 2 apps would miss its update."
        " There is no such image."
    )
    assert (finding.code, finding.facts) == (NOT_CHECKED, {"image": "meteor/galaxy-app:latest"})


def test_of_many_that_fail_some_are_named() -> None:
    _, *findings = judge_updates([image(f"x/{n}", errors=9, error="Away.") for n in range(5)])
    assert len(findings) == 3
    assert findings[-1].found.endswith("Away. So it is with 2 more.")


def test_a_paused_update_is_told_with_how_to_go_on() -> None:
    paused = UpdateProgress(number=4, state=UpdateState.PAUSED, reason="In wave 1, 1 of 1 builds failed.")
    _, finding = judge_updates([image(update=paused)])
    assert finding.level is Severity.WARNING
    assert (
        finding.found == "Update 4 of meteor/galaxy-app:latest has paused. In wave 1, 1 of 1 builds failed."
    )
    assert (finding.code, finding.facts) == (PAUSED, {"image": "meteor/galaxy-app:latest"})
