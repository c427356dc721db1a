"""A short run of `make chaos`: every kind of fault, on real processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import unavailable
from tests.support.fleet import ROOT
from tests.support.own_engine import why_not

if TYPE_CHECKING:
    import docker

#: The same faults in the same order each time; when exactly they hit, the machine decides.
_SHORT = {"CHAOS_SEED": "4", "CHAOS_BUILDS": "8"}


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("base_images")
def test_whatever_breaks_no_build_is_lost_doubled_endless_or_leaking(docker_api: docker.APIClient) -> None:
    if not shutil.which("redis-server"):
        unavailable("redis-server is not installed")
    assert docker_api.ping()
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos"],
        cwd=ROOT, env={**_SHORT, **os.environ}, capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert why_not() or "restart-engine" in done.stdout
