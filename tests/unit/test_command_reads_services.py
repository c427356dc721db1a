"""The command line reads through services: the web pages will read the same way, and see the same."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from galaxy.bootstrap import Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator

CLI = Path(__file__).parents[2] / "galaxy" / "cli"
MODULES = sorted(CLI.glob("*.py"))
SERVICES = {"queries", "releases", "base_images", "doctor"}


def parts_used(source: str) -> Iterator[str]:
    """What a module takes from the pipeline: of a call of `pipeline()`, and of names for it."""
    tree = ast.parse(source)
    names = {"Pipeline"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and _is_pipeline(node.value):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        if isinstance(node, ast.arg) and node.annotation and "Pipeline" in ast.unparse(node.annotation):
            names.add(node.arg)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            named = isinstance(node.value, ast.Name) and node.value.id in names
            if named or _is_pipeline(node.value):
                yield node.attr


def _is_pipeline(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "pipeline"


def test_what_is_taken_from_the_pipeline_is_found_by_whichever_name() -> None:
    lines = ("here = pipeline()", "here.store.x()", "pipeline().logs.y()", "its.queue.z()")
    source = "\n    ".join(["def f(its: Pipeline):", *lines])
    assert set(parts_used(source)) == {"store", "logs", "queue"}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_a_command_uses_services_and_no_adapters(module: Path) -> None:
    assert set(parts_used(module.read_text())) <= SERVICES


def test_the_services_are_all_in_use() -> None:
    used = {part for module in MODULES for part in parts_used(module.read_text())}
    assert used == SERVICES
    assert all(hasattr(Pipeline, part) for part in SERVICES)
