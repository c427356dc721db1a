from __future__ import annotations

import random

import pytest

from galaxy.domain.backoff import backoff_s, shortest_backoff_s


@pytest.mark.parametrize(("failures", "longest"), [(1, 5), (2, 10), (3, 20), (4, 30), (99, 30), (10**6, 30)])
def test_a_wait_doubles_up_to_its_limit_and_varies_over_its_upper_half(failures: int, longest: float) -> None:
    def wait(chance: float) -> float:
        return backoff_s(failures, first_s=5, longest_s=30, chance=lambda: chance)

    assert (wait(0), wait(0.5), wait(1)) == (longest / 2, longest * 3 / 4, longest)
    assert shortest_backoff_s(failures, first_s=5, longest_s=30) == longest / 2


def test_those_who_fail_together_do_not_come_back_together() -> None:
    random.seed(20)
    waits = {backoff_s(1, first_s=1, longest_s=9) for _ in range(100)}
    assert len(waits) > 90
    assert min(waits) >= 0.5
    assert max(waits) <= 1


def test_no_first_wait_means_no_wait() -> None:
    assert backoff_s(7, first_s=0, longest_s=30) == 0
