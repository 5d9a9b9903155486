"""`firstmate demo`: a broken shop cluster, bundled as a recording, diagnosed through a real MCP client.

Spawns `firstmate serve --snapshot demo` and speaks MCP to it over stdio, as an IDE would: nothing here takes a
shortcut past the protocol.
"""

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstmate.answers import Tree

if TYPE_CHECKING:
    from rich.console import Console

_MOST_WIDTH = 100


def register(app: typer.Typer) -> None:
    app.command("demo", help="Diagnose a bundled, broken cluster through a real MCP client.")(demo)


def demo(
    ctx: typer.Context,
    snapshot: Annotated[
        str, typer.Option("--snapshot", metavar="FILE", help="Another recording than the bundled one.")
    ] = "demo",
) -> None:
    from firstmate.clusters import snapshot_path

    snapshot_path(snapshot)  # a clear error, before anything is spawned
    from firstmate.mcp import quickstart

    quickstart.load()
    import anyio

    anyio.run(_run, snapshot)


async def _run(snapshot: str) -> None:
    from mcp.client import Client
    from mcp.client.stdio import StdioServerParameters
    from rich.rule import Rule

    from firstmate.cli.config import executable
    from firstmate.cli.show_diagnosis import console, parts, show_all

    out = console()
    out.width = min(out.width, _MOST_WIDTH)
    command, *arguments = executable()
    arguments += ["serve", "--snapshot", snapshot]
    out.print(Rule("firstmate demo", style="dim"))
    out.print(f"An MCP client starts `firstmate {' '.join(arguments[-3:])}` and speaks to it over stdio …", style="dim")
    started = time.monotonic()
    async with Client(StdioServerParameters(command=command, args=arguments)) as client:
        tools = await client.list_tools()
        out.print(
            f"connected after {time.monotonic() - started:.1f} s: MCP {client.protocol_version}, "
            f"{len(tools.tools)} tools; calls diagnose",
            style="dim",
        )
        started = time.monotonic()
        found = await _call(client, "diagnose", {})
        out.print(f"answered after {time.monotonic() - started:.1f} s", style="dim")
        out.print()
        show_all(out, parts(found, ["--snapshot", snapshot]))
        await _runbook(out, client, found)
    _connect(out)


async def _call(client: Any, tool: str, arguments: dict[str, Any]) -> Tree:
    """A tool's structured content, as a client of ours shows it: without the fence."""
    from firstmate.mcp.egress import unfenced
    from firstmate_tools.errors import FailedReadError

    result = await client.call_tool(tool, arguments)
    if result.is_error:
        raise FailedReadError(f"{tool}: {result.content[0].text}")
    return unfenced(result.structured_content)


async def _runbook(out: "Console", client: Any, found: Tree) -> None:
    """The beginning of the runbook that fits the first root cause."""
    from rich.markdown import Markdown
    from rich.padding import Padding
    from rich.rule import Rule

    from firstmate.cli.show_diagnosis import show_all

    if not found.get("root_causes"):
        return
    slug = found["root_causes"][0]["runbook"]
    book = await _call(client, "get_runbook", {"runbook": slug})
    first, *others = book["text"].split("\n## ")[1:]
    begins = first.partition("\n")[2].strip()
    out.print()
    out.print(Rule(f"its runbook: {slug}", style="dim"))
    out.print(f"  {book['title']}", style="bold")
    show_all(out, [Padding(Markdown(begins), (0, 2))])
    out.print(f"  then: {' · '.join(part.partition(chr(10))[0] for part in others)}", style="dim")
    out.print(f"  all of it: firstmate runbooks show {slug}", style="dim")


def _connect(out: "Console") -> None:
    from rich.padding import Padding
    from rich.rule import Rule
    from rich.text import Text

    from firstmate.cli.clients import CLIENTS
    from firstmate.cli.config import executable

    out.print()
    out.print(Rule("your own cluster, in your IDE", style="dim"))
    command, *arguments = executable()
    by_name = {one.name: one for one in CLIENTS}
    claude = by_name["claude-code"].command
    if claude is not None:
        out.print(f"Claude Code   {claude(command, [*arguments, 'serve'])}", soft_wrap=True)
    others = ", ".join(name for name in by_name if name != "claude-code")
    out.print("Others        firstmate config CLIENT")
    out.print(Padding(Text(others, style="dim"), (0, 0, 0, 14)))
    out.print("In a shell    firstmate diagnose (asks the current context of your kubeconfig)")
    sys.stdout.flush()
