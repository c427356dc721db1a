"""The `galaxy` command. Modules here import nothing heavy at the top: `galaxy --help` has to be quick."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from galaxy.cli.base_images import base_images
from galaxy.cli.deploy import deploy
from galaxy.cli.doctor import doctor
from galaxy.cli.logs import logs
from galaxy.cli.versions import activity, apps, cancel, show, versions

if TYPE_CHECKING:
    from collections.abc import MutableMapping

EXIT_INVALID = 2
EXIT_UNREACHABLE = 3
EXIT_INTERRUPTED = 130


class _ErrorsAsExitCodes(click.Group):
    """Shows errors of the project as one message, and ends with the exit code that stands for their branch."""

    def invoke(self, ctx: click.Context) -> object:
        _speak_plainly()
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except (click.exceptions.Exit, click.ClickException):
            raise
        except BrokenPipeError:
            # the reader of a pipe has had enough; what is still to be written goes nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)
        except KeyboardInterrupt:
            click.echo("\nInterrupted.", err=True)
            ctx.exit(EXIT_INTERRUPTED)
        except Exception as error:
            code = _exit_code(error)
            if code is None:
                raise
            click.secho(f"galaxy: {_told(error)}", fg="red", err=True)
            ctx.exit(code)
        return result


def _speak_plainly() -> None:
    """Events that services log are for operators; the person who runs a command reads a sentence, on stderr."""
    import structlog

    def note(_: object, level: str, event: MutableMapping[str, object]) -> str:
        if level not in {"warning", "error", "critical"}:
            raise structlog.DropEvent
        return f"Note: {event.get('error', event['event'])}"

    structlog.configure(processors=[note], logger_factory=structlog.PrintLoggerFactory(sys.stderr))


def _exit_code(error: Exception) -> int | None:
    from pydantic import ValidationError

    from galaxy.domain.errors import GalaxyError, InfrastructureError

    if isinstance(error, InfrastructureError):
        return EXIT_UNREACHABLE
    # malformed GALAXY_* variables are the operator's input
    return EXIT_INVALID if isinstance(error, GalaxyError | ValidationError) else None


def _told(error: Exception) -> str:
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return str(error)
    # by the variable's name, and without its value, which may be a secret
    mistakes = [
        f"GALAXY_{'.'.join(map(str, each['loc'])).upper()}: {each['msg']}." for each in error.errors()
    ]
    return "\n".join([*mistakes, "docs/settings.md lists all settings."])


@click.group(cls=_ErrorsAsExitCodes, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="galaxy-pipeline")
def cli() -> None:
    """Deploys apps and shows what becomes of them.

    Results go to stdout, logs and messages to stderr. Exit codes: 0 done, 1 the build or the rollout failed,
    2 invalid input, 3 a service can't be reached, 4 timed out waiting.
    """


for _command in (deploy, logs, versions, show, apps, activity, cancel, base_images, doctor):
    cli.add_command(_command)


def main() -> None:
    """Entry point of the `galaxy` program."""
    cli()
