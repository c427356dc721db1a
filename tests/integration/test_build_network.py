"""What the rules of `deploy/build-network` let through, on a machine in miniature and on the real engine."""

from __future__ import annotations

import socket
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from galaxy.adapters.engine.docker.engine import DockerEngine
from galaxy.adapters.engine.docker.isolation import Isolation
from tests.support.base_images import BaseImageSpec
from tests.support.shut_in import SCRIPT, Miniature, require_rules

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

    from galaxy.adapters.engine.ports import Image
    from tests.support.base_images import BaseImages
    from tests.support.shut_in import Place

INTERNET = "203.0.113.9"
PRIVATE = ("10.1.1.1", "192.168.7.7", "172.20.3.3", "100.64.3.3")
METADATA = "169.254.169.254"
WEB: tuple[Place, ...] = tuple((address, 80) for address in (INTERNET, *PRIVATE, METADATA))
MACHINE: tuple[Place, ...] = tuple(
    (address, port) for address in (Miniature.machine, Miniature.uplink) for port in (6379, 8080)
)


@pytest.fixture(scope="module")
def miniature() -> Iterator[Miniature]:
    require_rules()
    here = Miniature([INTERNET, *PRIVATE, METADATA])
    yield here
    here.close()


@pytest.fixture
def machine(miniature: Miniature) -> Iterator[Miniature]:
    """Without rules. The test ends by asserting that `down` leaves none."""
    before = miniature.rules()
    yield miniature
    miniature.build_network("down")
    assert miniature.rules().replace("-N DOCKER-USER\n", "") == before.replace("-N DOCKER-USER\n", "")


def test_without_rules_everything_is_reached(machine: Miniature) -> None:
    assert machine.reached(*WEB, *MACHINE) == {*WEB, *MACHINE}


def test_only_the_internet_is_reached(machine: Miniature) -> None:
    machine.build_network("rules")
    assert machine.reached(*WEB, *MACHINE) == {(INTERNET, 80)}


def test_exceptions_are_an_address_with_all_its_ports_or_with_one(machine: Miniature) -> None:
    machine.build_network("rules", "--allow", "10.1.1.1:9000", "--allow", "192.168.0.0/16")
    places = [(address, port) for address in PRIVATE for port in (80, 9000)]
    assert machine.reached(*places) == {("10.1.1.1", 9000), ("192.168.7.7", 80), ("192.168.7.7", 9000)}


def test_dns_servers_answer_questions_and_nothing_else(machine: Miniature) -> None:
    machine.build_network("rules", "--dns", METADATA)  # some clouds have it there
    places = [(address, port) for address in (METADATA, "10.1.1.1") for port in (53, 80)]
    assert machine.reached(*places) == {(METADATA, 53)}


def test_a_local_stack_shuts_its_own_ports_and_link_local_addresses_only(machine: Miniature) -> None:
    machine.build_network("rules", "--local", "6379,2375")
    shut = {(METADATA, 80), (Miniature.machine, 6379), (Miniature.uplink, 6379)}
    assert machine.reached(*WEB, *MACHINE) == {*WEB, *MACHINE} - shut


def test_nobody_can_connect_to_a_build_container(machine: Miniature) -> None:
    assert machine.machine_reaches_container()
    machine.build_network("rules")
    assert not machine.machine_reaches_container()


@pytest.mark.parametrize("policy", [[], ["--local", "6379"]])
def test_app_containers_answer_their_machine_and_reach_no_more_than_others(
    machine: Miniature, policy: list[str]
) -> None:
    machine.build_network("rules", *policy)
    before = machine.reached(*WEB, *MACHINE)
    machine.build_network("rules", "--serve", *policy)
    assert machine.machine_reaches_container()
    assert machine.reached(*WEB, *MACHINE) == before


def test_a_peer_on_another_network_may_connect_and_nobody_else_there(machine: Miniature) -> None:
    # the last word belongs to a chain that keeps networks apart, as the engine's own does
    for other in PRIVATE[:2]:
        machine.on_machine("iptables", "-A", "FORWARD", "-s", other, "-j", "DROP")
        machine.on_machine("iptables", "-A", "FORWARD", "-d", other, "-j", "DROP")
    machine.build_network("rules", "--peer", PRIVATE[0])
    machine.on_machine("iptables", "-I", "FORWARD", "1", "-j", "DOCKER-USER")  # as the engine does
    try:
        assert machine.world_reaches_container(PRIVATE[0])
        assert not machine.world_reaches_container(PRIVATE[1])
        assert machine.reached((PRIVATE[0], 80)) == set()
        machine.build_network("rules", "--peer", PRIVATE[1])
        machine.on_machine("iptables", "-D", "FORWARD", "-j", "DOCKER-USER")
        machine.on_machine("iptables", "-I", "FORWARD", "1", "-j", "DOCKER-USER")
        assert not machine.world_reaches_container(PRIVATE[0])
        assert machine.world_reaches_container(PRIVATE[1])
    finally:
        machine.on_machine("iptables", "-D", "FORWARD", "-j", "DOCKER-USER")
        for other in PRIVATE[:2]:
            machine.on_machine("iptables", "-D", "FORWARD", "-s", other, "-j", "DROP")
            machine.on_machine("iptables", "-D", "FORWARD", "-d", other, "-j", "DROP")


