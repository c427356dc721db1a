"""What people see of an error on the command line, and the exit code that scripts see."""

from __future__ import annotations

import os
import pwd
from types import SimpleNamespace
from typing import TYPE_CHECKING, NoReturn

import click
import pytest
import structlog
from pydantic import BaseModel, ValidationError

from galaxy.cli import cli
from galaxy.cli.errors import Commands, run
from galaxy.cli.options import login_name
from galaxy.domain.diagnosis.finding import fine, problem, warning
from galaxy.domain.errors import AppNotFound, GalaxyError, InvalidInput, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from galaxy.domain.diagnosis.finding import Finding


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """A command changes how this process's events are shown."""
    yield
    structlog.reset_defaults()


def ended(monkeypatch: pytest.MonkeyPatch, command: click.Command, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["galaxy", *arguments])
    with pytest.raises(SystemExit) as end:
        run(command)
    assert isinstance(end.value.code, int)
    return end.value.code


def raising(error: BaseException) -> click.Command:
    @click.group(cls=Commands)
    def group() -> None:
        """Holds one command."""

    @group.command()
    def act() -> NoReturn:
        raise error

    return group


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "galaxy: No such command 'nonsense'."),
        (["--nonsense"], "galaxy: No such option"),
        (["deploy"], "galaxy: Missing argument 'APP'."),
        (["deploy", "a", "--settings", "-"], "galaxy: Missing option '--bundle'"),
        (["deploy", "a", "--bundle", "b"], "galaxy: Missing option '--settings'."),
        (
            ["deploy", "a", "--settings", "/no/such/file", "--bundle", "b"],
            "galaxy: Invalid value for '--settings'",
        ),
        (
            ["deploy", "a", "--timeout", "nan"],
            "galaxy: Invalid value for '--timeout': must be a number of seconds",
        ),
        (
            ["deploy", "a", "--timeout", "-1"],
            "galaxy: Invalid value for '--timeout': must be a number of seconds",
        ),
        (["logs", "a", "-f", "--version", "1", "--timeout", "nan"], "galaxy: Invalid value for '--timeout'"),
        (["logs", "a", "-n", "many"], "galaxy: Invalid value for '-n'"),
        (["logs", "a", "--since", "soon"], "galaxy: Invalid value for --since: 'soon' is no age"),
        (["logs", "a", "--timeout", "3"], "galaxy: --timeout needs -f and --version"),
        (["logs", "a", "--version", "1", "--timeout", "3"], "galaxy: --timeout needs -f and --version"),
        (["show", "a", "0"], "galaxy: Invalid value for 'N'"),
        (["base-images", "nonsense"], "galaxy: No such command 'nonsense'."),
    ],
)
def test_wrong_usage_is_said_first_with_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    monkeypatch.delenv("GALAXY_BUNDLE_URL", raising=False)
    assert ended(monkeypatch, cli, *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(said)
    assert "\nUsage: galaxy " in err
    assert err.count("galaxy:") == 1


@pytest.mark.parametrize("arguments", [[], ["--help"], ["logs", "-h"], ["--version"]])
def test_help_is_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    code = ended(monkeypatch, cli, *arguments)
    out, err = capsys.readouterr()
    assert "galaxy" in out + err
    assert "galaxy:" not in out + err
    assert code == (2 if not arguments else 0)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InvalidInput("app: is empty"), 2, "galaxy: app: is empty\n"),
        (
            AppNotFound("There is no app a.", app="a"),
            2,
            "galaxy: There is no app a. `galaxy apps` lists all apps; `galaxy deploy` makes a new one.\n",
        ),
        (
            StoreUnavailable("Redis can't be reached: refused.", "Check it.", setting="GALAXY_STORE_URL"),
            3,
            "galaxy: Redis can't be reached: refused. Check GALAXY_STORE_URL and that Redis runs.\n",
        ),
        (GalaxyError("A\x1b[2Jb\nc."), 2, "galaxy: A\\x1b[2Jb\nc.\n"),
        (KeyboardInterrupt(), 130, "\ngalaxy: Interrupted.\n"),
    ],
)
def test_errors_are_told_with_what_to_do_and_their_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    said: str,
) -> None:
    assert ended(monkeypatch, raising(error), "act") == code
    assert capsys.readouterr() == ("", said)


def test_a_record_that_can_not_be_read_is_not_told_as_a_mistake_in_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Record(BaseModel):
        state: int

    with pytest.raises(ValidationError) as unreadable:
        Record.model_validate({"state": "new"})
    monkeypatch.setattr("sys.argv", ["galaxy", "act"])
    with pytest.raises(ValidationError):
        run(raising(unreadable.value))


def no_name() -> NoReturn:
    raise KeyError("getpwuid(): uid not found: 12345")


def unreadable() -> NoReturn:
    raise OSError("No username set in the environment")


@pytest.mark.parametrize("fail", [no_name, unreadable])
def test_nobody_knows_the_login_name_of_a_user_without_one(
    monkeypatch: pytest.MonkeyPatch, fail: Callable[[], NoReturn]
) -> None:
    monkeypatch.delenv("USER", raising=False)
    monkeypatch.setattr("getpass.getuser", fail)
    assert login_name() is None


def test_the_login_name_is_known_without_any_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    assert login_name() == pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setenv("USER", "jane")
    monkeypatch.setenv("LOGNAME", "joe")
    assert login_name() == "jane"


@pytest.mark.parametrize(
    ("found", "counted", "code"),
    [
        ([fine("a", "b.")], "0 problems, 0 warnings, 1 fine.", 0),
        ([problem("a", "b.", "c."), warning("a", "b.", "c.")], "1 problem, 1 warning, 0 fine.", 1),
        (
            [problem("a", "b.", "c.")] * 2 + [warning("a", "b.", "c.")] * 3,
            "2 problems, 3 warnings, 0 fine.",
            1,
        ),
    ],
)
def test_the_doctor_can_count(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    found: list[Finding],
    counted: str,
    code: int,
) -> None:
    here = SimpleNamespace(doctor=SimpleNamespace(examine=lambda: iter(found)))
    monkeypatch.setattr("galaxy.bootstrap.pipeline", lambda: here)
    assert ended(monkeypatch, cli, "doctor") == code
    assert capsys.readouterr().err == f"{counted}\n"
