"""`galaxy base-images`: what apps are built on, and what a change of it means for them."""

from __future__ import annotations

import json
import sys
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Final

import click

from galaxy.cli.options import json_option
from galaxy.cli.render import visible
from galaxy.cli.table import print_lines, print_table, utc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from galaxy.domain.app_summary import AppSummary
    from galaxy.domain.base_images.base_image import BaseImage, Checked, Dependent

EXIT_NOT_FOUND = 1
EXIT_UNREACHABLE = 3

#: As many dependents as one table holds: the first ones are shown while the next ones are read.
_PAGE: Final = 100
#: Enough of a digest to tell two apart; `--json` has all of it.
_DIGEST_LENGTH: Final = len("sha256:") + 12

#: What a base image means for an app, by `Verdict`.
_MEANS: Final = {
    "rebuild": "version {source} is rebuilt",
    "up_to_date": "up to date",
    "runs_it": "runs it",
    "resolves_itself": "its newest version looks the tag up itself",
    "waits": "decided when its newest version is final",
    "ahead": "decided at the next check: it has seen a newer one",
    "already_tried": "no: tried before, in vain",
    "updates_off": "no: updates are off",
    "pinned": "no: pinned",
    "other_base_image": "no: its newest version has another base image",
    "nothing_to_rebuild": "no: no version to rebuild",
}


@click.group("base-images", invoke_without_command=True)
@json_option
@click.pass_context
def base_images(context: click.Context, as_json: bool) -> None:
    """List the base images that apps depend on, or look after them.

    REF is a base image as settings name it: [HOST/]REPOSITORY[:TAG]; without TAG, latest.
    """
    if context.invoked_subcommand:
        context.default_map = {context.invoked_subcommand: {"as_json": as_json}}
        return
    from galaxy.bootstrap import pipeline

    found = pipeline().base_images.all()
    if as_json:
        print_lines(image.model_dump_json() for image in found)
        return
    header = ("BASE IMAGE", "DIGEST", "APPS", "CHECKED", "CHANGED", "NEXT CHECK", "UPDATE")
    print_table(header, [_row(image) for image in found])
    print_lines(_notes(found))


@base_images.command()
@click.argument("ref", required=False)
@json_option
def check(ref: str | None, as_json: bool) -> None:
    """Ask registries now: has REF, or any base image, changed?

    A change begins an update at once. Exit codes: 1 a base image was not found, 3 its registry gave no answer.
    """
    from galaxy.bootstrap import pipeline
    from galaxy.domain.base_images.base_image import CheckOutcome

    service = pipeline().base_images
    outcomes = set()
    for checked in service.check_all() if ref is None else [service.check(ref)]:
        outcomes.add(checked.outcome)
        if as_json:
            click.echo(json.dumps({"outcome": checked.outcome, **checked.base_image.model_dump()}))
        else:
            click.echo(_told(checked))
    if not outcomes:
        click.echo("No app depends on a base image whose tag can change.", err=True)
    if outcomes & {CheckOutcome.FAILED, CheckOutcome.POSTPONED}:
        sys.exit(EXIT_UNREACHABLE)
    if CheckOutcome.NOT_FOUND in outcomes:
        sys.exit(EXIT_NOT_FOUND)


@base_images.command()
@click.argument("ref")
@json_option
def dependents(ref: str, as_json: bool) -> None:
    """List the apps on REF, and what its change means for them.

    With --json: `verdict` and `source` are about the image as it was found last, `next_verdict` and `next_source`
    about its next change; `source` is the version that is rebuilt.
    """
    from galaxy.bootstrap import pipeline

    found = pipeline().base_images.dependents(ref)
    if as_json:
        print_lines(each.model_dump_json() for each in found)
        return
    counts: Counter[str] = Counter()
    header = ["APP", "ACTIVE", "NOW", "AT THE NEXT CHANGE"]
    for page in _pages(found):
        print_table(header, [_means(each) for each in page])
        counts.update(each.next_verdict for each in page)
        header = []
    rebuilt = counts["rebuild"]
    total = counts.total()
    click.echo(f"{total} app{'s' * (total != 1)}, of which the next change rebuilds {rebuilt}.", err=True)


