"""`firstmate runbooks …`: what this installation brings. `run_runbook.py` runs it, `search_runbooks.py` searches it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstmate.cli.lintrunbooks import lint
from firstmate.cli.options import Config, Context, Format, Kubeconfig, Output, Runbooks, Snapshot, given

if TYPE_CHECKING:
    from firstmate.runbooks.library import Library


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="List, read and run runbooks.", no_args_is_help=True)
    group.command("list", help="All runbooks, with the causes that they are for.")(list_)
    group.command("show", help="One runbook, by its slug or by a cause.")(show)
    group.command("lint", help="What is wrong with the runbooks, with file, line and how to mend it.")(lint)
    from firstmate.cli.run_runbook import run
    from firstmate.cli.search_runbooks import prepare, search
    from firstmate.cli.testrunbooks import test

    group.command("test", help="Play recorded cases of runbooks, and count which ways of their steps they take.")(test)
    group.command("run", help="Carry out the steps of a runbook, up to the fix that it proposes.")(run)
    group.command("search", help="Which runbook is for this? By names, error texts, words and meaning.")(search)
    group.command("prepare", help="Make what search needs ahead of its first question.")(prepare)
    app.add_typer(group, name="runbooks")


def list_(
    ctx: typer.Context,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    snapshot: Snapshot = None,
    format: Output = None,
    config: Config = None,
    runbooks: Runbooks = None,
) -> None:
    # Those that name a cluster are taken as everywhere, though none is asked.
    flags = given(
        ctx,
        context=context,
        kubeconfig=kubeconfig,
        snapshot=snapshot,
        format=format,
        config=config,
        runbooks=runbooks,
    )
    library = flags.library()
    rows: list[dict[str, Any]] = [
        {"slug": one.slug, "title": one.title, "causes": list(one.causes), **_origin(library, one.slug)}
        for one in library.every()
    ]
    _print_list(rows, flags.format)


def _origin(library: "Library", slug: str) -> dict[str, Any]:
    """Where a runbook comes from, and what it stands in for."""
    found = library.provenance(slug)
    replaced = ["bundled" if library.bundled(folder) else str(folder) for folder in found.replaces]
    origin = "bundled" if found.bundled else str(found.folder)
    return {"origin": origin, **({"replaces": replaced} if replaced else {})}


def _print_list(rows: Sequence[dict[str, Any]], format: Format | None) -> None:
    if format == "json":
        from firstmate.answers import pretty

        typer.echo(pretty(rows))
        return
    if format == "markdown":
        for row in rows:
            typer.echo(f"- `{row['slug']}`: {row['title']} ({', '.join(row['causes'])}){_from(row)}")
        return
    from rich.table import Table

    from firstmate.cli.show_diagnosis import console

    table = Table("slug", "title", "causes", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(row["slug"], row["title"] + _from(row), "\n".join(row["causes"]))
    console().print(table)


def _from(row: dict[str, Any]) -> str:
    """What is said of a runbook that firstmate does not bring."""
    if row["origin"] == "bundled":
        return ""
    return f", from {row['origin']}" + (f", in place of {', '.join(row['replaces'])}" if "replaces" in row else "")


def show(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Slug, or cause.")],
    format: Output = None,
    config: Config = None,
    runbooks: Runbooks = None,
) -> None:
    import sys

    flags = given(ctx, format=format, config=config, runbooks=runbooks)
    chosen, library = flags.format, flags.library()
    found = library.find(name)
    if chosen == "json":
        from firstmate.answers import pretty
        from firstmate.runbooks.steps import written

        block = found.block.model_dump(mode="json", exclude_none=True)
        front = {"slug": found.slug, "title": found.title, "description": found.front.description}
        steps = [written(placed.step) for placed in found.steps]
        typer.echo(pretty({**front, **_origin(library, found.slug), **block, "text": found.text, "steps": steps}))
    elif chosen == "markdown" or not sys.stdout.isatty():
        typer.echo(found.text, nl=False)
    else:
        from rich.markdown import Markdown

        from firstmate.cli.show_diagnosis import console

        console().print(Markdown(found.text))
