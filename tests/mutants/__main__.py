"""`make mutants`: changes the code in one place at a time, and sees whether the unit tests notice.

mutmut and cosmic-ray were considered. mutmut 3 changes the bodies of undecorated functions only, so no bound that
stands at the top of a module; cosmic-ray starts a whole test run for each change; neither draws a sample by a seed, and
neither knows Lua. Here a change is made in a copy of the project, and a forked process runs the tests that reach it.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.mutants import lua_mutations, python_mutations, reasons
from tests.mutants.reach import Reach
from tests.mutants.trial import Observed, Trial, import_libraries, start

if TYPE_CHECKING:
    from tests.mutants.mutation import Mutation

ROOT: Final = Path(__file__).resolve().parents[2]
PYTHON: Final = ("galaxy/domain/**/*.py", "galaxy/services/**/*.py")
LUA: Final = ("galaxy/**/*.lua",)
#: So many changes are tried at a time.
AT_ONCE: Final = 2
WANTED_SHARE: Final = 0.9
_NOT_COPIED: Final = (".git", ".venv", ".stack", ".hypothesis", "__pycache__", ".*_cache")
_POLL_S: Final = 0.02
_PASSED: Final = 0
_NO_TESTS: Final = 5


class Verdict(NamedTuple):
    """What came of one change.

    Attributes:
        source: The file without the change.
        by: The test that noticed, or what else happened; None if no test noticed.
        tests: How many tests reach it.
    """

    mutation: Mutation
    source: bytes
    by: str | None
    tests: int


@dataclass
class _Running:
    mutation: Mutation
    tests: list[str]
    trial: Trial
    source: bytes
    accused: str | None = None


class Runner:
    """Tries changes, so many at a time, each in a copy of the project of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        #: The project as it was at the beginning, whatever is done to it meanwhile.
        self._origin = folder / "origin"
        self._copies = [folder / f"copy-{number}" for number in range(AT_ONCE)]
        for copy in (self._origin, *self._copies):
            shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*_NOT_COPIED))
        self._reach: Reach | None = None
        self._timeout_s = 1800.0

    def observe(self) -> Reach:
        """Runs all tests of the unchanged project. It also leaves their compiled files in the copies.

        Raises:
            SystemExit: One of them fails.
        """
        results, trials = [], []
        for number, copy in enumerate(self._copies):
            results.append(self._folder / f"observed-{number}.json")
            observed = Observed(copy, results[-1], (number, AT_ONCE))
            trials.append(start(copy, self._output(copy), [], timeout_s=self._timeout_s, plugins=[observed]))
        for trial in trials:
            _wait(trial)
        missing = [trial for trial, result in zip(trials, results, strict=True) if not result.exists()]
        if missing:
            sys.exit(f"The tests do not run:\n{missing[0].output.read_text()[-3000:]}")
        self._reach = Reach(results, self._origin)
        if self._reach.failed:  # a test of timing may, while it is watched
            trial = self._started(self._copies[0], self._reach.failed)
            if _wait(trial) != _PASSED:
                sys.exit(f"Tests fail without any change:\n{trial.output.read_text()[-3000:]}")
        self._timeout_s = 60 + 4 * self._reach.seconds
        # the changed module must not be taken from a compiled file, nor leave one
        sys.dont_write_bytecode = True
        return self._reach

    def mutations(self) -> list[Mutation]:
        """Every change that could be made."""
        found: list[Mutation] = []
        for globs, made in ((PYTHON, python_mutations.mutations), (LUA, lua_mutations.mutations)):
            for path in sorted(path for glob in globs for path in self._origin.glob(glob)):
                found += made(str(path.relative_to(self._origin)), path.read_bytes())
        return found

    def verdicts(self, mutations: list[Mutation]) -> list[Verdict]:
        """What came of each change, printed as it is known."""
        waiting, verdicts = mutations[::-1], []
        running: dict[Path, _Running] = {}
        try:
            while waiting or running:
                for copy in self._copies:
                    if copy in running:
                        verdict = self._looked_at(running, copy)
                    elif waiting:
                        verdict = self._begun(running, copy, waiting.pop())
                    else:
                        continue
                    if verdict:
                        verdicts.append(verdict)
                        _show(
                            verdict,
                            (ROOT / verdict.mutation.path).read_bytes(),
                            len(verdicts),
                            len(mutations),
                        )
                time.sleep(_POLL_S)
        finally:
            for each in running.values():
                each.trial.end()
        return verdicts

    def _begun(self, running: dict[Path, _Running], copy: Path, mutation: Mutation) -> Verdict | None:
        assert self._reach
        source = (self._origin / mutation.path).read_bytes()
        tests = self._reach.of(mutation, source)
        if not tests:
            return Verdict(mutation, source, None, 0)
        changed = copy / mutation.path
        changed.write_bytes(mutation.applied(source))
        for compiled in changed.parent.glob(f"__pycache__/{changed.stem}.*"):
            compiled.unlink()
        running[copy] = _Running(mutation, tests, self._started(copy, tests), source)
        return None

    def _looked_at(self, running: dict[Path, _Running], copy: Path) -> Verdict | None:
        it = running[copy]
        code = it.trial.poll()
        if code is None:
            return None
        if code not in {_PASSED, _NO_TESTS} and (failed := it.trial.failed()) and failed != it.accused:
            # it may have failed by itself: the machine can be busy. Once more, with this one alone at first
            it.accused = failed
            again = [failed, *(test for test in it.tests[it.tests.index(failed) + 1 :])]
            it.trial = self._started(copy, again)
            return None
        del running[copy]
        (copy / it.mutation.path).write_bytes(it.source)
        if code == _PASSED:
            return Verdict(it.mutation, it.source, None, len(it.tests))
        if code == _NO_TESTS:
            sys.exit(
                f"None of the tests of {it.mutation.place} was found:\n{it.trial.output.read_text()[-2000:]}"
            )
        by = it.trial.failed() or ("it took too long" if code < 0 else "it can't be imported")
        return Verdict(it.mutation, it.source, by, len(it.tests))

    def _started(self, copy: Path, tests: list[str]) -> Trial:
        return start(copy, self._output(copy), tests, timeout_s=self._timeout_s)

    def _output(self, copy: Path) -> Path:
        return self._folder / f"{copy.name}.log"


