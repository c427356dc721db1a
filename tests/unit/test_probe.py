"""What a probe tries, and what it makes of what it saw."""

from __future__ import annotations

import pytest

from galaxy.domain.diagnosis.finding import Finding, Severity
from galaxy.domain.diagnosis.isolation import judge_isolation
from galaxy.domain.diagnosis.probe import Seen, Service, Target, endpoint_of, report, targets

MACHINE = ("172.17.0.1", "192.0.2.2")
STORE = Service("Redis (store)", "redis.internal", 6379)
METADATA = Target(what="the machine's metadata service", address="169.254.169.254", port=80)


def tried(*services: tuple[Service, tuple[str, ...]], guarded: tuple[str, ...] = ()) -> set[tuple[str, int]]:
    return {(each.address, each.port) for each in targets(dict(services), MACHINE, guarded=guarded)}


def found(seen: Seen, network: str = "galaxy-builds") -> tuple[Finding, ...]:
    whole = seen.model_copy(update={"no_new_privileges": True})
    told = report(
        network, (METADATA,), whole, intended_capabilities=(0, 3), image_variables=["NODE_VERSION=20"]
    )
    return tuple(judge_isolation(told))


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("redis://:p%40ss@redis.internal:6380/1", "redis.internal", 6380),
        ("rediss://redis.internal", "redis.internal", 6379),
        ("127.0.0.1:5000", "127.0.0.1", 5000),
        ("registry.example.com", "registry.example.com", 443),
        ("http://[fd00::1]:5001", "fd00::1", 5001),
        ("tcp://10.0.0.9:2376", "10.0.0.9", 2376),
    ],
)
def test_an_address_in_a_setting_is_host_and_port(url: str, host: str, port: int) -> None:
    assert endpoint_of("it", url) == ("it", host, port)


@pytest.mark.parametrize("url", ["", "unix:///var/run/docker.sock", "redis+socket:///run/redis.sock"])
def test_what_has_no_port_is_not_tried(url: str) -> None:
    assert endpoint_of("it", url) is None


def test_a_service_is_tried_at_its_own_addresses_and_on_the_engines_machine() -> None:
    assert {("10.0.0.5", 6379), ("172.17.0.1", 6379), ("192.0.2.2", 6379)} <= tried((STORE, ("10.0.0.5",)))


def test_a_service_on_a_workers_loopback_is_tried_on_the_machine_only() -> None:
    addresses = {address for address, port in tried((STORE, ("127.0.0.1", "::1", "0.0.0.0"))) if port == 6379}
    assert addresses == set(MACHINE)


def test_the_engines_api_and_metadata_services_are_always_tried() -> None:
    assert {
        ("172.17.0.1", 2375),
        ("192.0.2.2", 2376),
        ("169.254.169.254", 80),
        ("fd00:ec2::254", 80),
    } <= tried()


def test_nothing_is_tried_twice() -> None:
    found = targets({STORE: ("10.0.0.5",), STORE._replace(what="Redis (logs)"): ("10.0.0.5",)}, MACHINE)
    assert len({(each.address, each.port) for each in found}) == len(found)


def test_a_registry_on_the_internet_is_a_matter_of_its_login() -> None:
    registry = Service("the registry", "registry.example.com", 443)
    public, private = (
        next(
            each
            for each in targets({registry: (address,)}, (), guarded=("the registry",))
            if each.port == 443
        )
        for address in ("8.8.8.8", "10.0.0.7")
    )
    assert (public.expected_public, private.expected_public) == (True, False)


def test_a_container_that_is_shut_in_is_fine() -> None:
    seen = Seen(variables=frozenset({"PATH", "HOSTNAME", "NODE_VERSION"}), capabilities=0b1001)
    (finding,) = found(seen)
    assert finding.level is Severity.OK


def test_what_was_reached_is_named_with_what_to_do() -> None:
    (problem,) = found(Seen(reached=frozenset({("169.254.169.254", 80), ("203.0.113.9", 80)})))
    assert problem.level is Severity.PROBLEM
    assert "the machine's metadata service at 169.254.169.254:80" in problem.found
    assert "deploy/build-network" in problem.advice


def test_variables_and_capabilities_that_were_not_meant_are_named() -> None:
    leaked, capabilities = found(Seen(variables=frozenset({"HTTP_PROXY", "PATH"}), capabilities=0b100001))
    assert "HTTP_PROXY" in leaked.found
    assert "PATH" not in leaked.found
    assert ": 5 (capability(7))" in capabilities.found


def test_what_is_reached_from_the_network_that_every_engine_has_is_a_warning() -> None:
    (finding,) = found(Seen(reached=frozenset({("169.254.169.254", 80)})), network="bridge")
    assert finding.level is Severity.WARNING
    assert "GALAXY_BUILD_NETWORK" in finding.advice


def test_privileges_that_can_be_gained_are_a_problem() -> None:
    (finding,) = judge_isolation(report("builds", (), Seen(), intended_capabilities=(), image_variables=()))
    assert (finding.level, "gain privileges" in finding.found) == (Severity.PROBLEM, True)
