"""How the command line shows errors: one message that begins with `galaxy:`, and an exit code."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn

import click

from galaxy.cli.render import visible

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from pydantic import ValidationError

    from galaxy.domain.errors import GalaxyError

EXIT_INVALID: Final = 2
EXIT_UNREACHABLE: Final = 3
EXIT_INTERRUPTED: Final = 130


class Commands(click.Group):
    """A group that shows what its commands raise as one message, and ends with the exit code of its branch."""

    def invoke(self, ctx: click.Context) -> object:
        """Runs the command, and shows what it raises."""
        _speak_plainly()
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except (click.exceptions.Exit, click.ClickException):
            raise
        except BrokenPipeError:
            _end_quietly(ctx)
        except KeyboardInterrupt:
            click.echo(err=True)  # after the ^C
            say_error("Interrupted.")
            ctx.exit(EXIT_INTERRUPTED)
        except Exception as error:
            shown = _shown(error)
            if shown is None:
                raise
            message, code = shown
            say_error(message)
            ctx.exit(code)
        return result


def run(command: click.Command) -> NoReturn:
    """Runs a command and ends the process; click's own errors are shown as ours are."""
    try:
        code = command.main(prog_name="galaxy", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()  # whoever names no command wants to know which ones there are
        sys.exit(EXIT_INVALID)
    except click.ClickException as error:
        say_error(_usage_mistake(error))
        sys.exit(EXIT_INVALID)
    except click.Abort:
        say_error("Interrupted.")
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def say_error(message: str) -> None:
    """Shows an error on stderr, harmless to any terminal."""
    lines = "\n".join(visible(line) for line in message.splitlines())
    with suppress(BrokenPipeError):  # nobody reads it; the exit code tells the same
        click.secho(f"galaxy: {lines}", fg="red", err=True)


def _end_quietly(ctx: click.Context) -> NoReturn:
    """The reader of a pipe has had enough; what is still to be written goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())
    ctx.exit(0)


def _usage_mistake(error: click.ClickException) -> str:
    """The mistake first, and then how it is done right."""
    lines = [error.format_message()]
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        lines += [context.get_usage(), f"Try '{context.command_path} --help' for help."]
    return "\n".join(lines)


def _speak_plainly() -> None:
    """Events that services log are for operators; the person who runs a command reads a sentence, on stderr."""
    import structlog

    def note(_: object, level: str, event: MutableMapping[str, object]) -> str:
        if level not in {"warning", "error", "critical"}:
            raise structlog.DropEvent
        return f"Note: {event.get('error', event['event'])}"

    structlog.configure(processors=[note], logger_factory=structlog.PrintLoggerFactory(sys.stderr))


def _shown(error: Exception) -> tuple[str, int] | None:
    """Message and exit code of an error that people can do something about; None for a bug."""
    from pydantic import ValidationError

    from galaxy.domain.errors import GalaxyError, InfrastructureError
    from galaxy.settings import Settings

    if isinstance(error, GalaxyError):
        unreachable = isinstance(error, InfrastructureError)
        return _told(error), EXIT_UNREACHABLE if unreachable else EXIT_INVALID
    # malformed GALAXY_* variables are the operator's input
    if isinstance(error, ValidationError) and error.title == Settings.__name__:
        return _mistakes(error), EXIT_INVALID
    return None


def _told(error: GalaxyError) -> str:
    from galaxy.cli.advice import what_to_do

    return f"{error.message} {what_to_do(error)}".rstrip()


def _mistakes(error: ValidationError) -> str:
    """By the variables' names, and without their values, which may be secrets."""
    mistakes = [
        f"GALAXY_{'.'.join(map(str, each['loc'])).upper()}: {each['msg']}." for each in error.errors()
    ]
    return "\n".join([*mistakes, "docs/settings.md lists all settings."])
