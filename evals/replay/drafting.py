"""Finds runs that are worth a case, over recordings whose scenario says what is wrong, until every way is taken.

`python -m evals.replay draft` calls it. A run that says otherwise than its scenario becomes no case: it is told, and
somebody mends the runbook, or the scenario.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evals.lab.runbooks import parameters_for
from evals.lab.scenario import Scenario
from firstmate.runbooks.document import Runbook
from firstmate.runbooks.replay.cases import SNAPSHOTS, Case
from firstmate.runbooks.replay.coverage import Way, taken
from firstmate.runbooks.replay.ending import cause_of
from firstmate.runbooks.replay.playing import Tools, play
from firstmate.runbooks.runner import Run
from firstmate.runbooks.steps import NONE, Act, Ask, Check, Decide
from firstmate_tools.diagnosis.causes import CAUSES
from firstmate_tools.errors import UsageError

_DEEPEST = 3
"""Questions of one run that are answered."""
_SAID: Mapping[str, Sequence[Any]] = {
    "limit": ("1Gi", "2"),
    "hard": ("20",),
    "size": ("50Gi",),
    "request": ("500m",),
    "class": ("gp3", "alb"),
    "account": ("default",),
    "proof": ("the instance is terminated",),
    "release": ("shop",),
    "revision": (1,),
    "most": (20,),
    "replicas": (2,),
    "target_port": (8080,),
    "share": (0.6,),
}
"""What a person might answer, by the name of the answer. Which container there is stands in what was read before."""


@dataclass(frozen=True, slots=True)
class Found:
    """A run that may become a case."""

    name: str
    case: Case
    run: Run
    ways: frozenset[Way]


@dataclass(slots=True)
class Drafted:
    """What came of one runbook: the cases to keep, and the runs that say otherwise than their scenario."""

    chosen: list[Found] = field(default_factory=list)
    against: list[str] = field(default_factory=list)


def fitting(runbook: Runbook, one: Scenario) -> set[str]:
    """The causes of a runbook in which a run over a scenario's recording may end."""
    return {*one.expect.root_causes, *one.expect.also_acceptable} & set(runbook.causes)


async def draft(runbook: Runbook, recorded: Mapping[str, tuple[Scenario, Tools]]) -> Drafted:
    """The fewest runs that end in each cause, that stay away from one, and that take every way that any run takes.

    Args:
        recorded: by scenario; those of its causes, those that imitate them, and some others.
    """
    drafted, found = Drafted(), list[Found]()
    for id_, (one, tools) in recorded.items():
        async for each in _runs(runbook, id_, one, tools):
            if (words := _against(runbook, one, each)) is not None:
                drafted.against.append(f"{runbook.slug}: {each.name}: {words}")
            else:
                found.append(each)
    alike = {id_ for id_, (one, _) in recorded.items() if imitating(runbook, one)}
    drafted.chosen = _chosen(runbook, found, alike)
    return drafted


async def _runs(runbook: Runbook, id_: str, one: Scenario, tools: Tools) -> Any:
    causes = [cause for cause in one.expect.root_causes if cause in runbook.causes]
    variants = [("", parameters_for(runbook, one, None))]
    variants += [
        (f"-{cause}", given) for cause in causes if (given := parameters_for(runbook, one, cause)) != variants[0][1]
    ]
    for mark, params in variants:
        base = {"snapshot": f"{SNAPSHOTS}/{id_}.tar.gz", "scenario": id_, "params": params}
        async for name, more, run in _answered(runbook, base, {}, tools, 0):
            yield _found(
                runbook,
                f"{id_}{mark if mark and len(causes) > 1 else '-object' if mark else ''}{name}",
                {**base, **more},
                run,
            )
            for step in _unknowable(runbook, run):
                denied = {**more, "denied": (step,)}
                refused = await _play(runbook, {**base, **denied}, tools)
                if refused is not None:
                    yield _found(runbook, f"{id_}{name}-without-{step}", {**base, **denied}, refused)
            if run.end is not None and run.end.ended == "proposed":
                later = {**more, "then_on": base["snapshot"]}
                after = await _play(runbook, {**base, **later}, tools, tools)
                if after is not None:
                    yield _found(runbook, f"{id_}{name}-not-mended", {**base, **later}, after)


async def _answered(
    runbook: Runbook, base: Mapping[str, Any], given: Mapping[str, Any], tools: Tools, depth: int
) -> Any:
    """A run, and where it asks, what follows each answer."""
    run = await _play(runbook, {**base, "answers": given}, tools)
    if run is None:
        return
    name = "".join(f"-{_word(key)}-{_word(value)}" for key, value in given.items())
    yield name, ({"answers": dict(given)} if given else {}), run
    if run.end is None or run.end.ended != "waiting" or depth >= _DEEPEST:
        return
    step = run.runbook.step(run.at)
    if isinstance(step, Ask):
        for value in _answers(step, run):
            async for more in _answered(runbook, base, {**given, step.answer.name: value}, tools, depth + 1):
                yield more


