"""What a base image must be, and how each breach is told."""

from __future__ import annotations

import pytest

from galaxy.domain.base_images.contract import (
    FileKind,
    SetupScript,
    bash_command,
    breaches,
    declared_volumes,
    swallowing_volumes,
    volume_places,
)

CMD = {"Cmd": ["/bin/true"]}


def script(first_line: str = "#!/bin/bash", *, executable: bool = True) -> SetupScript:
    return SetupScript(kind=FileKind.FILE, executable=executable, first_line=first_line)


@pytest.mark.parametrize(
    "config", [CMD, {"Entrypoint": ["/bin/true"], "Cmd": None}, {"Entrypoint": ["/bin/true"], "Cmd": ["a"]}]
)
def test_an_image_that_keeps_the_contract_has_no_breaches(config: dict[str, object]) -> None:
    assert breaches(config, script()) == ()


@pytest.mark.parametrize("config", [{}, {"Cmd": None, "Entrypoint": None}, {"Cmd": [], "Entrypoint": []}])
def test_an_image_that_can_not_run_is_told_what_to_add(config: dict[str, object]) -> None:
    (breach,) = breaches(config, script())
    assert "neither CMD nor ENTRYPOINT" in breach
    assert 'CMD ["node", "/app/main.js"]' in breach


@pytest.mark.parametrize(
    ("found", "what", "change"),
    [
        (SetupScript(kind=FileKind.MISSING), "has no /app/setup.sh", "COPY --chmod=755"),
        (
            SetupScript(kind=FileKind.DANGLING_LINK),
            "is a link to something that is not in",
            "put the script itself",
        ),
        (SetupScript(kind=FileKind.CIRCULAR_LINK), "leads back to itself", "put an executable bash script"),
        (SetupScript(kind=FileKind.OTHER), "is not a file", "put an executable bash script there"),
        (script(executable=False), "not executable", "RUN chmod +x /app/setup.sh"),
        (script("#!/bin/bash\r"), "Windows line ends", "Unix line ends"),
        (script("#!/bin/sh"), "not a script for bash", "#!/usr/bin/env bash"),
        (script("echo hello"), "not a script for bash", "#!/bin/bash"),
        (script(""), "not a script for bash", "it is ''"),
        (script("\x7fELF\x02"), "not a script for bash", "#!/bin/bash"),
    ],
)
def test_a_setup_script_that_can_not_be_used_is_told_why_and_what_to_do(
    found: SetupScript, what: str, change: str
) -> None:
    (breach,) = breaches(CMD, found)
    assert what in breach
    assert change in breach


def test_a_long_first_line_is_cut() -> None:
    (breach,) = breaches(CMD, script("x" * 256))
    assert len(breach) < 300


def test_all_breaches_are_told_at_once() -> None:
    config: dict[str, object] = {"Volumes": {"/app": {}}}
    told = breaches(config, SetupScript(kind=FileKind.MISSING))
    assert [part in text for part, text in zip(("CMD", "setup.sh", "VOLUME /app"), told, strict=True)] == [
        True
    ] * 3


@pytest.mark.parametrize(
    ("first_line", "command"),
    [
        ("#!/bin/bash", ("/bin/bash",)),
        ("#! /bin/bash", ("/bin/bash",)),
        ("#!/bin/bash -eu", ("/bin/bash",)),
        ("#!/usr/local/bin/bash\t-x", ("/usr/local/bin/bash",)),
        ("#!/usr/bin/env bash", ("/usr/bin/env", "bash")),
        ("#!/usr/bin/env  bash", ("/usr/bin/env", "bash")),
        ("#!/usr/bin/env -S bash -eu", ("/usr/bin/env", "bash")),
        ("#!/bin/bash ", ("/bin/bash",)),
    ],
)
def test_bash_is_started_as_the_script_says(first_line: str, command: tuple[str, ...]) -> None:
    assert bash_command(script(first_line)) == command
    assert breaches(CMD, script(first_line)) == ()


@pytest.mark.parametrize(
    "first_line",
    [
        "#!/bin/sh",
        "#!bash",
        "#!/bin/bashful",
        "#!/bin/dash",
        "#!/usr/bin/env sh",
        "#!/usr/bin/env bashful",
        "#!/usr/bin/env python3 bash",
        " #!/bin/bash",
        "/bin/bash",
        "#!/bin/bash\r",
    ],
)
def test_what_is_no_script_for_bash_is_not_started(first_line: str) -> None:
    with pytest.raises(ValueError, match="not a bash script"):
        bash_command(script(first_line.replace("\r", "x")))
    assert len(breaches(CMD, script(first_line))) == 1


@pytest.mark.parametrize(
    "volume", ["/app", "/app/", "/app/bundle", "/", "/srv/work", "/srv", "/srv/work/deep"]
)
def test_volumes_around_the_app_would_swallow_it(volume: str) -> None:
    config = {**CMD, "Volumes": {volume: {}}, "WorkingDir": "/srv/work"}
    assert swallowing_volumes(config) == (volume,)
    (breach,) = breaches(config, script())
    assert f"VOLUME {volume}" in breach
    assert "remove the VOLUME instruction" in breach


@pytest.mark.parametrize("volume", ["/data", "/application", "/srv/other", "/var/lib/app"])
@pytest.mark.parametrize("workdir", ["/srv/work", "", "/"])
def test_volumes_elsewhere_do_no_harm(volume: str, workdir: str) -> None:
    config = {**CMD, "Volumes": {volume: {}}, "WorkingDir": workdir}
    assert swallowing_volumes(config) == ()
    assert breaches(config, script()) == ()


@pytest.mark.parametrize("volumes", [None, {}])
def test_no_volumes_are_none(volumes: object) -> None:
    assert declared_volumes({"Volumes": volumes}) == declared_volumes({}) == ()


def test_each_place_is_one_however_often_it_is_declared() -> None:
    volumes = {volume: {} for volume in ("/data", "/data/", "//data/x/..", "/cache")}
    assert volume_places({"Volumes": volumes}) == ("/cache", "/data")


@pytest.mark.parametrize("volume", ["relative", "/", "//", "/data/.."])
def test_what_engines_take_from_an_image_only_is_no_place(volume: str) -> None:
    assert volume_places({"Volumes": {volume: {}}}) == ()


def test_declared_volumes_are_sorted() -> None:
    assert declared_volumes({"Volumes": {"/b": {}, "/a": {}}}) == ("/a", "/b")
