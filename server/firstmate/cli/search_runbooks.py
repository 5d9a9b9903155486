"""`firstmate runbooks search|prepare`: which runbook is for this, and making what search needs ahead of time.

A command lives for one question, so that it waits a moment for meaning to be loaded; what takes longer is made by
`prepare`, once, for instance where a container image is built.
"""

import asyncio
import sys
from collections.abc import Mapping
from typing import Annotated

import typer

from firstmate.answers import Tree
from firstmate.cli.options import Config, Context, Flags, Kubeconfig, Namespace, Output, Runbooks, Snapshot, given

WAIT_S = 2.0
"""Seconds for meaning to be loaded from what was prepared; a third of one is usual."""
_PREPARE_S = 600.0


def search(
    ctx: typer.Context,
    query: Annotated[str, typer.Argument(help="Error, event, alert or symptom; - reads standard input.")],
    limit: Annotated[int, typer.Option("--limit", help="At most so many.", min=1, max=20)] = 5,
    scope: Annotated[str | None, typer.Option("--scope", help="What the cluster shows there ranks, too.")] = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    snapshot: Snapshot = None,
    namespace: Namespace = None,
    runbooks: Runbooks = None,
    format: Output = None,
    config: Config = None,
) -> None:
    flags = given(
        ctx,
        context=context,
        kubeconfig=kubeconfig,
        snapshot=snapshot,
        namespace=namespace,
        runbooks=runbooks,
        format=format,
        config=config,
    )
    text = sys.stdin.read() if query == "-" else query
    arguments: dict[str, object] = {"query": text, "limit": limit, "scope": scope, "namespace": flags.namespace}
    found = asyncio.run(_ask(flags, {name: value for name, value in arguments.items() if value is not None}))
    if flags.format == "json":
        from firstmate.answers import pretty

        typer.echo(pretty(found))
    else:
        typer.echo("\n".join(_lines(found, bold="**" if flags.format == "markdown" else "")))


async def _ask(flags: Flags, arguments: Mapping[str, object]) -> Tree:
    from firstmate.answers import tree_of
    from firstmate.cli.asking import asking
    from firstmate.runbooks.search.engine import engine

    async with asking(flags) as calls:
        await asyncio.to_thread(engine(calls.runbooks).prepare, WAIT_S)
        return tree_of(await calls.call("search_runbooks", arguments))


def prepare(ctx: typer.Context, runbooks: Runbooks = None, config: Config = None) -> None:
    from firstmate.runbooks.search.engine import engine
    from firstmate.runbooks.search.store import folder

    ready = engine(given(ctx, runbooks=runbooks, config=config).library()).prepare(_PREPARE_S)
    what = "by words and by meaning" if ready else "by words; meaning needs: pip install 'firstmate[semantic]'"
    typer.echo(f"Search is ready {what}. What it needs lies in {folder()}.")


def _lines(found: Tree, bold: str) -> list[str]:
    lines: list[str] = []
    for hit in found.get("runbooks", []):
        lines.append(f"{bold}{hit['slug']}{bold}  {hit['title']}  ({hit['score']:.0%})")
        lines += [f"    {why}" for why in hit["why"]]
    if found["none_fits"]:
        lines.append(f"No runbook fits. {found['because']}")
        if found.get("near_misses"):
            lines.append("Near, and why not:")
        lines += [f"    {bold}{near['slug']}{bold}: {near['why_not']}" for near in found.get("near_misses", [])]
    lines.append(f"Searched {found['searched']}.")
    for left in found["coverage"].get("not_checked", []):
        lines.append(f"Not checked: {left['what']} ({left['why']}). {left.get('how_to_enable', '')}".rstrip())
    return lines