@base_images.command()
@click.argument("ref")
def resume(ref: str) -> None:
    """Go on with the update of REF that has paused."""
    from galaxy.bootstrap import pipeline

    was = pipeline().base_images.resume(ref)
    click.echo(f"Update {was.number} of {_familiar(was.image)} goes on with wave {was.wave + 1}.")


@base_images.command()
@click.argument("app")
@click.argument(
    "choice", metavar="[on|off|pinned]", required=False, type=click.Choice(["on", "off", "pinned"])
)
@json_option
def updates(app: str, choice: str | None, as_json: bool) -> None:
    """Show or choose whether base image updates rebuild APP.

    on: it is; what it missed meanwhile is made up for. off: it is not, and a deploy uses what the tag points to then.
    pinned: it stays on the digest that its active version is built on, and so do deploys on the same tag.
    """
    from galaxy.bootstrap import pipeline
    from galaxy.domain.base_images.updates import Updates
    from galaxy.domain.deploys.app_name import parse_app_name

    name = parse_app_name(app)
    if choice is not None:
        pipeline().base_images.set_updates(name, Updates(choice))
    summary = pipeline().queries.app(name)
    if as_json:
        told = {"app": name, "updates": summary.updates, "pinned_digest": summary.pinned_digest}
        click.echo(json.dumps(told))
    else:
        click.echo(_chosen(summary))


def _row(image: BaseImage) -> tuple[str, ...]:
    update = image.update
    return (
        _familiar(image.reference),
        (image.digest or "-")[:_DIGEST_LENGTH],
        str(image.dependents),
        utc(image.checked_at_ms),
        utc(image.changed_at_ms),
        utc(image.next_check_ms),
        # the first one is the first look at the image, and rebuilds nothing
        _progress(image) if update and (update.created or update.state != "done") else "-",
    )


def _progress(image: BaseImage) -> str:
    update = image.update
    if update is None:
        return "none"
    done = f"{update.built} of {update.created} built" + (
        f", {update.failed} failed" if update.failed else ""
    )
    wave = "" if update.state == "done" else f" in wave {update.wave}"
    return f"{update.number} {update.state}{wave}: {done}"


def _notes(images: Iterable[BaseImage]) -> Iterator[str]:
    """What does not fit into a table."""
    for image in images:
        name = _familiar(image.reference)
        if image.error:
            times = f"{image.errors} times in a row" if image.errors > 1 else "once"
            yield f"\n{name} could not be checked, {times}: {visible(image.error)}"
        if image.update and image.update.reason:
            yield f"\nUpdate {image.update.number} of {name} has paused. {image.update.reason}"
            yield f"To go on: galaxy base-images resume {name}"


def _told(checked: Checked) -> str:
    image = checked.base_image
    apps = "1 app depends" if image.dependents == 1 else f"{image.dependents} apps depend"
    match checked.outcome:
        case "first":
            said = f"is {image.digest}; {apps} on it."
        case "unchanged":
            said = f"has not changed: {image.digest}."
        case "other_platform":
            said = f"has moved to {image.digest}, which holds nothing new for the platform that is built on."
        case "changed":
            said = f"has changed to {image.digest}; {apps} on it. Update: {_progress(image)}."
        case "postponed":
            return visible(image.error or "")
        case _:
            said = f"could not be checked: {image.error}"
    return visible(f"{_familiar(image.reference)} {said}")


def _pages(found: Iterable[Dependent]) -> Iterator[list[Dependent]]:
    rest = iter(found)
    while page := list(islice(rest, _PAGE)):
        yield page


def _means(each: Dependent) -> tuple[str, str, str, str]:
    return (
        each.app,
        str(each.active or "-"),
        _MEANS[each.verdict].format(source=each.source),
        _MEANS[each.next_verdict].format(source=each.next_source),
    )


def _chosen(summary: AppSummary) -> str:
    if summary.pinned_digest:
        return f"{summary.app} is pinned to {summary.pinned_digest}: it is not rebuilt when its base image changes."
    means = "is rebuilt" if summary.updates == "on" else "is not rebuilt"
    return f"Updates of {summary.app} are {summary.updates}: it {means} when its base image changes."


def _familiar(reference: str) -> str:
    from galaxy.domain.base_images.image_reference import ImageReference

    return str(ImageReference.parse(reference))
