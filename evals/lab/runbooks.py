"""Runs runbooks over the recording of a scenario: that of each fault has to end in it, those of look-alikes must not.

Called by the runner (`--check-runbooks`). In which cause a run ends says `firstmate.runbooks.replay.ending`: one that
waits for an answer, or calls people, has ended in the cause that it had come to before; an inconclusive one in none.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evals.lab.errors import LabError
from evals.lab.scenario import ObjectRef, Scenario
from evals.lab.score import faults_of
from firstmate.cli.recordings import tools_over
from firstmate.runbooks.document import Runbook
from firstmate.runbooks.library import library
from firstmate.runbooks.replay.cases import Case
from firstmate.runbooks.replay.ending import cause_of
from firstmate.runbooks.replay.playing import Remembered, play
from firstmate.runbooks.runner import Run
from firstmate.runbooks.steps import NONE
from firstmate_tools.cluster.snapshot import SnapshotSource
from firstmate_tools.diagnosis.causes import CAUSES
from firstmate_tools.errors import FirstmateError

_PARAMETER_OF = {
    "Node": "node",
    "Service": "service",
    "PersistentVolumeClaim": "claim",
    "Ingress": "ingress",
    "Pod": "pod",
    "NodePool": "nodepool",
    "HorizontalPodAutoscaler": "hpa",
}
_WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"}
_SAMPLE = 2
"""Runbooks that a healthy scenario is given beside those of the causes that it imitates."""


@dataclass(slots=True)
class Ran:
    """What came of the runbooks of one scenario.

    Attributes:
        right, asked: of the runs that should end in a cause, those that did, and all.
        missed: the others, in words.
        wrong: runs that ended in a cause that is not there, in words.
    """

    right: int = 0
    asked: int = 0
    missed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


async def check_runbooks(path: Path, one: Scenario, answer: Mapping[str, Any]) -> Ran:
    """Runs what a scenario gives cause to run. What a diagnosis says by the way (info) may end a run anywhere.

    Args:
        path: of its recording.
        answer: its diagnosis. Where it names a cause that is as right for the one that is wanted, the runbook of that
            one is run; where a node is at fault, it says in which namespace that hurts.

    Raises:
        LabError: a run could not begin.
    """
    ran = Ran()
    known = {*one.expect.root_causes, *one.expect.also_acceptable}
    async with tools_over(SnapshotSource("lab", path)) as tools:
        ask = Remembered(tools).ask
        found = {root["cause"]: root for root in reversed(answer.get("root_causes") or ())}
        instead = [cause for cause in one.expect.also_acceptable if cause in found]
        for wanted in one.expect.root_causes:
            cause = wanted if wanted in found or not instead else instead[0]
            if (runbook := _of(cause)) is None:
                continue
            ran.asked += 1
            params = parameters_for(runbook, one, wanted, _hurts(found.get(cause, {})))
            run = await _run(runbook, params, ask)
            if cause_of(run) in known:
                ran.right += 1
            else:
                ran.missed.append(f"{_told(run)}, not in {cause}")
        for runbook in _suspects(one):
            run = await _run(runbook, parameters_for(runbook, one, None), ask)
            cause = cause_of(run)
            unwanted = cause in one.expect.must_not or one.expect.healthy
            if cause != NONE and unwanted and cause not in known | _by_the_way(run):
                ran.wrong.append(f"{_told(run)}, which is not there")
    return ran


def _by_the_way(run: Run) -> set[str]:
    """The causes that the diagnoses of a run called mere information."""
    roots = [root for result in run.results.values() for root in result.get("root_causes") or ()]
    return {root["cause"] for root in roots if root.get("severity") == "info"}


def _hurts(root: Mapping[str, Any]) -> str:
    """The first namespace in the evidence of a root cause, "" where it names none."""
    objects = [one.get("object") or {} for one in root.get("evidence") or ()]
    return next((str(one["namespace"]) for one in objects if one.get("namespace")), "")


def parameters_for(runbook: Runbook, one: Scenario, cause: str | None, hurts: str = "") -> dict[str, Any]:
    """What a scenario gives for the parameters of a runbook.

    Args:
        cause: of the scenario, whose object is given where the runbook has a parameter for it; None for no object.
        hurts: the namespace where neither the scenario nor its object has one.
    """
    declared = {parameter.name: parameter for parameter in runbook.block.parameters}
    where = next((fault.object for fault in faults_of(one.expect) if fault.cause == cause), None) if cause else None
    found: dict[str, Any] = {}
    if where is not None:
        found = {key: value for key, value in _object(where).items() if key in declared}
    # A namespace that a runbook knows by itself is that of a component, and not the one where it hurts.
    if "namespace" in declared and (found or declared["namespace"].default is None):
        kind, _, name = one.scope.partition("/")
        theirs = (where.name if where.kind == "Namespace" else where.namespace) if where is not None else ""
        asked = one.namespace or (name if kind == "namespace" else "")
        # Whoever names an object says where it is; whoever names none asks where it hurts.
        found["namespace"] = (theirs if found else "") or asked or theirs or hurts or one.home
    return found


def _object(where: ObjectRef) -> dict[str, str]:
    if where.kind in _WORKLOADS:
        return {"workload": f"{where.kind.lower()}/{where.name}"}
    return {_PARAMETER_OF[where.kind]: where.name} if where.kind in _PARAMETER_OF else {}


def _of(cause: str) -> Runbook | None:
    """The runbook of a cause, where it has steps."""
    slug = CAUSES[cause].runbook if cause in CAUSES else ""
    if slug not in library().slugs:
        return None
    runbook = library().get(slug)
    return runbook if runbook.steps else None


def _suspects(one: Scenario) -> list[Runbook]:
    """The runbooks of what a scenario imitates; of a healthy one some more, always the same."""
    found = {runbook.slug: runbook for cause in one.expect.must_not if (runbook := _of(cause)) is not None}
    if one.expect.healthy:
        some = [runbook for runbook in library().every() if runbook.steps and runbook.slug not in found]
        some.sort(key=lambda runbook: zlib.crc32(f"{one.id} {runbook.slug}".encode()))
        found |= {runbook.slug: runbook for runbook in some[:_SAMPLE]}
    return list(found.values())


async def _run(runbook: Runbook, params: Mapping[str, Any], ask: Any) -> Run:
    case = Case.model_validate(
        {
            "snapshot": "-",
            "scenario": "lab",
            "params": params,
            "must_reach": ["any"],
            "ends": "concluded",
            "cause": NONE,
        }
    )
    try:
        return await play(runbook, case, ask)
    except FirstmateError as error:
        raise LabError(f"the runbook {runbook.slug} with {params}: {error}") from error


def _told(run: Run) -> str:
    assert run.end is not None
    path = " > ".join(one.id for one in run.visited)
    return f"{run.runbook.slug}: {path}: {run.end.ended} in {cause_of(run)}"