def _answers(step: Ask, run: Run) -> Sequence[Any]:
    if step.answer.choices:
        return step.answer.choices
    if step.answer.type == "boolean":
        return True, False
    if step.answer.name == "container":
        return sorted(set(_containers(run.results)))[:1]
    return _SAID.get(step.answer.name, ())


def _containers(value: Any) -> Iterator[str]:
    """Names of the containers of templates that a run has read."""
    if isinstance(value, list):
        for one in value:
            yield from _containers(one)
    elif isinstance(value, dict):
        for key, one in value.items():
            if key == "containers" and isinstance(one, list):
                yield from (
                    each["name"] for each in one if isinstance(each, dict) and isinstance(each.get("name"), str)
                )
            yield from _containers(one)


def _unknowable(runbook: Runbook, run: Run) -> Iterator[str]:
    for one in run.visited:
        if isinstance(runbook.step(one.id), Check):
            yield one.id


async def _play(runbook: Runbook, fields: Mapping[str, Any], tools: Tools, later: Tools | None = None) -> Run | None:
    case = Case.model_validate({"must_reach": ["any"], "ends": "concluded", "cause": NONE, **fields})
    try:
        return await play(runbook, case, tools, later)
    except UsageError:
        return None


def _found(runbook: Runbook, name: str, fields: Mapping[str, Any], run: Run) -> Found:
    assert run.end is not None
    reached = [one.id for one in run.visited]
    if run.end.ended == "waiting":
        reached.append(run.at)
    deciding = [id_ for id_ in reached[:-1] if isinstance(runbook.step(id_), Decide) or id_ in fields.get("denied", ())]
    acts = [placed.step.id for placed in runbook.steps if isinstance(placed.step, Act)]
    case = Case.model_validate(
        {
            **fields,
            "must_reach": [*deciding, reached[-1]],
            "must_not_reach": [id_ for id_ in acts if id_ not in reached],
            "ends": run.end.ended,
            "cause": cause_of(run),
        }
    )
    return Found(_word(name), case, run, frozenset(taken(runbook, run.visited)))


def _against(runbook: Runbook, one: Scenario, found: Found) -> str | None:
    """How a run says otherwise than its scenario. Who may not look may end in none, but in nothing else."""
    fits, cause, end = fitting(runbook, one), found.case.cause, found.case.ends
    if end == "verified" and found.case.then_on == found.case.snapshot:
        return f"{' > '.join(visited.id for visited in found.run.visited)}: verified, though nothing was mended"
    if cause == NONE and (not fits or found.case.denied or end in ("inconclusive",)):
        return None
    if cause in fits or _said_by_a_person(runbook, found.run):
        return None
    if cause == NONE and not set(one.expect.root_causes) & fits:
        return None  # acceptable is not wanted
    path = " > ".join(one.id for one in found.run.visited)
    return f"{path}: {end} in {cause}, where {', '.join(sorted(fits)) or 'none of its causes'} is right"


def _said_by_a_person(runbook: Runbook, run: Run) -> bool:
    """Whether a decision went by an answer: what no recording holds may be so or otherwise."""
    for one in run.visited:
        step = runbook.step(one.id)
        if isinstance(step, Decide):
            whens = [branch.when for branch in step.decide if branch.reading == one.outcome]
            if any("answers." in when and "steps." not in when for when in whens):
                return True
    return False


def _chosen(runbook: Runbook, found: Sequence[Found], alike: Collection[str]) -> list[Found]:
    chosen: list[Found] = []
    left = set().union(*(one.ways for one in found)) if found else set()
    plain = [one for one in found if not one.case.denied and one.case.then_on is None]

    def take(one: Found) -> None:
        chosen.append(one)
        left.difference_update(one.ways)

    for cause in (*runbook.causes, NONE):
        fits = [one for one in plain if one.case.cause == cause and one.case.ends != "inconclusive"]
        if cause == NONE and (looks := [one for one in fits if one.case.scenario in alike]):
            fits = looks
        if fits:
            take(max(fits, key=lambda one: (len(one.ways & left), one.case.ends != "waiting", -len(one.name))))
    while left:
        held = {one.case.snapshot for one in chosen}
        best = max(
            found,
            key=lambda one: (len(one.ways & left), one.case.snapshot in held, not one.case.denied, -len(one.name)),
        )
        if not best.ways & left:
            break
        take(best)
    return chosen


def imitating(runbook: Runbook, one: Scenario) -> bool:
    """Whether a scenario looks like a cause of a runbook without being one."""
    return any(cause in CAUSES and CAUSES[cause].runbook == runbook.slug for cause in one.expect.must_not)


def _word(value: object) -> str:
    text = "".join(letter if letter.isalnum() else "-" for letter in str(value).lower())
    return "-".join(part for part in text.split("-") if part)[:90]