def test_rules_can_be_made_again_and_changed(machine: Miniature) -> None:
    machine.build_network("rules")
    first = machine.rules()
    machine.build_network("rules")
    assert machine.rules() == first
    machine.build_network("rules", "--allow", "10.1.1.1")
    assert machine.reached(*WEB) == {(INTERNET, 80), ("10.1.1.1", 80)}


def test_rules_come_before_those_that_others_made_meanwhile(machine: Miniature) -> None:
    machine.build_network("rules")
    machine.on_machine("iptables", "-I", "INPUT", "-j", "ACCEPT")
    try:
        assert (Miniature.machine, 6379) in machine.reached(*MACHINE)
        machine.build_network("rules")
        assert machine.reached(*MACHINE) == set()
    finally:
        machine.on_machine("iptables", "-D", "INPUT", "-j", "ACCEPT")


def test_show_prints_the_rules(machine: Miniature) -> None:
    machine.build_network("rules")
    shown = machine.build_network("show")
    assert f"-A INPUT -i {Miniature.network} -j {Miniature.network}" in shown
    assert "-d 169.254.0.0/16" in shown


@pytest.mark.parametrize(
    "wrong",
    [
        ["rules", "a-name-of-16-char"],
        ["rules", "INPUT"],
        ["rules", "--allow", "bundles.example.com"],
        ["rules", "--allow"],
        ["rules", "--local", "redis"],
        ["rules", "--open", "1"],
        ["rules", "--peer", "router"],
        ["forward"],
        [],
    ],
)
def test_wrong_usage_changes_nothing_and_is_exit_code_2(wrong: list[str]) -> None:
    done = subprocess.run(["sh", str(SCRIPT), *wrong], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr


# -- on the real engine


#: Prints those of the places on its command line that take a connection.
_CONNECT = 'for place in $1; do (exec 3<>"/dev/tcp/${place/://}") 2>/dev/null && echo "$place"; done; true'


def reached(image: Image, network: str, *places: Place) -> set[Place]:
    printed: list[bytes] = []
    engine = DockerEngine(isolation=Isolation(network=network))
    command = ("/bin/bash", "-c", f'read -r all; set -- "$all"; {_CONNECT}')
    with engine.build_container(image, name=f"galaxy-test-{uuid4().hex[:12]}", command=command) as box:
        asked = " ".join(f"{address}:{port}" for address, port in places)
        assert box.run(asked, lambda _, data: printed.append(data), lambda: None) == 0
    found = (line.rpartition(":") for line in b"".join(printed).decode().split())
    return {(address, int(port)) for address, _, port in found}


@pytest.fixture
def web_server(base_images: BaseImages, docker_api: docker.APIClient) -> Iterator[WebServer]:
    """Starts containers that serve on port 80."""
    yield (server := WebServer(docker_api, base_images.build(BaseImageSpec())))
    for name in server.names:
        docker_api.remove_container(name, force=True, v=True)


class WebServer:
    def __init__(self, api: docker.APIClient, image: Image) -> None:
        self._api = api
        self.image = image
        self.names: list[str] = []

    def start(self, network: str, published_at: str | None = None) -> dict[str, Any]:
        """Returns what the engine tells of the container's network."""
        name = f"galaxy-test-{uuid4().hex[:12]}"
        bindings = {80: (published_at, None)} if published_at else {}
        self._api.create_container(
            self.image.id,
            entrypoint=["/bin/busybox", "httpd", "-f", "-p", "80"],
            name=name,
            ports=[80],
            host_config=self._api.create_host_config(port_bindings=bindings, network_mode=network),
        )
        self.names.append(name)
        self._api.start(name)
        return dict(self._api.inspect_container(name)["NetworkSettings"])


def test_the_engines_machine_and_its_other_containers_are_out_of_reach(
    build_network: str, web_server: WebServer
) -> None:
    gateway = DockerEngine().machine().addresses[0]
    told = web_server.start("bridge", published_at=gateway)
    with closing(socket.create_server((gateway, 0))) as server:
        places: list[Place] = [
            (gateway, server.getsockname()[1]),
            (gateway, int(told["Ports"]["80/tcp"][0]["HostPort"])),
            (told["IPAddress"], 80),
        ]
        assert reached(web_server.image, "bridge", *places) >= {places[0], places[2]}
        assert reached(web_server.image, build_network, *places) == set()


def test_build_containers_do_not_reach_each_other(
    build_network: str, web_server: WebServer, docker_api: docker.APIClient
) -> None:
    ordinary = f"{build_network}-x"
    docker_api.create_network(ordinary)
    try:
        for name, expected in ((ordinary, 1), (build_network, 0)):
            place = (web_server.start(name)["Networks"][name]["IPAddress"], 80)
            assert len(reached(web_server.image, name, place)) == expected, name
    finally:
        for name in web_server.names:
            docker_api.remove_container(name, force=True, v=True)
        web_server.names.clear()
        docker_api.remove_network(ordinary)
