"""`firstmate runbooks lint`: what is wrong with the bundled runbooks, or with those of a folder.

`runbooks.py` registers it. Exits 1 where something is wrong. Reads files only.
"""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstmate.cli.options import Output, given

if TYPE_CHECKING:
    from firstmate.runbooks.document import Runbook
    from firstmate.runbooks.lint.linting import Report, Surroundings


def lint(
    ctx: typer.Context,
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[DIR]...", help="Folders of runbooks; the bundled ones if left out.")
    ] = None,
    cases: Annotated[
        Path | None, typer.Option("--cases", metavar="DIR", help="Replay cases: evals/replay of a checkout.")
    ] = None,
    format: Output = None,
) -> None:
    from firstmate.runbooks.lint.linting import lint as check

    flags = given(ctx, format=format)
    paths, around = _surroundings(folders or [], cases)
    report = check(paths, around)
    _print(report, len(paths), flags.format)
    if report.complaints or report.uncovered:
        raise typer.Exit(1)


def _surroundings(folders: Sequence[Path], cases: Path | None) -> "tuple[list[Path], Surroundings]":
    from datetime import UTC, datetime

    from firstmate.runbooks.library import library, runbooks_folder
    from firstmate.runbooks.lint.linting import Surroundings
    from firstmate_tools.diagnosis.causes import CAUSES
    from firstmate_tools.errors import UsageError

    bundled = runbooks_folder()
    chosen = list(folders) or [bundled]
    for folder in chosen:
        if not folder.is_dir():
            raise UsageError(f"{folder} is no folder.", "Give one that holds <slug>/SKILL.md.")
    paths = sorted(path for folder in chosen for path in folder.glob("*/SKILL.md"))
    if not paths:
        raise UsageError(f"No runbook in {', '.join(map(str, chosen))}.", "A runbook is <slug>/SKILL.md in it.")
    complete = chosen == [bundled]
    root = bundled.parent if complete and (bundled.parent / "pyproject.toml").is_file() else None
    where = cases or (root / "evals" / "replay" if root else None)
    if cases is not None and not cases.is_dir():
        raise UsageError(f"{cases} is no folder.", "Give the one that holds the replay cases.")
    return paths, Surroundings(
        causes={slug: cause.runbook for slug, cause in CAUSES.items()},
        own=own_command,
        steps=_steps,
        replayed=_replayed(where),
        today=datetime.now(UTC).date(),
        root=root,
        others=frozenset() if complete else frozenset(library().slugs),
        complete=complete,
    )


def _replayed(cases: Path | None) -> Collection[str] | None:
    """The slugs that have a case; None where there is no folder of cases."""
    if cases is None or not cases.is_dir():
        return None
    return {path.parent.name for path in cases.glob("*/*.yaml")}


def _steps(runbook: "Runbook") -> Iterable[tuple[int, str, str]]:
    """What is wrong with its steps: line, what, how to mend it."""
    from firstmate.catalogue import all_tools
    from firstmate.runbooks.checks import problems
    from firstmate_tools.actions import ACTIONS
    from firstmate_tools.diagnosis.causes import CAUSES

    for problem in problems(runbook, all_tools(), CAUSES, ACTIONS):
        yield problem.line, problem.what, problem.mend or "mend the step"


def own_command(words: Sequence[str]) -> str | None:
    """What is wrong with the words after `firstmate`, None where nothing is: subcommands and options exist.

    Args:
        words: of a runbook's command.
    """
    from typer.main import get_command

    from firstmate.cli import app_of
    from firstmate.nearest import nearest

    command: Any = get_command(app_of())  # groups have commands, which the type of what is given does not say
    options: set[str] = set()
    takes_value: set[str] = set()
    rest = list(words)
    while True:
        for parameter in command.params:
            names: set[str] = {*parameter.opts, *parameter.secondary_opts}
            options |= {name for name in names if name.startswith("-")}
            if not getattr(parameter, "is_flag", False):
                takes_value |= names
        if not hasattr(command, "commands"):
            break
        while rest and rest[0].startswith("-"):
            flag = rest.pop(0)
            if flag in takes_value and rest:
                rest.pop(0)
        if not rest:
            return "the subcommand is missing"
        known: dict[str, Any] = command.commands
        if rest[0] not in known:
            near = nearest(rest[0], known)
            return f"there is no subcommand {rest[0]!r}" + (f"; `{near}`?" if near else "")
        command = known[rest.pop(0)]
    for word in rest:
        flag = word.partition("=")[0]
        if flag.startswith("-") and flag not in options | {"--help", "-h"} and not flag.lstrip("-").isdigit():
            near = nearest(flag, options)
            return f"there is no option {flag}" + (f"; `{near}`?" if near else "")
    return None


def _print(report: "Report", count: int, format: str | None) -> None:
    if format == "json":
        from firstmate.answers import pretty

        typer.echo(
            pretty(
                {
                    "runbooks": count,
                    "complaints": [
                        {"path": str(one.path), "line": one.line, "what": one.what, "mend": one.mend}
                        for one in report.complaints
                    ],
                    "causes_without_runbook": list(report.uncovered),
                    "without_steps": list(report.without_steps),
                    "reading": {
                        slug: {"words": one.words, "index": one.index, "commands": one.commands}
                        for slug, one in report.readings.items()
                    },
                }
            )
        )
        return
    for complaint in report.complaints:
        typer.echo(str(complaint))
    if report.uncovered:
        typer.echo(f"causes without a runbook: {', '.join(report.uncovered)}")
    words = sorted(one.words for one in report.readings.values()) or [0]
    index = sorted(one.index for one in report.readings.values()) or [0.0]
    middle = len(words) // 2
    hardest = max(report.readings.items(), key=lambda one: one[1].index, default=None)
    typer.echo(
        f"{count} runbooks: {words[middle]} words in the middle ({words[0]} to {words[-1]}), readability index "
        f"{index[middle]} in the middle" + (f", {hardest[1].index} at worst ({hardest[0]})" if hardest else "")
    )
    typer.echo(f"{len(report.without_steps)} without steps: {', '.join(report.without_steps) or 'none'}")
    typer.echo(f"{len(report.complaints)} complaints")
