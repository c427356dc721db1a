"""The documents say what the code does: links, commands, settings, states and paths are compared with it."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import click
import pytest
from pydantic import SecretStr

from galaxy import settings as settings_module
from galaxy.cli import cli
from galaxy.domain.base_images.image_reference import ImageReference
from galaxy.domain.deploys.app_settings import AppSettings, DeployRules
from galaxy.domain.deploys.deploy_request import DeployRequest
from galaxy.domain.errors import InvalidInput
from galaxy.domain.states import TRANSITIONS, Step, VersionState
from galaxy.services.releases import Releases
from galaxy.settings import Settings
from tasks.deploy import ARGUMENTS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
#: One page for each task that a reader has.
GUIDES = sorted(DOCS.glob("*.md"))
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *DOCS.rglob("*.md"),
        ROOT / "bench" / "README.md",
        *(ROOT / "examples").rglob("*.md"),
    ]
)
ARCHITECTURE = DOCS / "ARCHITECTURE.md"
ADRS = sorted((DOCS / "adr").glob("*.md"))

document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_COMMAND = re.compile(r"(?:^(?:\$ )?|`|\| |\$\()galaxy ([a-z][^`\n|)]*)", re.MULTILINE)
_MAKE = re.compile(r"(?:^(?:\$ )?|`|\$\()make (?:-s )?([a-z]+)", re.MULTILINE)
_PATH = re.compile(r"`((?:[a-z_.]+/)+(?:[\w.-]+\.(?:py|lua|md|toml|sh))?)`")


def table_rows(text: str, first_heading: str) -> list[list[str]]:
    """Cells of the table whose header begins with this word, without the header."""
    (table,) = re.findall(rf"^\| {first_heading} \|.*\n\|[-| ]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table.splitlines()]


def anchors(text: str) -> set[str]:
    """The fragments by which a page's headings can be linked to, as GitHub makes them."""
    headings = _HEADING.findall(_FENCE.sub("", text))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@document
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    broken = []
    for link in _LINK.findall(_FENCE.sub("", document.read_text())):
        if "://" in link:
            continue
        path, _, fragment = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (fragment and fragment not in anchors(target.read_text())):
            broken.append(link)
    assert not broken


class Use(NamedTuple):
    """A command as a document writes it."""

    text: str
    words: list[str]


def commands_in(text: str) -> list[Use]:
    joined = text.replace("\\\n", " ")
    return [Use(f"galaxy {found}", shlex.split(found, comments=True)) for found in _COMMAND.findall(joined)]


def mistakes_in(use: Use) -> list[str]:
    command, rest = command_of(use.words)
    if command is None:
        return [f"{use.text}: there is no such command"]
    known = options_of(command)
    given = [word.partition("=")[0] for word in rest if word.startswith("-") and word != "-"]
    return [f"{use.text}: no option {option}" for option in given if option not in known]


def command_of(words: list[str]) -> tuple[click.Command | None, list[str]]:
    """The command or subcommand that the words call, None if there is none, and the words after its name."""
    command: click.Command | None = cli
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        command = command.commands.get(rest.pop(0))
    return command, rest


def all_commands() -> dict[str, click.Command]:
    """Every command and subcommand, by its words."""
    inner = {
        f"{name} {sub}": command
        for name, group in cli.commands.items()
        if isinstance(group, click.Group)
        for sub, command in group.commands.items()
    }
    return {**cli.commands, **inner}


def options_of(command: click.Command) -> set[str]:
    names = {name for parameter in command.params for name in parameter.opts}
    return names | {"-h", "--help"}


@document
def test_every_galaxy_command_exists_with_its_options(document: Path) -> None:
    assert [mistake for use in commands_in(document.read_text()) for mistake in mistakes_in(use)] == []


@pytest.mark.parametrize(
    ("written", "mistake"),
    [
        ("galaxy deploys www.example.com", "no such command"),
        ("galaxy base-images look", "no such command"),
        ("galaxy deploy www.example.com --bundel x", "no option --bundel"),
        ("galaxy base-images check --jsn", "no option --jsn"),
    ],
)
def test_a_command_that_does_not_exist_would_be_noticed(written: str, mistake: str) -> None:
    (use,) = commands_in(f"Text.\n{written}\n")
    assert mistake in mistakes_in(use)[0]


