"""`python -m evals.replay`: records scenarios, drafts cases of runbooks from the recordings, and cuts what they read.

For whoever writes a runbook. Recordings (whole, some 300 KB each) lie in a folder of their own, outside of this one.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import typer
import yaml

from evals.lab.errors import LabError
from evals.lab.scenario import Scenario, load
from evals.replay.cutting import MOST_BYTES, cut, everything, without_system
from evals.replay.drafting import Drafted, fitting, imitating
from evals.replay.drafting import draft as draft_runbook
from evals.replay.noting import Notes, NotingSource
from firstmate.cli.recordings import tools_over
from firstmate.runbooks.document import Runbook
from firstmate.runbooks.library import library
from firstmate.runbooks.replay.cases import SNAPSHOTS, Case, Placed, cases_in
from firstmate.runbooks.replay.playing import Remembered, play
from firstmate.runbooks.runner import Run
from firstmate.runbooks.steps import Decide
from firstmate_tools.cluster.snapshot import SnapshotSource
from firstmate_tools.diagnosis.causes import CAUSES

HERE = Path(__file__).parent
SCENARIOS = HERE.parent / "scenarios"
app = typer.Typer(help=__doc__, no_args_is_help=True)
Recordings = Annotated[Path, typer.Option(help="A folder of <scenario>.tar.gz.", file_okay=False)]
_FITTING, _IMITATING, _NAMED, _OTHERS = 10, 5, 2, 1
"""Recordings of each sort that one runbook is drafted from."""


@app.command()
def record(
    scenarios: Annotated[list[str], typer.Argument(help="Ids of scenarios.")],
    recordings: Recordings,
    slug: Annotated[list[str] | None, typer.Option(help="Draft cases of this runbook from them, too.")] = None,
) -> None:
    """Set scenarios up in a lab and record them."""
    from evals.lab.run import record_many

    recordings.mkdir(parents=True, exist_ok=True)
    record_many({SCENARIOS / one: recordings / f"{one}.tar.gz" for one in scenarios})
    for one in scenarios:
        typer.echo(f"{recordings / one}.tar.gz")
    if slug:
        draft(slug, recordings)


@app.command()
def draft(
    slugs: Annotated[list[str], typer.Argument(help="Runbooks; `all` for every one with steps.")],
    recordings: Recordings,
) -> None:
    """Write cases that take every way that any run takes, and print what they reached: read it before you commit."""
    known = {path.name.removesuffix(".tar.gz"): path for path in sorted(recordings.glob("*.tar.gz"))}
    scenarios = {id_: load(SCENARIOS / id_) for id_ in known if (SCENARIOS / id_ / "scenario.yaml").is_file()}
    chosen = [one for one in library().every() if one.steps and (one.slug in slugs or "all" in slugs)]
    asyncio.run(_draft(chosen, scenarios, known))
    typer.echo("now: python -m evals.replay cut")


@app.command(name="cut")
def cut_all(
    recordings: Recordings,
    slugs: Annotated[list[str] | None, typer.Argument(help="Runbooks; all if left out.")] = None,
) -> None:
    """Cut the snapshots of cases again, after cases or runbooks have changed."""
    _cut(recordings, slugs or ())


async def _draft(runbooks: Sequence[Runbook], scenarios: Mapping[str, Scenario], known: Mapping[str, Path]) -> None:
    async with AsyncExitStack() as stack:
        held: dict[str, Remembered] = {}  # many runbooks look at the same recording, and ask the same first question
        for runbook in runbooks:
            wanted = list(_of_interest(runbook, scenarios))
            for id_ in wanted:
                if id_ not in held:
                    source = SnapshotSource("replay", known[id_])
                    held[id_] = Remembered(await stack.enter_async_context(tools_over(source)))
            _write(runbook, await draft_runbook(runbook, {id_: (scenarios[id_], held[id_].ask) for id_ in wanted}))


def _write(runbook: Runbook, drafted: Drafted) -> None:
    for words in drafted.against:
        typer.echo(f"AGAINST {words}")
    folder = HERE / runbook.slug
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.yaml"):
        old.unlink()
    for one in drafted.chosen:
        (folder / f"{one.name}.yaml").write_text(written(one.case))
        path = " > ".join(visited.id for visited in one.run.visited)
        typer.echo(f"{runbook.slug}/{one.name}: {path}: {one.case.ends} in {one.case.cause}")


def _of_interest(runbook: Runbook, scenarios: Mapping[str, Scenario]) -> Iterable[str]:
    """Scenarios of its causes (of each cause some), those that imitate them, that its decisions name, and others."""
    found: dict[str, None] = {}
    for cause in runbook.causes:
        mine = [id_ for id_, one in scenarios.items() if cause in one.expect.root_causes]
        found |= dict.fromkeys(mine[:_FITTING])
    for cause in _looked_for(runbook):
        named = [id_ for id_, one in scenarios.items() if cause in one.expect.root_causes and id_ not in found]
        found |= dict.fromkeys(named[:_NAMED] if cause not in runbook.causes else ())
    like = [id_ for id_, one in scenarios.items() if imitating(runbook, one) and not fitting(runbook, one)]
    healthy = [id_ for id_, one in scenarios.items() if one.expect.healthy and id_ not in like]
    known = {*_looked_for(runbook), *runbook.causes}
    strange = [
        id_ for id_, one in scenarios.items() if one.expect.root_causes and not known & {*one.expect.root_causes}
    ]
    found |= dict.fromkeys([*like[:_IMITATING], *healthy[:_OTHERS], *strange[:_OTHERS]])
    return found


def _looked_for(runbook: Runbook) -> Iterable[str]:
    """Every cause that a decision names, by itself or by its runbook, in any way."""
    whens = [branch.when for one in runbook.steps if isinstance(one.step, Decide) for branch in one.step.decide]
    words = {word for when in whens for word in re.findall(r"'([a-z0-9-]+)'", when)}
    return sorted(slug for slug, cause in CAUSES.items() if slug in words or cause.runbook in words)


def written(case: Case) -> str:
    """A case as its file has it."""
    fields = case.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return yaml.safe_dump(fields, sort_keys=False, width=120, allow_unicode=True)


def _cut(recordings: Path, slugs: Sequence[str]) -> None:
    placed = cases_in(HERE, held=False)
    (HERE / SNAPSHOTS).mkdir(exist_ok=True)
    wanted = {name for one in placed for name in (one.case.snapshot, one.case.then_on) if name is not None}
    for old in (HERE / SNAPSHOTS).glob("*.tar.gz"):
        if f"{SNAPSHOTS}/{old.name}" not in wanted:
            old.unlink()
    chosen = {
        name
        for one in placed
        if not slugs or one.slug in slugs
        for name in (one.case.snapshot, one.case.then_on)
        if name
    }
    total = 0
    for name in sorted(chosen):
        mine = [one for one in placed if name in (one.case.snapshot, one.case.then_on)]
        size = asyncio.run(_cut_one(recordings, HERE / name, mine))
        total += size
        if size > MOST_BYTES:
            typer.echo(f"{name}: {size} bytes, at most {MOST_BYTES} are wanted", err=True)
    typer.echo(f"{len(chosen)} snapshots, {total} bytes")


async def _cut_one(recordings: Path, to: Path, placed: Sequence[Placed]) -> int:
    whole = recordings / to.name
    if not whole.is_file():
        raise LabError(f"{whole} is not there: record it")
    notes = Notes()
    runs = await _played(NotingSource("replay", whole), placed, notes)
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / to.name
        cut(whole, trial, notes, without_system)
        same = await _played(SnapshotSource("replay", trial), placed) == runs
    size = cut(whole, to, notes, without_system if same else everything)
    if not same and await _played(SnapshotSource("replay", to), placed) != runs:
        raise LabError(f"{to.name}: a run over the cut snapshot differs from the one over the whole")
    return size


async def _played(source: SnapshotSource, placed: Sequence[Placed], notes: Notes | None = None) -> list[object]:
    """The runs of some cases over one snapshot, as data that can be compared."""
    async with tools_over(source) as tools:
        remembered = Remembered(tools)
        runs = []
        for one in placed:
            later = remembered.ask if one.case.then_on is not None else None
            runs.append(_compared(await play(library().get(one.slug), one.case, remembered.ask, later)))
    if notes is not None and isinstance(source, NotingSource):
        notes.lists, notes.logs, notes.texts = source.notes.lists, source.notes.logs, source.notes.texts
        notes.questions = source.notes.questions
    return runs


def _compared(run: Run) -> object:
    assert run.end is not None
    return [one.model_dump() for one in run.visited], run.end.model_dump(), run.results


if __name__ == "__main__":
    app()
