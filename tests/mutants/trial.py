"""Runs chosen tests in a child process that has the libraries already, against a copy of the project."""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

#: Take a second to import, and are the same for every mutant.
_LIBRARIES: Final = (
    "celery",
    "click",
    "docker",
    "fakeredis",
    "hypothesis.stateful",
    "lupa.lua51",
    "pydantic_settings",
)
_OURS: Final = frozenset(
    {"galaxy", "tests", "tasks", "workers", "beat", "stack", "celeryconfig", "flowerconfig"}
)
#: A test that takes longer than this is caught in a loop that the mutant made.
_TEST_TIMEOUT_S: Final = 60
_OPTIONS: Final = (
    *("-q", "--hypothesis-profile=quick", f"--timeout={_TEST_TIMEOUT_S}"),
    *("-m", "not service"),
    *("-p", "no:cacheprovider"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # the libraries were imported before pytest began
)


def import_libraries() -> None:
    """Makes the children's start cheap. Nothing of the project may be among them."""
    for name in _LIBRARIES:
        importlib.import_module(name)


@dataclass
class Trial:
    """A run of some tests that goes on in a child process.

    Attributes:
        copy: Root of the copy of the project that is tested.
        output: What the child writes.
    """

    copy: Path
    output: Path
    pid: int
    ends_by: float

    def poll(self) -> int | None:
        """Pytest's exit code, or minus one for a run that was ended; None while it goes on."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else -1
        if time.monotonic() < self.ends_by:
            return None
        self.end()
        return -1

    def end(self) -> None:
        os.killpg(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def failed(self) -> str | None:
        """The first test that failed."""
        path = self.output.with_suffix(".failed")
        return path.read_text() if path.exists() else None


def start(
    copy: Path, output: Path, tests: Sequence[str], *, timeout_s: float, plugins: Iterable[object] = ()
) -> Trial:
    """Starts the tests in this order, until one fails. No names: all tests.

    Args:
        copy: Root of the project's copy.
        output: A file for what is printed.
        tests: Node ids.
        timeout_s: The child is killed after it, and after as many seconds of processor time.
        plugins: Of pytest, besides.
    """
    output.with_suffix(".failed").unlink(missing_ok=True)
    pid = os.fork()
    if pid:
        return Trial(copy, output, pid, time.monotonic() + timeout_s)
    code = 3
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CPU, (int(timeout_s), int(timeout_s)))
        _redirect(output)
        code = _run(copy, tests, [Chosen(tests, output.with_suffix(".failed")), *plugins])
    finally:
        sys.stdout.flush()
        os._exit(code)


def _redirect(output: Path) -> None:
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)


def _run(copy: Path, tests: Sequence[str], plugins: list[object]) -> int:
    os.chdir(copy)
    for name in [name for name in sys.modules if name.partition(".")[0] in _OURS]:
        del sys.modules[name]
    sys.path[:] = [str(copy), *(path for path in sys.path if path not in {"", str(Path.cwd())})]
    importlib.invalidate_caches()
    files = dict.fromkeys(test.partition("::")[0] for test in tests) or ("tests/unit", "tests/contract")
    stop = ["-x"] if tests else []
    return int(pytest.main([*_OPTIONS, *stop, *files], plugins=plugins))


class Chosen:
    """A plugin: runs these tests only, in this order, and writes down the first that fails."""

    def __init__(self, tests: Sequence[str], failed: Path) -> None:
        self._order = {test: number for number, test in enumerate(tests)}
        self._failed = failed

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self._order:
            items[:] = sorted(
                (item for item in items if item.nodeid in self._order),
                key=lambda item: self._order[item.nodeid],
            )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self._failed.exists():
            self._failed.write_text(report.nodeid)


class Observed:
    """A plugin that writes down, for each test: its time, the lines it reaches and the scripts it runs.

    Args:
        copy: Root of the project's copy.
        result: A file, for JSON.
        share: Which of how many equal shares of the test files this run takes.
    """

    def __init__(self, copy: Path, result: Path, share: tuple[int, int]) -> None:
        self._copy, self._result, self._share = copy, result, share
        self._seconds: dict[str, float] = {}
        self._failed: list[str] = []
        self._scripts: dict[str, set[str]] = {}
        self._test = ""
        self._coverage: Any = None

    def pytest_configure(self) -> None:
        import coverage  # noqa: PLC0415 - only this run needs it
        from redis.commands.core import Script  # noqa: PLC0415 - as above

        self._coverage = coverage.Coverage(
            data_file=None, config_file=False, source=[str(self._copy / "galaxy")]
        )
        self._coverage.start()
        made = Script.__init__
        scripts = self._scripts

        def make(script: Script, *arguments: Any) -> None:  # noqa: ANN401 - as redis-py
            made(script, *arguments)
            text = script.script
            scripts.setdefault(text if isinstance(text, str) else text.decode(), set()).add(self._test)

        Script.__init__ = make  # type: ignore[method-assign] # in this process only

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        number, of = self._share
        files = sorted({str(item.path) for item in items})
        mine = set(files[number::of])
        items[:] = [item for item in items if str(item.path) in mine]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._test = item.nodeid
        self._coverage.switch_context(item.nodeid)
        began = time.perf_counter()
        try:
            return (yield)
        finally:
            self._seconds[item.nodeid] = time.perf_counter() - began
            self._coverage.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.append(report.nodeid)

    def pytest_unconfigure(self) -> None:
        self._coverage.stop()
        data = self._coverage.get_data()
        lines = {
            str(Path(file).relative_to(self._copy)): data.contexts_by_lineno(file)
            for file in data.measured_files()
        }
        scripts = {text: sorted(tests - {""}) for text, tests in self._scripts.items()}
        self._result.write_text(
            json.dumps(
                {"seconds": self._seconds, "lines": lines, "scripts": scripts, "failed": self._failed}
            ),
            encoding="utf-8",
        )
