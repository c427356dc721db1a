"""The registry client against a registry that misbehaves, over real HTTP."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from galaxy.adapters.registry import RateLimit, RegistryClient
from galaxy.adapters.registry.limits import FAILURES_TO_OPEN, OPEN_S
from galaxy.adapters.registry.transport import MAX_BODY_BYTES
from galaxy.domain.base_images.image_reference import ImageReference
from galaxy.domain.errors import (
    BaseImageNotFound,
    GalaxyError,
    RegistryBlocked,
    RegistryDenied,
    RegistryError,
    RegistryThrottled,
    RegistryUnavailable,
)
from tests.support.registry_server import (
    ALL_TYPES,
    RegistryServer,
    digest_of,
    image_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BODY = image_manifest(b"{}")
DIGEST = digest_of(BODY)
APP = ImageReference.parse("meteor/galaxy-app:latest")


class Clock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    """The Docker Hub of these tests."""
    with RegistryServer().running() as server:
        server.put("meteor/galaxy-app", "latest", BODY)
        yield server


@pytest.fixture
def other() -> Iterator[RegistryServer]:
    """Another host."""
    with RegistryServer().running() as server:
        server.put("meteor/galaxy-app", "latest", BODY)
        yield server


@pytest.fixture
def client(server: RegistryServer, clock: Clock) -> Iterator[Callable[..., RegistryClient]]:
    """Makes clients for which the server is Docker Hub."""
    made: list[RegistryClient] = []

    def make(**options: Any) -> RegistryClient:  # noqa: ANN401 - the client's own arguments
        given: dict[str, Any] = {"docker_hub_mirror": server.url, "timeout_s": 5.0, "clock": clock}
        registry = RegistryClient(**given | options)
        made.append(registry)
        return registry

    yield make
    for registry in made:
        registry.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1, signed by itself, with its key."""
    if not shutil.which("openssl"):
        if os.environ.get("CI") == "true":
            pytest.fail("openssl is not installed")
        pytest.skip("openssl is not installed")
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
    )
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(file), "-out", str(file) + ".crt"]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    with file.open("a") as both:
        both.write(file.with_name("both.pem.crt").read_text())
    return file


def on(server: RegistryServer, name: str = "meteor/galaxy-app:latest") -> ImageReference:
    """An image on the server as on a registry that is not Docker Hub."""
    return ImageReference.parse(f"{server.authority}/{name}")


def resolved_error(registry: RegistryClient, reference: ImageReference = APP) -> GalaxyError:
    with pytest.raises(GalaxyError) as caught:
        registry.resolve(reference)
    assert str(reference) in str(caught.value)
    assert caught.value.suggestion
    return caught.value


# --- one question


