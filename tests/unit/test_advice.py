"""Advice that names commands is worded by the command line, from the codes and facts of errors and findings."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, NamedTuple, cast

import pytest

from galaxy.adapters.store.apps import AppList
from galaxy.adapters.store.base_images import BaseImageStore
from galaxy.adapters.store.dependents import DependentStore
from galaxy.adapters.store.keys import Keys
from galaxy.adapters.store.updates import UpdateStore
from galaxy.cli import advice
from galaxy.cli.advice import advised, what_to_do
from galaxy.domain import errors
from galaxy.domain.base_images.updates import Updates
from galaxy.domain.diagnosis.finding import Severity, warning
from galaxy.domain.diagnosis.updates import NOT_CHECKED, PAUSED
from galaxy.domain.errors import GalaxyError, IdempotencyConflict, NotFound, StoreError, StoreUnavailable
from galaxy.domain.log import LogFilter
from galaxy.services.base_images import BaseImages
from galaxy.services.queries import Queries
from tests.support.stores import APP, deploy
from tests.support.workshop import PREFIX, Workshop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from galaxy.adapters.queue import TaskQueue
    from galaxy.services.releases import Releases

BASE = "meteor/galaxy-app:latest"
ROOT = Path(__file__).parents[2]
COMMAND = re.compile(r"(?:^|[`:(>] ?)galaxy [a-z]")


def texts(path: Path) -> Iterator[str]:
    """All string literals of a module but its docstrings."""
    tree = ast.parse(path.read_text())
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare:
            yield node.value


def test_the_search_for_commands_finds_them(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text('"""Says `galaxy apps`."""\na = f"`galaxy logs {1}`"\nb = "Its log: galaxy logs x"\n')
    assert sorted(text for text in texts(module) if COMMAND.search(text)) == [
        "Its log: galaxy logs x",
        "`galaxy logs ",
    ]


@pytest.mark.parametrize("package", ["domain", "services", "adapters"])
def test_nothing_below_the_command_line_names_its_commands(package: str) -> None:
    modules = sorted((ROOT / "galaxy" / package).rglob("*.py"))
    assert modules
    naming = {path.name: text for path in modules for text in texts(path) if COMMAND.search(text)}
    assert naming == {}


def test_every_piece_of_advice_is_for_an_error_or_a_finding_that_exists() -> None:
    codes = {
        kind.code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, GalaxyError)
    }
    assert advice._OF_ERRORS.keys() <= codes
    assert advice._OF_FINDINGS.keys() == {NOT_CHECKED, PAUSED}


def kind_of(code: str) -> type[GalaxyError]:
    (kind,) = (
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, GalaxyError) and kind.code == code
    )
    return kind


@pytest.mark.parametrize("code", sorted(advice._OF_ERRORS))
def test_advice_is_given_with_its_facts_and_falls_back_to_the_suggestion_without_them(code: str) -> None:
    kind = kind_of(code)
    names = {name for _, name, _, _ in Formatter().parse(advice._OF_ERRORS[code]) if name}
    told = what_to_do(kind("It happened.", "Do it.", **{name: f"the-{name}" for name in names}))
    assert all(f"the-{name}" in told for name in names)
    assert "Do it." not in told
    if names:
        assert what_to_do(kind("It happened.", "Do it.")) == "Do it."


def test_an_error_without_advice_in_the_table_keeps_its_suggestion() -> None:
    assert (
        what_to_do(StoreError("It refused.", "Look at its log.", setting="GALAXY_STORE_URL"))
        == "Look at its log."
    )
    assert what_to_do(StoreUnavailable("It is away.")) == ""


@pytest.mark.parametrize(
    ("code", "told"),
    [(NOT_CHECKED, "galaxy base-images check x/y:1"), (PAUSED, "galaxy base-images resume x/y:1")],
)
def test_the_doctor_advises_with_commands_where_there_are_some(code: str, told: str) -> None:
    finding = advised(warning("updates", "Found.", "Do it.", code=code, image="x/y:1"))
    assert finding.advice.endswith(told)
    assert finding.level is Severity.WARNING
    assert set(finding.model_dump()) == {"level", "subject", "found", "advice", "unreachable"}
    plain = warning("updates", "Found.", "Do it.")
    assert advised(plain) == plain


class Known(NamedTuple):
    """Services on an in-memory store that knows one app: it has one version, and nobody checked its base image."""

    queries: Queries
    base_images: BaseImages
    releases: Releases


@pytest.fixture
def known() -> Iterator[Known]:
    workshop = Workshop()
    redis, keys = workshop.store._redis, Keys(PREFIX)
    queries = Queries(
        workshop.store,
        AppList(redis, keys),
        workshop.log,
        workshop.announcer,
        cast("TaskQueue", workshop.queue),
    )
    images = BaseImages(
        store=BaseImageStore(redis, keys, lease_s=60, requests_per_s=1),
        dependents=DependentStore(redis, keys),
        updates=UpdateStore(redis, keys, in_flight=1, requeue_after_s=60),
        settings=workshop.settings,
        **dict.fromkeys(("heartbeats", "registry", "platforms", "snapshots", "rebuilds")),  # type: ignore[arg-type] # not asked
    )
    deploy(workshop.store)
    yield Known(queries, images, workshop.releases)
    workshop.close()


@pytest.mark.parametrize(
    ("call", "message", "advice"),
    [
        (
            lambda its: its.queries.version("no.example.com", 1),
            "There is no app no.example.com.",
            "`galaxy apps`",
        ),
        (
            lambda its: its.queries.versions("no.example.com"),
            "There is no app no.example.com.",
            "`galaxy apps`",
        ),
        (lambda its: its.queries.app("no.example.com"), "There is no app no.example.com.", "`galaxy apps`"),
        (
            lambda its: its.queries.activity("no.example.com"),
            "There is no app no.example.com.",
            "`galaxy apps`",
        ),
        (
            lambda its: its.queries.newest_lines("no.example.com", 1),
            "There is no app no.example.com.",
            "`galaxy apps`",
        ),
        (
            lambda its: its.releases.cancel(app="no.example.com", number=1),
            "There is no app no.example.com.",
            "`galaxy apps`",
        ),
        (
            lambda its: its.base_images.set_updates("no.example.com", Updates.OFF),
            "There is no app no.example.com.",
            "`galaxy apps`",
        ),
        (
            lambda its: its.queries.version(APP, 7),
            f"There is no version 7 of {APP}.",
            f"`galaxy versions {APP}`",
        ),
        (
            lambda its: its.releases.cancel(app=APP, number=7),
            f"There is no version 7 of {APP}.",
            f"`galaxy versions {APP}`",
        ),
        (
            lambda its: its.queries.newest_lines(APP, 1, LogFilter(version=7)),
            f"There is no version 7 of {APP}.",
            f"`galaxy versions {APP}`",
        ),
        (lambda its: its.base_images.resume("x/y:1"), "No app depends on x/y:1.", "`galaxy base-images`"),
        (
            lambda its: next(its.base_images.dependents(BASE)),
            f"Nothing is known of {BASE} yet: it has not been checked with success.",
            f"`galaxy base-images check {BASE}`",
        ),
        (
            lambda its: its.base_images.resume(BASE),
            f"No update of {BASE} has paused.",
            "`galaxy base-images`",
        ),
        (
            lambda its: its.base_images.set_updates(APP, Updates.PINNED),
            f"{APP} can't be pinned: it has no active version that was built on a base image's tag.",
            "Deploy it first.",
        ),
    ],
)
def test_what_does_not_exist_is_said_with_the_command_that_shows_what_does(
    known: Known, call: Callable[[Known], object], message: str, advice: str
) -> None:
    with pytest.raises(NotFound) as raised:
        call(known)
    assert raised.value.message == message
    assert what_to_do(raised.value).startswith(advice)


def test_a_key_that_was_used_before_leads_to_the_version_that_it_made(known: Known) -> None:
    first = {"app": APP, "settings": "{}", "idempotency_key": "k"}
    version = known.releases.deploy(**first, bundle_url="https://x.example.com/1").version
    with pytest.raises(IdempotencyConflict) as raised:
        known.releases.deploy(**first, bundle_url="https://x.example.com/2")
    assert what_to_do(raised.value).startswith(f"`galaxy show {APP} {version}`")
