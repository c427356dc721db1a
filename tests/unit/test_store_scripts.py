"""The store's protocol: what a script's header says is what its one caller passes and what its first lines read."""

from __future__ import annotations

import pkgutil
import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import galaxy.adapters.logs
import galaxy.adapters.store
from galaxy.adapters.store.scripts import Script
from galaxy.domain.states import VersionState

if TYPE_CHECKING:
    from types import ModuleType

PACKAGES = (galaxy.adapters.store, galaxy.adapters.logs)
INCLUDE = re.compile(r"^-- include: (\w+\.lua)$", re.MULTILINE)


def folder(package: str) -> Path:
    return Path(str(import_module(package).__file__)).parent / "lua"


def modules() -> list[ModuleType]:
    return [
        import_module(f"{package.__name__}.{found.name}")
        for package in PACKAGES
        for found in pkgutil.iter_modules(package.__path__)
    ]


def declared() -> dict[str, tuple[ModuleType, str, Script]]:
    """By the script's name: the module that declares it, and under which name."""
    return {
        it.name: (module, constant, it)
        for module in modules()
        for constant, it in vars(module).items()
        if isinstance(it, Script)
    }


DECLARED = declared()
SCRIPTS = sorted(DECLARED)
STORE_LUA = folder("galaxy.adapters.store")
INCLUDES = sorted(
    file.name
    for file in STORE_LUA.glob("*.lua")
    if not re.search(r"^-- KEYS:", file.read_text(), re.MULTILINE)
)


def text_of(name: str) -> str:
    script = DECLARED[name][2]
    return (folder(script.package) / f"{name}.lua").read_text()


def header_of(name: str) -> str:
    lines = text_of(name).split("\n")
    return "\n".join(lines[: next(at for at, line in enumerate(lines) if not line.startswith("--"))])


def listed(header: str, what: str) -> tuple[str, ...]:
    """The names that a header lists. The list goes on as long as lines end with a comma."""
    found = re.search(rf"^-- {what}: ((?:.*,\n--   )*.*)$", header, re.MULTILINE)
    assert found, f"no line -- {what}: in\n{header}"
    names = re.sub(r"\n--   ", " ", found[1])
    return () if names == "none" else tuple(names.split(", "))


def read_in_first_lines(name: str, what: str) -> tuple[str, ...]:
    """The locals that the lines below the header read."""
    below = text_of(name)[len(header_of(name)) + 1 :]
    found = re.search(rf"^local ([\w\s,]+?) = unpack\({what}(?:, 1, \d+)?\)$", below, re.MULTILINE)
    return tuple(re.split(r",\s+", found[1])) if found else ()


def test_every_file_is_a_script_that_is_declared_or_is_included() -> None:
    files = {file.stem for package in PACKAGES for file in folder(package.__name__).glob("*.lua")}
    assert files == {*SCRIPTS} | {name.removesuffix(".lua") for name in INCLUDES}


@pytest.mark.parametrize("name", SCRIPTS)
def test_its_header_names_all_that_its_caller_passes_in_this_order(name: str) -> None:
    script, header = DECLARED[name][2], header_of(name)
    rest = (f"{script.rest}...",) if script.rest else ()
    assert listed(header, "KEYS") == tuple(key.upper() for key in script.keys)
    assert listed(header, "ARGV") == (*script.arguments, *rest)
    assert re.search(r"^-- Returns ", header, re.MULTILINE)


@pytest.mark.parametrize("name", SCRIPTS)
def test_its_first_lines_read_all_of_it_under_these_names_and_no_line_does_so_later(name: str) -> None:
    script, text = DECLARED[name][2], text_of(name)
    assert read_in_first_lines(name, "KEYS") == tuple(key.upper() for key in script.keys)
    assert read_in_first_lines(name, "ARGV") == script.arguments
    first = re.compile(r"(local [\w\s,]+? = (?:unpack\((?:KEYS|ARGV)(?:, 1, \d+)?\)|ARGV, \d+)\n)*").match(
        text, len(header_of(name)) + 1
    )
    assert first
    assert not re.search(r"\b(KEYS|ARGV)\b", text[first.end() :])