def _wait(trial: Trial) -> int:
    while (code := trial.poll()) is None:
        time.sleep(_POLL_S)
    return code


def _show(verdict: Verdict, number: int, of: int) -> None:
    mutation, source = verdict.mutation, verdict.source
    word = "killed" if verdict.by else "SURVIVED"
    print(f"{number}/{of} {word} {mutation.place}  {mutation.name(source)}  ({verdict.tests} tests reach it)")
    if verdict.by:
        print(f"    by {verdict.by}", flush=True)
    else:
        print(mutation.diff(source), flush=True)


def main() -> int:
    """Draws the changes, tries them, and counts.

    Returns:
        1 if too few were noticed.
    """
    count = int(os.environ.get("MUTANTS") or "100")
    seed = int(os.environ.get("MUTANTS_SEED") or random.randrange(10**6))
    only = os.environ.get("MUTANTS_ONLY", "")
    import_libraries()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and the children end, too
    with tempfile.TemporaryDirectory(prefix="galaxy-mutants-") as folder:
        runner = Runner(Path(folder))
        candidates = [each for each in runner.mutations() if re.match(only, each.place)]
        drawn = random.Random(seed).sample(candidates, min(count, len(candidates)))
        print(f"{len(drawn)} of {len(candidates)} changes, MUTANTS_SEED={seed}", flush=True)
        reach = runner.observe()
        print(f"{reach.tests} tests pass without a change, in {reach.seconds:.0f} s", flush=True)
        verdicts = runner.verdicts(drawn)
    return _summary(verdicts)


def _summary(verdicts: list[Verdict]) -> int:
    known = reasons.read()
    killed = sum(1 for verdict in verdicts if verdict.by)
    explained = 0
    for mutation, source, by, _ in verdicts:
        reason = next((each.reason for each in known if each.explains(mutation, source)), None)
        if by is None and reason:
            explained += 1
            print(f"survived, for a reason: {mutation.place}  {mutation.name(source)}: {reason}")
        elif by is None:
            print(f"SURVIVED: {mutation.place}  {mutation.name(source)}\n{mutation.diff(source)}")
    share = (killed + explained) / (len(verdicts) or 1)
    left = len(verdicts) - killed - explained
    print(
        f"{len(verdicts)} changes: {killed} noticed ({killed / (len(verdicts) or 1):.0%}), "
        f"{explained} with a reason, {left} not noticed"
    )
    return 0 if share >= WANTED_SHARE else 1


if __name__ == "__main__":
    sys.exit(main())
