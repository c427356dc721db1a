"""What build containers of the running stack reach of it."""

from __future__ import annotations

import os
import socket
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from galaxy.bootstrap import Pipeline
from galaxy.domain.diagnosis.finding import Severity
from galaxy.domain.diagnosis.isolation import judge_isolation
from galaxy.settings import Settings
from tests.conftest import unavailable

if TYPE_CHECKING:
    from galaxy.domain.diagnosis.probe import ProbeReport
    from tests.e2e.conftest import Stack


def probe(**changed: str) -> ProbeReport:
    return Pipeline(Settings(**changed)).isolation_probe.run()  # type: ignore[arg-type] # only strings are changed


def test_build_containers_are_shut_in(stack: Stack) -> None:
    if os.geteuid() != 0:
        unavailable("only root may make the rules of the stack's network")
    network = os.environ["GALAXY_BUILD_NETWORK"]
    assert stack.engine.networks.list(names=[f"^{network}$"])
    bundles = urlsplit(os.environ["GALAXY_BUNDLES_URL"]).hostname
    store = urlsplit(os.environ["GALAXY_STORE_URL"]).port
    assert bundles
    assert store
    # the stack's Redis listens on loopback alone: so that there is something to reach, this is its careless brother
    with closing(socket.create_server((bundles, store))):
        reached = [(each.address, each.port) for each in probe(build_network="bridge").reached]
        assert (bundles, store) in reached
        report = probe()
    assert (report.network, report.reached) == (network, ())
    (finding,) = judge_isolation(report)
    assert finding.level is Severity.OK


def test_the_doctor_tells_what_builds_reach(stack: Stack) -> None:
    done = stack.galaxy("doctor", "--json")
    told = [each for each in done.json_lines() if each["subject"] == "builds"]
    assert len(told) == 1
    assert os.environ["GALAXY_BUILD_NETWORK"] in str(told[0]["found"])