@pytest.mark.parametrize("name", SCRIPTS)
def test_one_function_of_its_module_calls_it(name: str) -> None:
    module, constant, _ = DECLARED[name]
    calls = [
        (other.__name__, where.start())
        for other in modules()
        for where in re.finditer(rf"\b{constant}\.call\(", Path(str(other.__file__)).read_text())
    ]
    assert [where for where, _ in calls] == [module.__name__]


def test_a_caller_that_misnames_something_is_refused() -> None:
    script = Script("renew", ("version", "due"), ("token", "lease_ms"))
    keys = {"version": "v", "due": "d", "app": "a"}
    assert script.call(keys, {"lease_ms": 5, "token": "t"}).arguments == ["t", 5]
    with pytest.raises(ValueError, match="has the arguments"):
        script.call(keys, {"token": "t"})
    with pytest.raises(ValueError, match="has the arguments"):
        script.call(keys, {"token": "t", "lease_ms": 5, "lease": 6})
    with pytest.raises(KeyError):
        script.call({"version": "v"}, {"token": "t", "lease_ms": 5})


@pytest.mark.parametrize("name", INCLUDES)
def test_what_scripts_share_reads_no_key_or_argument_itself(name: str) -> None:
    assert not re.search(r"\b(KEYS|ARGV)\b", (STORE_LUA / name).read_text().partition("\n\n")[2])


def test_the_prelude_names_no_keys() -> None:
    assert not re.search(
        r"\b[A-Z][A-Z_]+\b", re.sub(r"--.*|'[^']*'", "", (STORE_LUA / "prelude.lua").read_text())
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_has_all_that_its_includes_need(name: str) -> None:
    script = DECLARED[name][2]
    has = {*(key.upper() for key in script.keys), *script.arguments}
    included, left = set[str](), INCLUDE.findall(text_of(name))
    while left:
        file = left.pop()
        if file in included:
            continue
        included.add(file)
        text = (STORE_LUA / file).read_text()
        left += INCLUDE.findall(text)
        needs = re.search(r"^-- Needs: (.*)$", text, re.MULTILINE)
        assert {*(needs[1].split(", ") if needs else ())} <= has, file


@pytest.mark.parametrize("name", INCLUDES)
def test_an_include_says_which_names_it_needs(name: str) -> None:
    text = (STORE_LUA / name).read_text()
    code = re.sub(r"--.*|'[^']*'|@\w+@", "", text)
    own = {*re.findall(r"local ([A-Z][A-Z_]+)", code)}
    used = {*re.findall(r"\b[A-Z][A-Z_]+\b", code)} | {*re.findall(r"\b\w+_prefix\b", code)}
    needs = re.search(r"^-- Needs: (.*)$", text, re.MULTILINE)
    assert {*(needs[1].split(", ") if needs else ())} == used - own


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_include_stands_once_in_what_redis_gets(name: str) -> None:
    source = DECLARED[name][2].source
    assert source.count("local function now_ms()") == 1
    assert "-- include:" not in source
    for function in ("move", "set_due", "announce"):
        assert source.count(f"local function {function}(") <= 1


def test_moves_failures_and_supersessions_are_written_in_one_place() -> None:
    texts = {file.name: re.sub(r"--.*", "", file.read_text()) for file in STORE_LUA.glob("*.lua")}

    def files_with(pattern: str) -> set[str]:
        return {name for name, text in texts.items() if re.search(pattern, text)}

    assert files_with(r"'HSET', (?:version|VERSION), 'state'") == {"move.lua"}
    assert files_with(r"HSET', \w+, 'failure'") == {"move.lua"}
    assert files_with(r"'ZRANGE', UNFINISHED") == {"supersede.lua", "set_updates.lua"}
    assert files_with(r"'XADD', OUTBOX") == {"outbox.lua"}
    assert files_with(r"'XADD', ACTIVITY") == {"activity.lua"}
    assert files_with(r"'created_at', now") == {"new_record.lua"}


@pytest.mark.parametrize(
    "name",
    [name for name in SCRIPTS if "work" in DECLARED[name][2].arguments]
    + ["take_due", "unfinished", "lease", "end_attempt"],
)
def test_no_script_about_leases_knows_which_state_work_is_done_in(name: str) -> None:
    code = re.sub(r"--.*", "", (STORE_LUA / f"{name}.lua").read_text())
    assert not [state for state in VersionState if f"'{state}'" in code]
