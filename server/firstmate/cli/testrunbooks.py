"""`firstmate runbooks test`: plays the replay cases of runbooks, and counts which ways of their steps they take.

`runbooks.py` registers it. Exits 1 where a case fails, or less is covered than `--floor` asks. Reads files only.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstmate.cli.options import Config, Format, Output, Runbooks, given

if TYPE_CHECKING:
    from firstmate.runbooks.library import Library
    from firstmate.runbooks.replay.cases import Placed
    from firstmate.runbooks.replay.coverage import Way

Slugs = Annotated[
    list[str] | None, typer.Argument(metavar="[SLUG]...", help="Runbooks; all that have cases if left out.")
]
Cases = Annotated[
    Path | None, typer.Option("--cases", metavar="DIR", help="Replay cases: evals/replay of a checkout if left out.")
]
Floor = Annotated[
    float | None, typer.Option("--floor", min=0, max=1, help="Fail where a smaller share of all ways is taken.")
]


@dataclass(frozen=True, slots=True)
class Played:
    """One case that was played.

    Attributes:
        name: `<slug>/<case>`.
        path: ids of the steps that were visited.
        wrong: how it differs from what must be; empty where it passed.
    """

    name: str
    slug: str
    path: Sequence[str]
    wrong: Sequence[str]


@dataclass(slots=True)
class Tested:
    """What became of all cases.

    Attributes:
        ways: of each tested runbook, those that there are.
        taken: of each, those that a run took.
        without: runbooks with steps that no case is for.
    """

    played: list[Played] = field(default_factory=list[Played])
    ways: "dict[str, Sequence[Way]]" = field(default_factory=dict[str, "Sequence[Way]"])
    taken: "dict[str, set[Way]]" = field(default_factory=dict[str, "set[Way]"])
    without: list[str] = field(default_factory=list[str])

    @property
    def share(self) -> float:
        """Of all ways of the tested runbooks those that were taken."""
        there = sum(map(len, self.ways.values()))
        return sum(map(len, self.taken.values())) / there if there else 1.0


def test(
    ctx: typer.Context,
    slugs: Slugs = None,
    cases: Cases = None,
    floor: Floor = None,
    format: Output = None,
    config: Config = None,
    runbooks: Runbooks = None,
) -> None:
    flags = given(ctx, format=format, config=config, runbooks=runbooks)
    library = flags.library()
    for slug in slugs or ():
        library.get(slug)
    tested = asyncio.run(run_cases(_folder(cases), library, slugs or ()))
    _print(tested, flags.format)
    if any(one.wrong for one in tested.played):
        raise typer.Exit(1)
    if floor is not None and tested.share < floor:
        typer.echo(f"{tested.share:.1%} of all ways are taken, the floor is {floor:.1%}", err=True)
        raise typer.Exit(1)


def _folder(cases: Path | None) -> Path:
    from firstmate.runbooks.library import runbooks_folder
    from firstmate_tools.errors import UsageError

    folder = cases or runbooks_folder().parent / "evals" / "replay"
    if not folder.is_dir():
        raise UsageError(
            "There is no folder of replay cases here.", "Name one: --cases DIR, evals/replay of a checkout."
        )
    return folder


async def run_cases(folder: Path, library: "Library", slugs: Sequence[str] = ()) -> Tested:
    """Plays the cases of a folder.

    Args:
        folder: of the cases.
        library: of the runbooks.
        slugs: only of these; of all when left out.

    Raises:
        UsageError: a case cannot be read, or is for no runbook that there is.
    """
    from firstmate.runbooks.replay.cases import cases_in
    from firstmate.runbooks.replay.coverage import ways_of

    found = Tested()
    placed = cases_in(folder, slugs)
    for slug in sorted({one.slug for one in placed}):
        found.ways[slug], found.taken[slug] = ways_of(library.get(slug)), set()
    chosen = slugs or library.slugs
    found.without = [slug for slug in chosen if slug not in found.ways and library.get(slug).steps]
    # Cases of one snapshot follow each other, so that it is opened once and no more than a few are open.
    for name in dict.fromkeys(one.case.snapshot for one in placed):
        await _one_snapshot(folder, name, [one for one in placed if one.case.snapshot == name], library, found)
    found.played.sort(key=lambda one: one.name)
    return found


async def _one_snapshot(folder: Path, name: str, placed: "Sequence[Placed]", library: "Library", found: Tested) -> None:
    from contextlib import AsyncExitStack

    from firstmate.cli.recordings import tools_over
    from firstmate.runbooks.replay.coverage import taken
    from firstmate.runbooks.replay.playing import Remembered, differences, play
    from firstmate_tools.cluster.snapshot import SnapshotSource

    async with AsyncExitStack() as stack:
        held: dict[str, Remembered] = {}
        for named in dict.fromkeys([name, *(one.case.then_on for one in placed if one.case.then_on is not None)]):
            source = SnapshotSource("replay", folder / named)
            held[named] = Remembered(await stack.enter_async_context(tools_over(source)))
        for one in placed:
            later = held[one.case.then_on].ask if one.case.then_on is not None else None
            run = await play(library.get(one.slug), one.case, held[name].ask, later)
            path = [visited.id for visited in run.visited]
            found.played.append(Played(f"{one.slug}/{one.path.stem}", one.slug, path, differences(one.case, run)))
            found.taken[one.slug] |= taken(run.runbook, run.visited)


def _print(tested: Tested, format: Format | None) -> None:
    if format == "json":
        from firstmate.answers import pretty

        typer.echo(pretty(_tree(tested)))
        return
    for one in tested.played:
        typer.echo(f"{'FAIL' if one.wrong else 'pass'}  {one.name}: {' > '.join(one.path)}")
        for words in one.wrong:
            typer.echo(f"        {words}")
    for slug, ways in tested.ways.items():
        missing = [f"{id_}.{key}" for id_, key in ways if (id_, key) not in tested.taken[slug]]
        rest = f"; never: {', '.join(missing)}" if missing else ""
        typer.echo(f"{slug}: {len(ways) - len(missing)} of {len(ways)} ways{rest}")
    if tested.without:
        typer.echo(f"no case: {', '.join(tested.without)}")
    failed = sum(bool(one.wrong) for one in tested.played)
    typer.echo(
        f"{len(tested.played)} cases of {len(tested.ways)} runbooks, {failed} failed; "
        f"{tested.share:.1%} of all ways taken"
    )


def _tree(tested: Tested) -> Mapping[str, Any]:
    return {
        "cases": [
            {"case": one.name, "passed": not one.wrong, "path": list(one.path), "wrong": list(one.wrong)}
            for one in tested.played
        ],
        "runbooks": {
            slug: {
                "ways": len(ways),
                "taken": len(tested.taken[slug]),
                "never": [f"{id_}.{key}" for id_, key in ways if (id_, key) not in tested.taken[slug]],
            }
            for slug, ways in tested.ways.items()
        },
        "without_cases": tested.without,
        "share": round(tested.share, 4),
    }