def test_the_guides_show_every_command() -> None:
    shown = {" ".join(use.words) for page in GUIDES for use in commands_in(page.read_text())}
    assert [
        name for name in all_commands() if not any(f"{use} ".startswith(f"{name} ") for use in shown)
    ] == []


@document
def test_every_option_that_a_document_explains_exists(document: Path) -> None:
    others = {
        "operating.md": {"--allow", "--dns", "--tls", "--user"},  # of deploy/build-network and redis-cli
        "README.md": {"--quick"} if document.parent.name == "bench" else set(),
    }
    known = set[str]().union(*map(options_of, all_commands().values()), others.get(document.name, set()))
    explained = set(re.findall(r"`(--?[a-z][a-z-]*)[ `]", _FENCE.sub("", document.read_text())))
    assert explained - known == set()


def test_the_guides_explain_options() -> None:
    explained = set(re.findall(r"`(--?[a-z][a-z-]*)[ `]", "".join(page.read_text() for page in GUIDES)))
    assert {"--bundle", "--settings", "--no-wait", "--timeout", "--since", "-f", "-n"} <= explained


@pytest.mark.parametrize("name", ["deploy", "logs"])
def test_every_option_of_the_long_commands_is_explained(name: str) -> None:
    page = {"deploy": "deploying-from-a-backend.md", "logs": "logs-and-history.md"}[name]
    text = (DOCS / page).read_text()
    missing = [
        parameter.opts
        for parameter in cli.commands[name].params
        if isinstance(parameter, click.Option)
        and not any(re.search(rf"`{option}[ `]", text) for option in parameter.opts)
    ]
    assert missing == []


def test_the_readme_is_no_reference() -> None:
    assert 500 <= len(README.read_text().split()) <= 900


def test_the_readme_leads_to_every_guide() -> None:
    index = DOCS / "README.md"
    assert {page.name for page in GUIDES if f"({page.name}" not in index.read_text()} == {"README.md"}
    linked = {path.removeprefix("docs/") for path in _LINK.findall(README.read_text())}
    assert {page.name for page in GUIDES} - linked == {"README.md"}


@pytest.mark.parametrize("name", ["Dockerfile", "setup.sh"])
def test_the_page_about_base_images_shows_the_example_as_it_is(name: str) -> None:
    content = (ROOT / "examples" / "base-images" / "debian-python" / name).read_text()
    assert f"\n{content}```" in (DOCS / "writing-a-base-image.md").read_text()


@pytest.fixture
def rules() -> DeployRules:
    settings = Settings()
    return DeployRules(
        section=settings.settings_section,
        settings_max_bytes=settings.settings_max_bytes,
        default_base_image=ImageReference.parse(settings.default_base_image),
    )


