"""The `galaxy` command. Modules here import nothing heavy at the top: `galaxy --help` has to be quick."""

from __future__ import annotations

import click

from galaxy.cli.base_images import base_images
from galaxy.cli.deploy import deploy
from galaxy.cli.doctor import doctor
from galaxy.cli.errors import Commands, run
from galaxy.cli.logs import logs
from galaxy.cli.versions import activity, apps, cancel, show, versions


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
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
    run(cli)
