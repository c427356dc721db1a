"""Settings that are given to `make up` reach the stack's processes or are refused by name."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest

from stack import environment, given, local
from stack.checkout import Checkout, Choices
from stack.console import StackError

ROOT = Path(__file__).resolve().parents[2]
FIXED = {"GALAXY_STORE_URL": "redis://:secret@127.0.0.1:1/1", "GALAXY_NAME": "galaxy-abc"}


def settings_of(environ: dict[str, str]) -> dict[str, str]:
    return given.settings_in(environ, fixed=FIXED)


def test_what_the_stack_sets_itself_is_refused_by_name_and_without_its_value() -> None:
    with pytest.raises(StackError) as refused:
        settings_of(
            {"GALAXY_STORE_URL": "redis://:mine@elsewhere/1", "galaxy_name": "x", "GALAXY_LEASE_S": "5"}
        )
    message = str(refused.value)
    assert message.splitlines() == [
        f"{name} is set by the local stack: unset it, or run the processes by hand as docs/operating.md says."
        for name in ("GALAXY_NAME", "GALAXY_STORE_URL")
    ]


def test_a_shell_that_took_the_stacks_exports_can_start_it_again() -> None:
    assert settings_of({**FIXED, "HOME": "/root"}) == {}
    assert settings_of({**FIXED, "GALAXY_LEASE_S": "5"}) == {"GALAXY_LEASE_S": "5"}


def test_settings_are_known_whatever_their_case_and_other_variables_are_left_alone() -> None:
    assert settings_of({"galaxy_lease_s": "5", "LEASE_S": "6", "GALAXY_VERSION": "1"}) == {
        "GALAXY_LEASE_S": "5"
    }
    assert given.without_settings({"galaxy_lease_s": "5", "HOME": "/root"}) == {"HOME": "/root"}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_what_is_given_wins_over_what_the_stack_prefers_and_not_over_what_it_sets(checkout: Checkout) -> None:
    choices = Choices()
    own = environment.variables(checkout, choices, "unix:///x")
    mine = {"GALAXY_LEASE_S": "5", "GALAXY_RETRY_BACKOFF_S": "9"}
    assert environment.variables(checkout, choices, "unix:///x", mine) == own | mine
    assert environment.fixed(checkout, choices, "unix:///x").items() <= own.items()


def test_what_was_given_is_kept_for_make_env_and_for_its_owner_only(checkout: Checkout) -> None:
    assert given.remembered(checkout) == {}
    given.remember(checkout, {"GALAXY_LEASE_S": "5"})
    Choices().save(checkout)
    (checkout.run).mkdir()
    (checkout.run / "docker-host").write_text("unix:///x")

    assert local.remembered(checkout).variables["GALAXY_LEASE_S"] == "5"
    assert stat.S_IMODE((checkout.home / "given.json").stat().st_mode) == 0o600
    given.remember(checkout, {})
    assert "GALAXY_LEASE_S" not in local.remembered(checkout).variables


def check(monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
    """As the stack does it, in the interpreter that runs the tests."""
    monkeypatch.setattr(Checkout, "python", property(lambda _: Path(sys.executable)))
    given.check(Checkout(ROOT), {f"GALAXY_{name}": value for name, value in settings.items()})


def test_a_setting_that_exists_and_fits_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    check(monkeypatch, LEASE_S="30", BUILD_PLATFORM="linux/arm64")


def test_an_unknown_setting_is_refused_with_the_one_that_was_meant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(StackError, match=r"GALAXY_LEASES is no setting\. Did you mean GALAXY_LEASE_S\?"):
        check(monkeypatch, LEASES="30")
    with pytest.raises(StackError, match=r"GALAXY_XYZZY is no setting\. docs/settings\.md lists"):
        check(monkeypatch, XYZZY="30")


def test_a_value_that_a_setting_can_not_have_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(StackError, match=r"^GALAXY_LEASE_S: Input should be greater than 0\.$"):
        check(monkeypatch, LEASE_S="0")


def test_json_of_what_was_given_holds_nothing_else(checkout: Checkout) -> None:
    given.remember(checkout, {"GALAXY_LEASE_S": "5"})
    assert json.loads((checkout.home / "given.json").read_text()) == {"GALAXY_LEASE_S": "5"}
