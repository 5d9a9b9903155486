"""`firstmate runbooks run`: carries out the steps of a runbook, for a person at a terminal or for a script.

Prints each step when it was taken, then how the run ended. Tools are asked as in every other call; nothing is changed.
Exit codes: 0 it ended without a finding (concluded none, verified), 1 a cause was found, a fix is proposed or people
are called, 2 usage or configuration, 3 inconclusive, waiting or unreachable.
"""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from firstmate.answers import plain
from firstmate.cli.options import Config, Context, Flags, Kubeconfig, Namespace, Output, Runbooks, Snapshot, given
from firstmate.runbooks.drive import drive
from firstmate.runbooks.given import CLUSTER, answers, parameters
from firstmate.runbooks.outcome import End, Visited
from firstmate.runbooks.runner import Run, begin
from firstmate_tools.errors import UsageError

if TYPE_CHECKING:
    from firstmate.calls import Asking

Param = Annotated[
    list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="A parameter of the runbook. Repeatable.")
]
Answers = Annotated[
    list[str] | None, typer.Option("--answer", metavar="NAME=VALUE", help="An answer to a question of it. Repeatable.")
]
Handle = Annotated[str | None, typer.Option("--handle", metavar="HANDLE", help="Go on with a run that has begun.")]
From = Annotated[str | None, typer.Option("--from", metavar="ID", help="The step to begin at, such as a verify.")]


def run(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Slug, or cause.")],
    param: Param = None,
    answer: Answers = None,
    start: From = None,
    handle: Handle = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    snapshot: Snapshot = None,
    namespace: Namespace = None,
    format: Output = None,
    config: Config = None,
    runbooks: Runbooks = None,
) -> None:
    flags = given(
        ctx,
        context=context,
        kubeconfig=kubeconfig,
        snapshot=snapshot,
        namespace=namespace,
        format=format,
        config=config,
        runbooks=runbooks,
    )
    if handle is not None and (param or start is not None):
        raise UsageError("--handle goes with neither --param nor --from: the run that it belongs to has begun.")
    wanted = _Wanted(name, _pairs(param, "--param"), _pairs(answer, "--answer"), start, handle)
    state, going_on = asyncio.run(_run(flags, wanted))
    assert state.end is not None
    if flags.format == "json":
        from firstmate.answers import pretty

        typer.echo(pretty(_tree(state, going_on)))
    else:
        from firstmate.cli.show_run import ending

        for line in ending(state.end, state.runbook.slug, going_on):
            typer.echo(line)
    sys.exit(code_of(state.end))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the command line says of the run."""

    name: str
    params: dict[str, Any]
    answers: dict[str, Any]
    start: str | None
    handle: str | None


def code_of(end: End) -> int:
    """The exit code of a run; see above."""
    if end.ended == "verified" or (end.ended == "concluded" and end.cause == "none"):
        return 0
    return 1 if end.ended in ("concluded", "proposed", "escalated") else 3


async def _run(flags: Flags, wanted: _Wanted) -> tuple[Run, str | None]:
    """The run at its end, and the handle with which to go on, where there is more to come."""
    from firstmate.calls import Asking
    from firstmate.cli.asking import asking, waiting
    from firstmate.cli.show_run import step

    def tell(one: Visited) -> None:
        if flags.format != "json":
            for line in step(one):
                typer.echo(line)

    async with asking(flags, lasting=True) as calls:
        tools = Asking(calls)
        state, cluster = _begun(flags, wanted, tools)

        async def ask(tool: str, arguments: Mapping[str, object]) -> dict[str, Any]:
            return await tools.ask(tool, arguments, cluster)

        with waiting(f"{state.runbook.slug} …"):
            await drive(state, ask, asyncio.sleep, told=tell)
        return state, _sealed(state, cluster, tools)


def _begun(flags: Flags, wanted: _Wanted, tools: "Asking") -> tuple[Run, str]:
    if wanted.handle is not None:
        state, cluster = tools.handles.open(wanted.handle, tools.runbooks.get)
        if tools.runbooks.find(wanted.name).slug != state.runbook.slug:
            raise UsageError(f"This handle belongs to the runbook {state.runbook.slug}.", "Name that one.")
        state.answers.update(answers(state.runbook, wanted.answers))
        return state, tools.cluster(cluster)
    runbook, params = tools.runbooks.find(wanted.name), dict(wanted.params)
    named = params.pop(CLUSTER, None)
    if flags.namespace is not None and any(one.name == "namespace" for one in runbook.block.parameters):
        params.setdefault("namespace", flags.namespace)
    told = answers(runbook, wanted.answers)
    return begin(runbook, parameters(runbook, params), told, wanted.start), tools.cluster(named)


def _sealed(state: Run, cluster: str, tools: "Asking") -> str | None:
    from firstmate.runbooks.handle import TooLargeError

    if state.end is None or state.end.ended not in ("waiting", "proposed"):
        return None
    try:
        return tools.handles.seal(state, cluster)
    except TooLargeError:
        return None


def _tree(state: Run, handle: str | None) -> Mapping[str, Any]:
    assert state.end is not None
    ended = state.end.model_dump(mode="python", exclude_none=True)
    visited = [one.model_dump(mode="python", exclude_none=True) for one in state.visited]
    return cast("Mapping[str, Any]", plain({"slug": state.runbook.slug, **ended, "visited": visited, "handle": handle}))


def _pairs(given: list[str] | None, flag: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in given or []:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"{flag} {pair[:100]!r} is no NAME=VALUE.", f"Such as {flag} namespace=shop.")
        found[name] = value
    return found