def test_every_example_of_settings_is_accepted(rules: DeployRules) -> None:
    examples = [
        example
        for page in DOCUMENTS
        for example in re.findall(r"^```json\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    ]
    assert len(examples) >= 2
    for example in examples:
        parsed = AppSettings.parse(example, rules)
        assert parsed.base_image_given
        assert parsed.warnings == ()


def test_the_example_of_a_rejected_deploy_shows_our_messages(rules: DeployRules) -> None:
    (shown,) = re.findall(
        r"^galaxy: (app: must be .*?)\n```", (DOCS / "settings-json.md").read_text(), re.DOTALL | re.MULTILINE
    )
    section = {"baseImage": {"repository": "ghcr.io/example/base", "version": "2"}, "env": {"LEVEL": 3}}
    with pytest.raises(InvalidInput) as raised:
        DeployRequest.parse(
            app="www.example.com/blog",
            settings={rules.section: section},
            bundle_url="ftp://bundles.example.com/www-42.tar.gz",
            rules=rules,
        )
    assert str(raised.value) == shown


def test_every_example_in_python_uses_arguments_that_a_deploy_has() -> None:
    text = (DOCS / "deploying-from-a-backend.md").read_text()
    task, function = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (sent,) = [
        keyword.value
        for node in ast.walk(ast.parse(task))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "kwargs"
    ]
    assert isinstance(sent, ast.Dict)
    arguments = {str(key.value) for key in sent.keys if isinstance(key, ast.Constant)}
    assert arguments == set(ARGUMENTS)
    assert arguments <= set(inspect.signature(Releases.deploy).parameters)
    called = {
        keyword.arg
        for node in ast.walk(ast.parse(function))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
    }
    assert called <= arguments
    assert set(re.findall(r"^\| `(\w+)` \| .*\.", text, re.MULTILINE)) >= arguments


def test_every_page_that_a_message_or_a_comment_names_exists() -> None:
    folders = ("galaxy", "tasks", "workers", "beat", "stack", "tests", "bench", "deploy")
    files = [
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".lua", ""}
    ]
    files += [*ROOT.glob("*.py"), ROOT / "docker-compose.yml", ROOT / "Makefile", ROOT / "Dockerfile"]
    named = {
        (str(path.relative_to(ROOT)), page)
        for path in files
        if path.is_file()
        for page in re.findall(r"docs/[\w/-]+\.md", path.read_text())
    }
    assert ("galaxy/adapters/registry/client.py", "docs/writing-a-base-image.md") in named
    assert {(path, page) for path, page in named if not (ROOT / page).exists()} == set()


def test_messages_name_only_commands_that_exist() -> None:
    sources = sorted((ROOT / "galaxy").rglob("*.py"))
    named = {
        (path.name, name)
        for path in sources
        for name in re.findall(r"(?:`|: )galaxy ([a-z][a-z-]*)[ `]", path.read_text())
    }
    assert named, "messages tell people what to do, by commands"
    assert {(path, name) for path, name in named if name not in cli.commands} == set()


@document
def test_every_make_target_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(_MAKE.findall(document.read_text())) <= targets


@document
def test_every_path_in_backticks_exists(document: Path) -> None:
    if document.name == "CHANGELOG.md":
        return  # tells of the past
    paths = _PATH.findall(_FENCE.sub("", document.read_text()))
    ignored = {".stack/", "log/", ".venv/"}  # made by the set-up
    assert [path for path in paths if path not in ignored and not (ROOT / path).exists()] == []


def descriptions() -> dict[str, str]:
    """What galaxy/settings.py says below each setting."""
    tree = ast.parse(Path(settings_module.__file__).read_text())
    (body,) = [node.body for node in tree.body if isinstance(node, ast.ClassDef)]
    return {
        field.target.id: " ".join(str(below.value.value).split())
        for field, below in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
    }


def shown_default(value: object) -> str:
    if value is None or value == ():
        return "none"
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    return f"`{int(text) if isinstance(text, float) and text.is_integer() else text}`"


def test_settings_page_lists_every_setting_with_default_and_meaning() -> None:
    told = descriptions()
    expected = [
        [f"`GALAXY_{name.upper()}`", shown_default(field.default), told[name]]
        for name, field in Settings.model_fields.items()
    ]
    rows = table_rows((DOCS / "settings.md").read_text(), "Variable")
    missing = ["| " + " | ".join(row) + " |" for row in expected if row not in rows]
    assert missing == [], "docs/settings.md has to say this"
    assert rows == expected, "docs/settings.md has other rows, or another order"


@document
def test_every_setting_that_a_document_names_exists(document: Path) -> None:
    others = {"GALAXY_BUNDLES_DIR", "GALAXY_BUNDLES_URL", "GALAXY_FLOWER_URL"}  # the local stack's own
    others.add("GALAXY_BUNDLE_URL")  # of `galaxy deploy` alone
    others.add("GALAXY_LEASES")  # a misspelling, in an example of what the doctor says
    known = {f"GALAXY_{name.upper()}" for name in Settings.model_fields} | others
    assert set(re.findall(r"GALAXY_[A-Z_]+[A-Z]", document.read_text())) - known == set()


def test_state_table_has_every_state_and_every_move() -> None:
    rows = table_rows(ARCHITECTURE.read_text(), "State")
    told = {state.strip("`"): set(re.findall(r"`(\w+)`", moves)) for state, _, moves in rows}
    assert told == {str(state): {str(to) for to in moves} for state, moves in TRANSITIONS.items()}
    assert set(told) == {str(state) for state in VersionState}


def test_life_of_a_build_tells_the_steps_in_order() -> None:
    told = re.findall(r"^\d+\. \*\*`(\w+)`\*\*", ARCHITECTURE.read_text(), re.MULTILINE)
    assert told == [str(step) for step in Step]


@pytest.mark.parametrize("adr", ADRS, ids=lambda path: path.stem)
def test_every_decision_has_its_three_parts_and_is_listed(adr: Path) -> None:
    assert re.findall(r"^## (.+)$", adr.read_text(), re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert f"adr/{adr.name}" in ARCHITECTURE.read_text()
