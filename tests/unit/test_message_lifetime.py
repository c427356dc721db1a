"""How long beat's messages are good."""

from __future__ import annotations

import pytest

from galaxy.domain.heartbeats import BEAT, expires_s, reaper_of, swept_by


@pytest.mark.parametrize(("period_s", "good_s"), [(1, 60), (15, 60), (16, 64), (30, 120)])
def test_four_periods_and_no_less_than_a_minute(period_s: float, good_s: float) -> None:
    assert expires_s(period_s) == good_s


def test_a_reapers_heartbeat_names_its_worker() -> None:
    assert swept_by(reaper_of("build@one")) == "build@one"
    assert swept_by(BEAT) is None
