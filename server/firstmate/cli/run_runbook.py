"""`firstmate runbooks run`: carries out the steps of a runbook, for a person at a terminal or for a script.

Prints each step when it was taken, then how the run ended. Tools are asked as in every other call; nothing is changed.
Exit codes: 0 it ended without a finding (concluded none, verified), 1 a cause was found, a fix is proposed or people
are called, 2 usage or configuration, 3 inconclusive, waiting or unreachable.
"""

import asyncio
import sys
from collections.abc import Mapping
from typing import Annotated, Any, cast

import typer

from firstmate.answers import plain
from firstmate.cli.options import Config, Context, Flags, Kubeconfig, Namespace, Output, Snapshot, given
from firstmate.runbooks.drive import drive
from firstmate.runbooks.given import CLUSTER, answers, parameters
from firstmate.runbooks.outcome import End, Visited
from firstmate.runbooks.runner import Run, begin
from firstmate_tools.errors import UsageError

Param = Annotated[
    list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="A parameter of the runbook. Repeatable.")
]
Answers = Annotated[
    list[str] | None, typer.Option("--answer", metavar="NAME=VALUE", help="An answer to a question of it. Repeatable.")
]
From = Annotated[str | None, typer.Option("--from", metavar="ID", help="The step to begin at, such as a verify.")]


def run(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Slug, or cause.")],
    param: Param = None,
    answer: Answers = None,
    start: From = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    snapshot: Snapshot = None,
    namespace: Namespace = None,
    format: Output = None,
    config: Config = None,
) -> None:
    flags = given(
        ctx,
        context=context,
        kubeconfig=kubeconfig,
        snapshot=snapshot,
        namespace=namespace,
        format=format,
        config=config,
    )
    from firstmate.runbooks.library import library

    runbook = library().find(name)
    params = _pairs(param, "--param")
    cluster = params.pop(CLUSTER, None)
    if flags.namespace is not None and any(one.name == "namespace" for one in runbook.block.parameters):
        params.setdefault("namespace", flags.namespace)
    told = answers(runbook, _pairs(answer, "--answer"))
    state = begin(runbook, parameters(runbook, params), told, start)
    asyncio.run(_run(flags, state, cluster, quiet=flags.format == "json"))
    assert state.end is not None
    if flags.format == "json":
        from firstmate.answers import pretty

        typer.echo(pretty(_tree(state)))
    else:
        from firstmate.cli.show_run import ending

        for line in ending(state.end):
            typer.echo(line)
    sys.exit(code_of(state.end))


def code_of(end: End) -> int:
    """The exit code of a run; see above."""
    if end.ended == "verified" or (end.ended == "concluded" and end.cause == "none"):
        return 0
    return 1 if end.ended in ("concluded", "proposed", "escalated") else 3


async def _run(flags: Flags, state: Run, cluster: str | None, *, quiet: bool) -> None:
    from firstmate.calls import Asking
    from firstmate.cli.asking import asking, waiting
    from firstmate.cli.show_run import step

    def tell(one: Visited) -> None:
        if not quiet:
            for line in step(one):
                typer.echo(line)

    async with asking(flags) as calls:
        tools = Asking(calls)
        with waiting(f"{state.runbook.slug} …"):
            await drive(state, lambda tool, given: tools.ask(tool, given, cluster), asyncio.sleep, told=tell)


def _tree(state: Run) -> Mapping[str, Any]:
    assert state.end is not None
    ended = state.end.model_dump(mode="python", exclude_none=True)
    visited = [one.model_dump(mode="python", exclude_none=True) for one in state.visited]
    return cast("Mapping[str, Any]", plain({"slug": state.runbook.slug, **ended, "visited": visited}))


def _pairs(given: list[str] | None, flag: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in given or []:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"{flag} {pair[:100]!r} is no NAME=VALUE.", f"Such as {flag} namespace=shop.")
        found[name] = value
    return found
