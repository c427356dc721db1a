from __future__ import annotations

import pytest

from galaxy.adapters.registry.endpoints import NotReachable, Reach, RegistryEndpoint, is_public

OWN = RegistryEndpoint.as_written("http://registry.internal:5000")
OWN_TLS = RegistryEndpoint.as_written("registry.corp")
STRANGER = RegistryEndpoint.as_written("https://registry.example.com")


@pytest.mark.parametrize(
    ("written", "url", "authority"),
    [
        ("http://127.0.0.1:5001", "http://127.0.0.1:5001", "127.0.0.1:5001"),
        ("127.0.0.1:5001", "http://127.0.0.1:5001", "127.0.0.1:5001"),
        ("localhost:5000", "http://localhost:5000", "localhost:5000"),
        ("[::1]:5000", "http://[::1]:5000", "[::1]:5000"),
        ("Registry.Corp", "https://registry.corp", "registry.corp"),
        ("https://127.0.0.1:5001/", "https://127.0.0.1:5001", "127.0.0.1:5001"),
        ("http://mirror:80", "http://mirror", "mirror"),
    ],
)
def test_hosts_are_plain_http_as_written_or_on_loopback(written: str, url: str, authority: str) -> None:
    endpoint = RegistryEndpoint.as_written(written)
    assert (str(endpoint), endpoint.authority) == (url, authority)


@pytest.mark.parametrize(
    "url", ["ftp://x/", "https:///x", "https://u:p@x/", "https://x:y/", "https://[/", "//x/", ""]
)
def test_addresses_that_are_no_plain_web_addresses_are_refused(url: str) -> None:
    with pytest.raises(NotReachable):
        RegistryEndpoint.of_url(url)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.17.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "100.100.100.200", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::1",
        "2001:db8::1",
    ],
)  # fmt: skip
def test_addresses_inside_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:4700:4700::1111", "64:ff9b::808:808"])
def test_addresses_outside_are_public(address: str) -> None:
    assert is_public(address)


def test_a_stranger_can_not_send_us_to_the_operators_hosts() -> None:
    reach = Reach([OWN, OWN_TLS])
    for own in (OWN, OWN_TLS):
        reach.check(own, asked_by=own)
        with pytest.raises(NotReachable, match="internal"):
            reach.check(own, asked_by=STRANGER)
    reach.check(OWN_TLS, asked_by=OWN)
    reach.check(STRANGER, asked_by=STRANGER)
    reach.check(STRANGER, asked_by=OWN)


def test_plain_http_is_for_the_operators_hosts_only() -> None:
    reach = Reach([OWN, OWN_TLS])
    for url in ("http://registry.example.com", "http://registry.corp", "http://registry.internal:5001"):
        with pytest.raises(NotReachable, match="TLS"):
            reach.check(RegistryEndpoint.of_url(url), asked_by=OWN)


def test_only_the_operators_hosts_may_have_internal_addresses() -> None:
    reach = Reach([OWN])
    assert reach.permits_address("registry.internal", 5000, "10.0.0.1")
    assert not reach.permits_address("registry.internal", 6379, "10.0.0.1")
    assert not reach.permits_address("registry.example.com", 5000, "10.0.0.1")
    assert reach.permits_address("registry.example.com", 443, "93.184.216.34")
