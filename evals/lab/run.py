"""Runs scenarios: several labs share the list, one scenario at a time on each, and every answer is scored.

Called by `python -m evals.lab run`. A scenario that breaks (its set-up, the question, the clean-up) becomes a result
with an error and never ends the run; a lab that cannot be cleaned is replaced by a fresh one. Must never leave a lab
behind.
"""

from __future__ import annotations

import asyncio
import os
import queue
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.lab import apply, cleanup, scenario
from evals.lab.ask import Asked, ask, ask_recorded, differences, record_for, record_snapshot
from evals.lab.errors import LabError, ScenarioError
from evals.lab.invariance import variances
from evals.lab.inventory import Ledger
from evals.lab.lab import Lab
from evals.lab.report import Result
from evals.lab.runbooks import Ran, check_runbooks
from evals.lab.scenario import Scenario
from evals.lab.score import score

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Checks:
    """What is checked of every scenario beyond its marks.

    Attributes:
        snapshot: that a recording of the cluster gives the same answer.
        invariance: that it still does after changes that must not matter.
        runbooks: that the runbooks of its faults end in them, and those of look-alikes do not.
    """

    snapshot: bool = False
    invariance: bool = False
    runbooks: bool = False


def run(folders: Sequence[Path], *, labs: int, checks: Checks, say: Say) -> list[Result]:
    """Runs all scenarios and gives their results in the order of the folders.

    Raises:
        LabError: not even a lab could be started.
    """
    waiting: queue.SimpleQueue[tuple[int, Path]] = queue.SimpleQueue()
    for numbered in enumerate(folders):
        waiting.put(numbered)
    results: dict[int, Result] = {}
    enough = threading.Event()

    def work(number: int) -> None:
        with Lab(f"run-{os.getpid()}-{number}") as lab:
            while not enough.is_set():
                try:
                    at, folder = waiting.get_nowait()
                except queue.Empty:
                    return
                results[at] = run_one(lab, folder, checks=checks, say=say)

    count = max(1, min(labs, len(folders)))
    with ThreadPoolExecutor(count, thread_name_prefix="lab") as pool:
        workers = [pool.submit(work, number) for number in range(count)]
        try:
            for worker in workers:
                worker.result()
        finally:
            enough.set()  # one lab failed, or somebody pressed Ctrl-C: let the others finish what they are at
    return [results[at] for at in sorted(results)]


def run_one(lab: Lab, folder: Path, *, checks: Checks, say: Say) -> Result:
    """Sets one scenario up, asks, scores and cleans up."""
    try:
        one = scenario.load(folder)
    except ScenarioError as error:
        return _finished(_unreadable(folder, error), say)
    ledger = apply.begin(lab)
    # A future holds whatever went wrong: a defect in a rule must cost one scenario, not the run.
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(_set_up_and_ask, lab, one, ledger, checks)
        error = asking.exception()
    result = _failed(one, error) if error else asking.result()
    _clean(lab, ledger, one, say)
    return _finished(result, say)


def record_one(folder: Path, file: Path) -> None:
    """Sets one scenario up in a lab of its own and records the cluster, as `firstmate snapshot create` does.

    Raises:
        LabError: it could not be set up or recorded.
    """
    one = scenario.load(folder)
    with Lab(f"record-{os.getpid()}") as lab:
        apply.set_up(lab, one, apply.begin(lab))
        asyncio.run(record_snapshot(lab.kubeconfig, file))


def record_many(files: Mapping[Path, Path]) -> None:
    """Sets scenarios up in one lab, one after the other, and records each whole, with names of Secrets.

    Args:
        files: where each scenario folder's recording goes.

    Raises:
        LabError: one could not be set up or recorded.
    """
    with Lab(f"record-{os.getpid()}") as lab:
        for folder, file in files.items():
            ledger = apply.begin(lab)
            apply.set_up(lab, scenario.load(folder), ledger)
            asyncio.run(record_for(lab.kubeconfig, file))
            cleanup.clean_up(lab, ledger)


def _set_up_and_ask(lab: Lab, one: Scenario, ledger: Ledger, checks: Checks) -> Result:
    apply.set_up(lab, one, ledger)
    asked = asyncio.run(ask(lab.kubeconfig, one.scope, one.namespace))
    return _scored(one, asked, asyncio.run(_checked(lab, one, asked, checks)))


@dataclass(frozen=True, slots=True)
class _Checked:
    """What the checks of one scenario found."""

    differs: list[str]
    varies: list[str]
    ran: Ran


async def _checked(lab: Lab, one: Scenario, asked: Asked, checks: Checks) -> _Checked:
    if not (checks.snapshot or checks.invariance or checks.runbooks):
        return _Checked([], [], Ran())
    with tempfile.TemporaryDirectory(prefix="firstmate-lab-") as folder:
        path = Path(folder) / "snapshot.tar.gz"
        await record_for(lab.kubeconfig, path)
        differs = await differences(lab.kubeconfig, path, one.scope, one.namespace, asked) if checks.snapshot else []
        varies = await variances(path, one.scope, one.namespace, ask_recorded) if checks.invariance else []
        ran = await check_runbooks(path, one, asked.answer) if checks.runbooks else Ran()
    return _Checked(differs, varies, ran)


def _scored(one: Scenario, asked: Asked, checked: _Checked) -> Result:
    return Result(
        id=one.id,
        scope=one.scope,
        namespace=one.namespace,
        expect=_expect(one.folder),
        answer=asked.answer,
        score=score(one.expect, asked.answer),
        ms=round(asked.ms, 1),
        requests=asked.requests,
        bytes=asked.bytes,
        snapshot_differs=checked.differs,
        varies=checked.varies,
        runbooks_asked=checked.ran.asked,
        runbooks_missed=checked.ran.missed,
        runbooks_wrong=checked.ran.wrong,
    )


def _failed(one: Scenario, error: BaseException) -> Result:
    text = str(error) if isinstance(error, LabError) else f"{type(error).__name__}: {error}"
    return Result(one.id, one.scope, one.namespace, _expect(one.folder), error=text)


def _unreadable(folder: Path, error: ScenarioError) -> Result:
    return Result(folder.name, None, None, _expect(folder), error=str(error))


def _expect(folder: Path) -> dict[str, Any]:
    """As scenario.yaml has it: others score again from the JSON, and not with our defaults."""
    try:
        return dict(scenario.read_fields(folder).get("expect") or {})
    except (ScenarioError, TypeError, ValueError):
        return {}


def _clean(lab: Lab, ledger: Ledger, one: Scenario, say: Say) -> None:
    try:
        cleanup.clean_up(lab, ledger)
    except LabError as error:
        say(f"{one.id}: {error}; going on with a fresh lab")
        lab.stop()
        lab.start()


def _finished(result: Result, say: Say) -> Result:
    if result.error is not None:
        say(f"{result.id}: error: {result.error}")
    else:
        say(f"{result.id}: {'right' if result.score.first else 'WRONG'}")
    return result
