"""What build containers of the running stack reach of it."""

from __future__ import annotations

import os
import socket
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from galaxy.bootstrap import Pipeline
from galaxy.settings import Settings
from tests.conftest import unavailable

if TYPE_CHECKING:
    from galaxy.domain.probe import ProbeReport
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
    assert (report.network, report.problems) == (network, ())


def test_the_default_network_is_a_problem_that_the_probe_names(stack: Stack) -> None:
    assert stack.engine.ping()
    assert "GALAXY_BUILD_NETWORK" in probe(build_network="bridge").problems[0]
