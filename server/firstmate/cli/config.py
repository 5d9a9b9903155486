"""`firstmate config CLIENT`: what to write into an MCP client's settings. Prints it; changes nothing."""

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from firstmate.cli.clients import CLIENTS, Client
from firstmate.cli.options import Config, Context, Flags, Kubeconfig, Output, Snapshot, given
from firstmate.nearest import nearest
from firstmate_tools.errors import UsageError


def register(app: typer.Typer) -> None:
    app.command("config", help="Print the configuration for an MCP client, such as an IDE.")(config_)


def config_(
    ctx: typer.Context,
    client: Annotated[str | None, typer.Argument(help=f"One of: {', '.join(c.name for c in CLIENTS)}.")] = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    snapshot: Snapshot = None,
    format: Output = None,
    config: Config = None,
) -> None:
    flags = given(ctx, context=context, kubeconfig=kubeconfig, snapshot=snapshot, format=format, config=config)
    live = [flag for flag in ("--context", "--kubeconfig") if flag in flags.which_cluster()[::2]]
    if flags.snapshot is not None and live:
        raise UsageError(f"--snapshot and {live[0]} exclude each other.", "Give one of them.")
    if client is None:
        for one in CLIENTS:
            typer.echo(f"{one.name:15} {one.title}")
        return
    found = _client(client)
    command, *arguments = executable()
    arguments += ["serve", *_absolute(flags)]
    text = found.shape(command, arguments)
    if flags.format == "json":
        from firstmate.answers import pretty

        added = found.command(command, arguments) if found.command else None
        rows = {"client": found.name, "where": found.where, "configuration": text, "command": added}
        typer.echo(pretty({name: value for name, value in rows.items() if value is not None}))
        return
    # Only the configuration goes to stdout, so that it can be redirected into a file.
    sys.stderr.write(f"{found.title}: {found.where}\n")
    typer.echo(text)
    if found.command is not None:
        sys.stderr.write(f"or run: {found.command(command, arguments)}\n")


def _client(name: str) -> Client:
    wanted = name.lower().replace(" ", "-").replace("_", "-")
    for one in CLIENTS:
        if wanted in (one.name, one.name.replace("-", ""), one.title.lower().replace(" ", "-")):
            return one
    near = nearest(wanted, [one.name for one in CLIENTS])
    hint = f"Did you mean `{near}`?" if near else f"There are: {', '.join(one.name for one in CLIENTS)}."
    raise UsageError(f"No configuration for a client {name[:100]!r} is known.", hint)


def executable() -> list[str]:
    """The absolute command that starts firstmate, as clients have another PATH than shells."""
    beside = Path(sys.executable).parent / ("firstmate.exe" if sys.platform == "win32" else "firstmate")
    if beside.is_file():
        return [str(beside)]
    if found := shutil.which("firstmate"):
        return [str(Path(found).absolute())]
    return [sys.executable, "-m", "firstmate"]


def _absolute(flags: Flags) -> list[str]:
    """The flags that name the cluster, with paths that hold in any working directory."""
    words: list[str] = []
    for flag, value in zip(flags.which_cluster()[::2], flags.which_cluster()[1::2], strict=True):
        if flag == "--kubeconfig":
            value = os.pathsep.join(str(Path(one).expanduser().absolute()) for one in value.split(os.pathsep))
        elif flag != "--context" and (flag, value) != ("--snapshot", "demo"):
            value = str(Path(value).expanduser().absolute())
        words += [flag, value]
    return words
