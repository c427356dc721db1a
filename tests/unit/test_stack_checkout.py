from __future__ import annotations

import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from stack import environment, examples, packages, venv
from stack.checkout import PORT_RANGE, Checkout, Choices, is_locked, locked, port_is_free
from stack.console import StackError


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_choices_are_made_once_and_kept(checkout: Checkout) -> None:
    choices = Choices()
    choices.port("redis")
    choices.save(checkout)

    assert Choices.load(checkout) == choices


def test_two_checkouts_choose_different_names_and_passwords() -> None:
    one, two = Choices(), Choices()

    assert one.name != two.name
    assert one.redis_password != two.redis_password
    assert one.flower_password != two.flower_password


def test_passwords_can_be_read_by_their_owner_only(checkout: Checkout) -> None:
    Choices().save(checkout)

    assert stat.S_IMODE((checkout.home / "choices.json").stat().st_mode) == 0o600


def test_a_checkout_that_was_never_started_has_no_choices(checkout: Checkout) -> None:
    assert Choices.load(checkout) is None


def test_a_port_that_another_program_took_is_left_to_it(capsys: pytest.CaptureFixture[str]) -> None:
    choices = Choices()
    port = choices.port("flower")
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()

        assert not port_is_free(port)
        new = choices.choose_again("flower")

    assert new != port
    assert PORT_RANGE[0] <= new < PORT_RANGE[1]
    assert choices.port("flower") == new
    assert str(port) in capsys.readouterr().err


def test_a_lock_is_seen_by_others_while_it_is_held(checkout: Checkout) -> None:
    script = """
import sys
from pathlib import Path
from stack.checkout import is_locked
print(is_locked(Path(sys.argv[1])))
"""
    root = Path(__file__).resolve().parents[2]
    with locked(checkout.lock, "waiting"):
        seen = subprocess.run(
            [sys.executable, "-c", script, str(checkout.lock)],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )

    assert seen.stdout.strip() == "True"
    assert not is_locked(checkout.lock)


def test_exports_survive_a_shell_whatever_they_hold() -> None:
    nasty = {"GALAXY_NAME": 'it\'s $(false) `x` "y" \\ \n two lines', "PATH": "/a b:/c"}
    script = environment.exports(nasty) + 'printf "%s|%s" "$GALAXY_NAME" "$PATH"'

    shown = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)

    assert shown.stdout == f"{nasty['GALAXY_NAME']}|/a b:/c"


def test_path_does_not_grow_when_a_shell_takes_the_exports_again(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = environment.variables(checkout, Choices(), "unix:///x")["PATH"]
    monkeypatch.setenv("PATH", once)

    assert environment.variables(checkout, Choices(), "unix:///x")["PATH"] == once


@pytest.fixture
def redis_client(checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stack's client around a program that only says how it was called."""
    program = tmp_path / "path" / "redis-cli"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "password ${REDISCLI_AUTH:-none}, arguments $*"\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.delenv("REDISCLI_AUTH", raising=False)
    return checkout.bin / "redis-cli"


def said(program: Path, *arguments: str) -> str:
    return subprocess.run(
        [str(program), *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_redis_client_keeps_the_password_off_its_command_line(
    checkout: Checkout, redis_client: Path
) -> None:
    choices = Choices()
    environment.write_redis_client(checkout, choices)

    where = f"-h 127.0.0.1 -p {choices.port('redis')}"
    assert said(redis_client, "-n", "1", "PING") == (
        f"password {choices.redis_password}, arguments {where} -n 1 PING"
    )


@pytest.mark.parametrize(
    "other", [("-p", "6379"), ("-h", "redis.internal"), ("-s", "/x"), ("-u", "redis://x")]
)
def test_the_redis_client_tells_the_password_to_no_other_server(
    checkout: Checkout, redis_client: Path, other: tuple[str, str]
) -> None:
    environment.write_redis_client(checkout, Choices())

    assert said(redis_client, *other, "PING") == f"password none, arguments {other[0]} {other[1]} PING"


def test_a_bundle_has_the_same_bytes_whenever_it_is_packed(checkout: Checkout) -> None:
    page = checkout.root / "examples" / "bundles" / "hello" / "bundle" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text("hello")
    examples.pack_bundles(checkout)
    first = (checkout.bundles / "hello.tar.gz").read_bytes()
    (checkout.bundles / "hello.tar.gz").unlink()
    page.touch()
    examples.pack_bundles(checkout)

    assert (checkout.bundles / "hello.tar.gz").read_bytes() == first


def test_a_program_that_needs_libraries_is_told_from_one_that_does_not() -> None:
    dynamic, static = packages.find("ls"), packages.find("bash-static")
    if dynamic is None or static is None:
        pytest.skip("ls or bash-static is not installed")

    assert not packages.is_static(Path(dynamic))
    assert packages.is_static(Path(static))
    assert not packages.is_static(Path(__file__))


def test_without_root_a_missing_package_is_named_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "find", lambda *_: "/usr/bin/apt-get")
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    with pytest.raises(StackError, match="sudo apt-get install --no-install-recommends redis-server"):
        packages.install(["redis-server"], "Redis")


def test_without_apt_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "find", lambda *_: None)

    with pytest.raises(StackError, match=r"Missing: redis-server \(Redis\)"):
        packages.install(["redis-server"], "Redis")


def test_the_virtual_environment_is_made_anew_for_another_lock_or_place(tmp_path: Path) -> None:
    here, there = Checkout(tmp_path / "here"), Checkout(tmp_path / "there")
    for checkout, text in ((here, "a==1"), (there, "a==1")):
        checkout.root.mkdir()
        (checkout.root / venv.LOCK).write_text(text)
    before = venv._digest(here, venv.LOCK)

    assert venv._digest(here, venv.LOCK) == before
    assert venv._digest(there, venv.LOCK) != before
    (here.root / venv.LOCK).write_text("a==2")
    assert venv._digest(here, venv.LOCK) != before