def test_a_tag_costs_one_head_and_no_get(
    server: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    registry = client()
    for _ in range(3):
        assert registry.resolve(APP) == DIGEST
    assert (server.count("HEAD"), server.count("GET")) == (3, 0)


def test_all_four_manifest_types_are_accepted(
    server: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    client().resolve(APP)
    assert {part.strip() for part in server.seen[0].headers["accept"].split(",")} == ALL_TYPES


def test_a_pinned_reference_costs_nothing(
    server: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    assert client().resolve(ImageReference.parse(f"meteor/gone:1@{DIGEST}")) == DIGEST
    assert server.seen == []


@pytest.mark.parametrize("fault", [{"omit_digest": True}, {"wrong_digest": "md5:1"}, {"no_head": True}])
def test_without_a_usable_digest_header_the_bytes_are_hashed(
    server: RegistryServer, client: Callable[..., RegistryClient], fault: dict[str, Any]
) -> None:
    body = b'{ "schemaVersion" : 2 ,\n "config":{}, "layers":[] }\n'
    server.put("meteor/spaced", "1", body)
    for name, value in fault.items():
        setattr(server.faults, name, value)
    assert client().resolve(ImageReference.parse("meteor/spaced:1")) == digest_of(body)
    assert (server.count("HEAD"), server.count("GET")) == (1, 1)


def test_bytes_that_do_not_have_their_digest_are_refused(
    server: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    registry = client()
    server.faults.body = BODY + b" "
    for reference in (APP, APP.at(DIGEST)):
        with pytest.raises(RegistryError, match="digest"):
            registry.manifest(reference)


def test_the_old_manifest_format_is_refused(
    server: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    server.put(
        "meteor/old",
        "1",
        b'{"schemaVersion": 1}',
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    )
    with pytest.raises(RegistryError, match="no longer supported"):
        client().manifest(ImageReference.parse("meteor/old:1"))


def test_connections_are_kept_alive(server: RegistryServer, client: Callable[..., RegistryClient]) -> None:
    registry = client()
    for tag in ("latest", "missing", "latest"):
        reference = ImageReference.parse(f"meteor/galaxy-app:{tag}")
        if tag == "missing":
            resolved_error(registry, reference)
        else:
            registry.resolve(reference)
    registry.manifest(APP)
    assert len({seen.connection for seen in server.seen}) == 1


def test_a_kept_alive_connection_that_was_closed_meanwhile_does_no_harm(
    server: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    registry = client()
    server.faults.close_after_answer = True
    for _ in range(5):
        assert registry.resolve(APP) == DIGEST


def test_rate_limit_headers_are_values(server: RegistryServer, client: Callable[..., RegistryClient]) -> None:
    registry = client()
    registry.resolve(APP)
    assert registry.rate_limit(APP) is None
    server.rate_limit = ("100;w=21600", "76;w=21600")
    registry.resolve(APP)
    assert registry.rate_limit(APP) == RateLimit(100, 76, 21600)


def test_pull_source_is_the_mirror_for_docker_hub_only(
    server: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    elsewhere = ImageReference.parse("ghcr.io/meteor/galaxy-app:1")
    debian = ImageReference.parse("debian:12")
    assert client().pull_source(APP) == f"{server.authority}/meteor/galaxy-app"
    assert client().pull_source(debian) == f"{server.authority}/library/debian"
    assert client().pull_source(elsewhere) == "ghcr.io/meteor/galaxy-app"
    assert RegistryClient().pull_source(debian) == "docker.io/library/debian"


# --- tokens


def test_a_token_is_fetched_once_for_many_threads(
    server: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    server.want_tokens()
    server.token_delay_s = 0.1
    registry = client()
    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(registry.resolve, [APP] * 64)) == {DIGEST}
    assert server.count("GET", "/token") == 1


def test_after_the_first_challenge_a_repository_costs_one_head_and_one_token(
    server: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    server.want_tokens()
    registry = client()
    registry.resolve(APP)
    server.seen.clear()
    for number in range(5):
        server.put(f"meteor/app-{number}", "1", BODY)
        registry.resolve(ImageReference.parse(f"meteor/app-{number}:1"))
    assert (server.count("HEAD"), server.count("GET", "/token")) == (5, 5)
    scopes = {seen.query["scope"][0] for seen in server.seen if seen.path == "/token"}
    assert scopes == {f"repository:meteor/app-{number}:pull" for number in range(5)}


def test_a_token_is_renewed_shortly_before_it_expires(
    server: RegistryServer, client: Callable[..., RegistryClient], clock: Clock
) -> None:
    server.want_tokens()
    registry = client()
    for advance, tokens in ((0, 1), (260, 1), (15, 2)):
        clock.now += advance
        registry.resolve(APP)
        assert server.count("GET", "/token") == tokens
    assert server.count("HEAD") == 4  # the first 401 and three answers: no token was ever used past its end


def test_a_token_that_the_registry_forgot_is_fetched_again(
    server: RegistryServer, client: Callable[..., RegistryClient], clock: Clock
) -> None:
    server.want_tokens()
    registry = client()
    registry.resolve(APP)
    server.forget_tokens()
    clock.now += 60
    assert registry.resolve(APP) == DIGEST
    assert server.count("GET", "/token") == 2


def test_a_scope_that_the_registry_names_is_used(
    server: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    server.want_tokens()
    server.scope = "aws"
    assert client().resolve(APP) == DIGEST
    assert [seen.query["scope"] for seen in server.seen if seen.path == "/token"] == [["aws"]]


def test_a_login_is_sent_to_the_token_service_and_never_to_the_registry(
    server: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    server.want_tokens()
    server.logins = {"meteor": "pass:word"}
    server.private = {"meteor/galaxy-app"}
    assert client(credentials={"docker.io": ("meteor", "pass:word")}).resolve(APP) == DIGEST
    for seen in server.seen:
        kind = (seen.authorization or "").partition(" ")[0]
        assert kind == "Basic" if seen.path == "/token" else kind in {"", "Bearer"}


def test_a_login_of_one_registry_is_not_used_for_another(
    server: RegistryServer, other: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    other.realm = f"{server.url}/token"
    server.logins = {"meteor": "hunter2"}
    registry = client(credentials={"docker.io": ("meteor", "hunter2")}, internal_hosts=[other.authority])
    resolved_error(registry, on(other))
    assert server.count("GET", "/token") == 1
    assert server.seen[0].authorization is None


def test_basic_authentication_works(server: RegistryServer, client: Callable[..., RegistryClient]) -> None:
    server.challenge = "Basic"
    server.logins = {"meteor": "hunter2"}
    assert client(credentials={"docker.io": ("meteor", "hunter2")}).resolve(APP) == DIGEST


@pytest.mark.parametrize(
    "challenge",
    [
        'bearer Realm="{realm}" , SERVICE="a \\"b\\", c",Scope="repository:meteor/galaxy-app:pull"',
        'Basic realm="x", Bearer realm="{realm}",service="a"',
        "Bearer service=a,realm={realm}",
    ],
)
def test_challenges_are_read_in_every_spelling(
    server: RegistryServer, client: Callable[..., RegistryClient], challenge: str
) -> None:
    server.challenge = challenge.format(realm=f"{server.url}/token")
    assert client().resolve(APP) == DIGEST


@pytest.mark.parametrize(
    "challenge",
    ["", "Negotiate", "Bearer", 'Bearer realm="', "Bearer realm=ftp://x/", "Bearer realm=http://["],
)
def test_a_challenge_that_makes_no_sense_is_an_error_of_ours(
    server: RegistryServer, client: Callable[..., RegistryClient], challenge: str
) -> None:
    server.challenge = challenge
    resolved_error(client())


def test_a_token_that_does_not_fit_in_a_header_is_refused(
    server: RegistryServer, client: Callable[..., RegistryClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.want_tokens()
    monkeypatch.setattr(server, "issue", lambda *_: "secret\r\nX-Evil: 1")
    error = resolved_error(client())
    assert "no token" in str(error)
    assert "secret" not in str(error)


# --- told apart


def test_missing_or_private_on_docker_hub_is_not_found(
    server: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    server.want_tokens()
    server.private = {"meteor/galaxy-app"}
    registry = client()
    assert "missing or private" in str(resolved_error(registry))
    missing = resolved_error(registry, ImageReference.parse("meteor/no-such:1"))
    assert type(missing) is BaseImageNotFound


def test_missing_is_not_found_and_denied_is_denied_elsewhere(
    server: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    registry = client(internal_hosts=[server.authority])
    assert type(resolved_error(registry, on(server, "no/such:1"))) is BaseImageNotFound
    server.want_tokens()
    server.private = {"meteor/galaxy-app"}
    assert type(resolved_error(registry, on(server))) is RegistryDenied
    server.faults.status = 403
    assert type(resolved_error(registry, on(server))) is RegistryDenied


def test_a_wrong_login_is_denied_and_not_in_the_message(
    server: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    server.want_tokens()
    server.logins = {"meteor": "right"}
    with structlog.testing.capture_logs() as logs:
        error = resolved_error(client(credentials={"docker.io": ("meteor", "hunter2-wrong")}))
    assert type(error) is RegistryDenied
    assert "hunter2" not in f"{error!r} {error.__cause__!r} {logs}"


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_an_error_of_the_registry_is_an_outage(
    server: RegistryServer, client: Callable[..., RegistryClient], status: int
) -> None:
    server.faults.status = status
    error = resolved_error(client())
    assert type(error) is RegistryUnavailable
    assert str(status) in str(error)
    assert server.authority in str(error)


def test_nobody_listening_and_no_answer_are_outages(
    server: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        closed_port = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert "can't be reached" in str(resolved_error(client(docker_hub_mirror=closed_port)))
    server.faults.hang_up = True
    error = resolved_error(client())
    assert type(error) is RegistryUnavailable
    assert "can't be reached" in str(error)


def test_a_name_without_an_address_is_an_outage(client: Callable[..., RegistryClient]) -> None:
    error = resolved_error(client(), ImageReference.parse("registry.invalid/a/b:1"))
    assert type(error) is RegistryUnavailable
    assert "name service" in str(error)


@pytest.mark.parametrize("status", [204, 400, 418])
def test_other_statuses_are_never_a_digest(
    server: RegistryServer, client: Callable[..., RegistryClient], status: int
) -> None:
    server.faults.status = status
    server.faults.headers = {"Docker-Content-Digest": DIGEST}
    error = resolved_error(client())
    assert type(error) is RegistryError
    assert str(status) in str(error)


# --- slow, large, hostile


@pytest.mark.parametrize("fault", ["silent", "drip_s"])
def test_a_call_ends_at_its_deadline_however_slowly_bytes_drip_in(
    server: RegistryServer, client: Callable[..., RegistryClient], fault: str
) -> None:
    setattr(server.faults, fault, 0.05)
    begun = time.monotonic()
    error = resolved_error(client(timeout_s=0.5))
    assert time.monotonic() - begun < 1.5
    assert type(error) is RegistryUnavailable
    assert "in time" in str(error)


def test_all_requests_of_a_call_share_the_deadline(
    server: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    server.want_tokens()
    server.token_delay_s = 0.4
    server.faults.token_redirect_to = "/again/token"
    begun = time.monotonic()
    error = resolved_error(client(timeout_s=1.0))
    assert time.monotonic() - begun < 1.6
    assert type(error) is RegistryUnavailable


def test_slow_name_service_does_not_outlast_the_deadline(
    client: Callable[..., RegistryClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [answered.wait(5)])
    begun = time.monotonic()
    error = resolved_error(client(timeout_s=0.3), ImageReference.parse("registry.example.com/a/b:1"))
    answered.set()
    assert time.monotonic() - begun < 1.5
    assert "in time" in str(error)


def test_an_endless_answer_is_cut_off(server: RegistryServer, client: Callable[..., RegistryClient]) -> None:
    server.faults.endless_body = True
    with pytest.raises(RegistryError, match="more than"):
        client().manifest(APP)
    assert server.endless_bytes < 3 * MAX_BODY_BYTES  # what is in the sockets' buffers counts as sent


def test_a_large_answer_is_not_even_begun(
    server: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    server.faults.body = b" " * (5 * 1024 * 1024)
    with pytest.raises(RegistryError, match="more than"):
        client().manifest(APP)


def test_broken_tls_is_an_outage_and_a_trusted_certificate_is_not(
    client: Callable[..., RegistryClient], certificate: Path
) -> None:
    with RegistryServer().running(certificate) as secure:
        secure.put("meteor/galaxy-app", "latest", BODY)
        strict = client(docker_hub_mirror=None, internal_hosts=[secure.url])
        error = resolved_error(strict, on(secure))
        assert type(error) is RegistryUnavailable
        assert "TLS" in str(error)
        assert secure.seen == []
        trusting = client(docker_hub_mirror=None, internal_hosts=[secure.url], ca_bundle=str(certificate))
        assert trusting.resolve(on(secure)) == DIGEST
        secure.faults.drip_s = 0.05
        hurried = client(
            docker_hub_mirror=None, internal_hosts=[secure.url], ca_bundle=str(certificate), timeout_s=0.5
        )
        begun = time.monotonic()
        assert "in time" in str(resolved_error(hurried, on(secure)))
        assert time.monotonic() - begun < 1.5


# --- throttling and outages of a host


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_throttled_host_is_left_alone_as_long_as_it_says(
    server: RegistryServer, client: Callable[..., RegistryClient], clock: Clock, form: str
) -> None:
    # a date counts from the server's own clock, which is the real one here and not the test's
    server.faults.headers = {
        "Retry-After": "120" if form == "seconds" else formatdate(time.time() + 120, usegmt=True)
    }
    server.faults.status = 429
    server.put("other/image", "1", BODY)
    registry = client()
    error = resolved_error(registry)
    assert isinstance(error, RegistryThrottled)
    assert error.retry_after_s == pytest.approx(120, abs=2)
    server.faults.status = None

    clock.now += 100
    second = resolved_error(registry, ImageReference.parse("other/image:1"))
    assert isinstance(second, RegistryThrottled)
    assert second.retry_after_s == pytest.approx(20, abs=2)
    assert len(server.seen) == 1

    clock.now += 23
    assert registry.resolve(APP) == DIGEST


@pytest.mark.parametrize("value", ["", "soon", "-5", "99999999999999999999", "Fri, 99 Foo 2026"])
def test_a_senseless_retry_after_still_pauses(
    server: RegistryServer, client: Callable[..., RegistryClient], value: str
) -> None:
    server.faults.status, server.faults.headers = 429, {"Retry-After": value}
    error = resolved_error(client())
    assert isinstance(error, RegistryThrottled)
    assert 1 <= error.retry_after_s <= 24 * 3600


def test_a_throttled_token_service_pauses_too(
    server: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    server.want_tokens()
    server.faults.token_status, server.faults.headers = 429, {"Retry-After": "50"}
    registry = client()
    assert isinstance(resolved_error(registry), RegistryThrottled)
    assert isinstance(resolved_error(registry), RegistryThrottled)
    assert server.count("GET", "/token") == 1


def test_a_throttled_host_does_not_stop_others(
    server: RegistryServer, other: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    server.faults.status = 429
    registry = client(internal_hosts=[other.authority])
    resolved_error(registry)
    assert registry.resolve(on(other)) == DIGEST


def test_a_failing_host_is_left_alone_and_tried_by_one_request(
    server: RegistryServer, client: Callable[..., RegistryClient], clock: Clock
) -> None:
    server.faults.status = 503
    registry = client()
    for _ in range(FAILURES_TO_OPEN + 5):
        assert type(resolved_error(registry)) is RegistryUnavailable
    assert len(server.seen) == FAILURES_TO_OPEN

    clock.now += OPEN_S + 1
    for _ in range(3):
        resolved_error(registry)
    assert len(server.seen) == FAILURES_TO_OPEN + 1

    server.faults.status = None
    clock.now += OPEN_S + 1
    assert registry.resolve(APP) == DIGEST
    assert registry.resolve(APP) == DIGEST


def test_who_insists_asks_a_host_that_is_left_alone_and_finds_it_back(
    server: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    server.faults.status = 503
    registry = client()
    for _ in range(FAILURES_TO_OPEN + 1):
        resolved_error(registry)
    server.faults.status = None
    assert "left alone" in str(resolved_error(registry))
    assert registry.resolve(APP, insist=True) == DIGEST
    assert registry.resolve(APP) == DIGEST


def test_who_insists_still_keeps_a_pause_that_a_host_asked_for(
    server: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    server.faults.status = 429
    registry = client()
    resolved_error(registry)
    with pytest.raises(RegistryThrottled):
        registry.resolve(APP, insist=True)
    assert len(server.seen) == 1


def test_a_failing_host_is_tried_by_one_thread_only(
    server: RegistryServer, client: Callable[..., RegistryClient], clock: Clock
) -> None:
    server.faults.status = 503
    registry = client(timeout_s=0.5)
    for _ in range(FAILURES_TO_OPEN):
        resolved_error(registry)
    server.faults.status, server.faults.silent = None, True
    clock.now += OPEN_S + 1
    with ThreadPoolExecutor(8) as threads:
        errors = list(threads.map(lambda _: resolved_error(registry), range(8)))
    assert {type(error) for error in errors} == {RegistryUnavailable}
    assert len(server.seen) == FAILURES_TO_OPEN + 1


def test_missing_images_do_not_open_the_breaker(
    server: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    registry = client()
    for number in range(FAILURES_TO_OPEN * 2):
        resolved_error(registry, ImageReference.parse(f"no/such:{number}"))
    assert registry.resolve(APP) == DIGEST
    assert len(server.seen) == FAILURES_TO_OPEN * 2 + 1


# --- where requests go


def test_a_redirect_is_followed_without_the_token(
    server: RegistryServer, other: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    server.want_tokens()
    registry = client(internal_hosts=[other.authority])
    registry.resolve(APP)
    server.faults.redirect_to = other.url + "{path}"
    assert registry.resolve(APP) == DIGEST
    assert server.seen[-1].authorization is not None
    assert [seen.authorization for seen in other.seen] == [None]


def test_the_token_does_not_come_back_after_a_detour(
    server: RegistryServer, other: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    server.want_tokens()
    registry = client(internal_hosts=[other.authority])
    registry.resolve(APP)
    server.seen.clear()
    server.faults.redirect_to = other.url + "{path}"
    other.faults.redirect_to = server.url + "{path}"
    assert "redirected" in str(resolved_error(registry))
    assert [seen.authorization is not None for seen in server.seen] == [True, False, False]


def test_a_redirect_within_the_host_keeps_the_token(
    server: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    server.want_tokens()
    registry = client()
    registry.resolve(APP)
    server.seen.clear()
    server.faults.redirect_to = "{path}"
    resolved_error(registry)
    assert len(server.seen) == 6
    assert all(seen.authorization for seen in server.seen)


@pytest.mark.parametrize(
    "place",
    ["http://[", "https://x:y/", "https://u:p@127.0.0.1/", "file:///etc/passwd", "https:///", "\x80", ""],
)
def test_a_redirect_to_nowhere_is_an_error_of_ours(
    server: RegistryServer, client: Callable[..., RegistryClient], place: str
) -> None:
    server.faults.redirect_to = place
    assert isinstance(resolved_error(client()), RegistryError)


def test_a_redirected_login_does_not_reach_the_other_host(
    server: RegistryServer, other: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    server.want_tokens()
    server.faults.token_redirect_to = f"{other.url}/token"
    registry = client(credentials={"docker.io": ("meteor", "hunter2")}, internal_hosts=[other.authority])
    resolved_error(registry)
    assert [seen.authorization for seen in other.seen] == [None]


def test_a_challenge_of_the_redirects_target_gets_no_token(
    server: RegistryServer, other: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    other.want_tokens()
    server.faults.redirect_to = other.url + "{path}"
    resolved_error(client(internal_hosts=[other.authority]))
    assert other.count("GET", "/token") == 0


def test_a_reference_to_an_internal_address_is_not_followed(
    other: RegistryServer, client: Callable[..., RegistryClient]
) -> None:
    error = resolved_error(client(), on(other))
    assert type(error) is RegistryBlocked
    assert other.seen == []


@pytest.mark.parametrize("way", ["redirect", "realm"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_redirect_or_realm_to_an_internal_address_is_not_followed(
    server: RegistryServer,
    other: RegistryServer,
    client: Callable[..., RegistryClient],
    way: str,
    scheme: str,
) -> None:
    inside = f"{scheme}://{other.authority}"
    if way == "redirect":
        server.faults.redirect_to = inside + "{path}"
    else:
        server.realm = f"{inside}/token"
    with not_connected_to(other):
        error = resolved_error(client())
    assert type(error) is RegistryBlocked
    assert ("without TLS" if scheme == "http" else "not on the public internet") in str(error)


def test_a_name_that_leads_inside_at_the_moment_of_connecting_is_not_followed(
    other: RegistryServer, client: Callable[..., RegistryClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["93.184.216.34", "127.0.0.1"])
    real = socket.getaddrinfo

    def rebinding(host: str, port: int, *rest: Any, **named: Any) -> Any:  # noqa: ANN401 - the resolver's own
        return real(
            next(answers, "127.0.0.1") if host == "registry.example.com" else host, port, *rest, **named
        )

    next(answers)  # somebody looked at it before, and it was fine
    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    reference = ImageReference.parse(f"registry.example.com:{other.port}/a/b:1")
    with not_connected_to(other):
        assert type(resolved_error(client(), reference)) is RegistryBlocked


def test_one_internal_address_among_public_ones_is_enough_to_refuse(
    client: Callable[..., RegistryClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 443)) for ip in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ends)
    reference = ImageReference.parse("registry.example.com/a/b:1")
    assert type(resolved_error(client(), reference)) is RegistryBlocked


def test_no_proxy_or_netrc_of_the_environment_is_used(
    server: RegistryServer,
    other: RegistryServer,
    client: Callable[..., RegistryClient],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login meteor password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", other.url)
    monkeypatch.setenv("http_proxy", other.url)
    assert client().resolve(APP) == DIGEST
    assert server.seen[0].authorization is None
    assert other.seen == []


@pytest.mark.parametrize(
    "mirror", ["http://", "ftp://x", "http://u:p@host:1", "http://host:1/path", "http://host:x"]
)
def test_a_malformed_mirror_is_refused_at_once(mirror: str) -> None:
    with pytest.raises(ValueError, match="registry's address"):
        RegistryClient(docker_hub_mirror=mirror)


class not_connected_to:  # noqa: N801 - reads as a statement
    """Asserts that nothing connects to the server meanwhile: not even a connection without a request."""

    def __init__(self, server: RegistryServer) -> None:
        self._server = server

    def __enter__(self) -> None:
        self._before = self._server.connections

    def __exit__(self, *_: object) -> None:
        # our own connection comes after whatever was in the server's backlog
        with socket.create_connection(("127.0.0.1", self._server.port)) as probe:
            probe.sendall(b"GET / HTTP/1.0\r\n\r\n")
            probe.recv(1)
        assert self._server.connections == self._before + 1
