"""What `make down` leaves and says, and what `make clean` removes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stack import ending, engine, given, images
from stack.checkout import Checkout, Choices
from stack.console import StackError
from stack.docker_api import Engine
from stack.images import Left

if TYPE_CHECKING:
    from pathlib import Path

ONE = Left("one", ("127.0.0.1:20001/apps/a:1",))


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """A checkout whose stack was up, with an engine that answers, and data, caches and bundles."""
    here = Checkout(tmp_path)
    (tmp_path / "examples" / "bundles" / "hello").mkdir(parents=True)
    Choices(name="galaxy-test", ports={"apps": 20001}).save(here)
    for path in (
        here.registries / "apps" / "blob",
        here.redis / "appendonly.aof",
        here.log("beat"),
        here.bundles / "hello.tar.gz",
        here.bundles / "mine.tar.gz",
        here.home / "published.json",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    given.remember(here, {"GALAXY_LEASE_S": "5"})
    here.run.mkdir()
    (here.run / "docker-host").write_text("unix:///x")
    monkeypatch.setattr(Engine, "problem", lambda _: None)
    monkeypatch.setattr(Engine, "containers", lambda *_, running_only: {})  # noqa: ARG005 - the engine's signature
    monkeypatch.setattr(Engine, "volumes", lambda _: [])
    monkeypatch.setattr(Engine, "remove_network", lambda *_: None)
    monkeypatch.setattr(Engine, "history", lambda *_: [{"Created": 1, "CreatedBy": "", "Size": 4_000_000}])
    monkeypatch.setattr(engine, "release", lambda _: None)
    monkeypatch.setattr("os.geteuid", lambda: 1000)  # rules of networks are left alone
    return here


def left(monkeypatch: pytest.MonkeyPatch, *found: Left) -> None:
    monkeypatch.setattr(images, "left_by", lambda *_: list(found))


def test_down_says_which_images_it_leaves(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left(monkeypatch, ONE)
    ending.down(checkout)
    assert capsys.readouterr().err.splitlines() == [
        "It leaves 1 image of apps and base images, 4 MB, on the engine; `make clean` removes it."
    ]
    left(monkeypatch, ONE, ONE)
    ending.down(checkout)
    assert "It leaves 2 images of apps and base images, 4 MB, on the engine; `make clean` removes them." in (
        capsys.readouterr().err
    )
    assert (checkout.redis / "appendonly.aof").exists()
    left(monkeypatch)
    ending.down(checkout)
    assert capsys.readouterr().err == ""


def test_clean_removes_images_data_and_caches_and_leaves_names_and_the_bundles_of_people(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    removed: list[str] = []
    left(monkeypatch, ONE)
    monkeypatch.setattr(Engine, "remove_image", lambda _, name: removed.append(name))
    before = Choices.load(checkout)

    ending.clean(checkout)

    assert removed == [*ONE.names]
    assert "Removed 1 image of apps and base images, 4 MB, from the engine." in capsys.readouterr().err
    kept = {str(path.relative_to(checkout.home)) for path in checkout.home.rglob("*") if path.is_file()}
    assert kept == {"choices.json", "lock", "bundles/mine.tar.gz"}
    assert Choices.load(checkout) == before
    assert given.remembered(checkout) == {}
    ending.clean(checkout)  # a second time, there is nothing left to do


def test_clean_does_not_forget_images_on_an_engine_that_does_not_answer(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "problem", lambda _: "It is away.")
    with pytest.raises(StackError, match=r"(?s)It is away.*may be on it: start it"):
        ending.clean(checkout)
    assert (checkout.registries / "apps" / "blob").exists()


def test_a_checkout_that_was_never_started_has_nothing_to_remove(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ending.clean(Checkout(tmp_path))
    ending.down(Checkout(tmp_path))
    assert capsys.readouterr().err.count("never started") == 2
