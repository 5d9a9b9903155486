"""`firstmate serve`: the MCP server, over stdio for an IDE or over HTTP for bots.

The only command that imports the MCP SDK, besides `demo`. With stdio, stdout belongs to the protocol.
"""

import json
import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from firstmate.cli.options import Config, Context, Kubeconfig, Runbooks, Snapshot, given
from firstmate.settings import Settings

if TYPE_CHECKING:
    from firstmate.audit import Trail
    from firstmate.mcp.server import FirstmateServer
    from firstmate_tools.cluster.base import ClusterSet

Transport = Annotated[Literal["stdio", "http"], typer.Option("--transport", help="stdio, or streamable HTTP.")]
Host = Annotated[str | None, typer.Option("--host", help="HTTP: address to listen on.", show_default="127.0.0.1")]
Port = Annotated[
    int | None,
    typer.Option("--port", min=0, max=65535, help="HTTP: port; 0 takes a free one.", show_default="8765"),
]
AllowedHost = Annotated[
    list[str] | None,
    typer.Option("--allowed-host", metavar="NAME", help="HTTP: a Host name to accept beside loopback's. Repeatable."),
]
Toolsets = Annotated[
    str | None,
    typer.Option("--toolsets", metavar="NAMES", help="Sets of tools, with commas; or `all`.", show_default="default"),
]
Unauthenticated = Annotated[
    bool,
    typer.Option(
        "--allow-unauthenticated",
        help="HTTP: listen beyond loopback without tokens; the setting http.allow_unauthenticated must say so too.",
    ),
]
LogFormat = Annotated[
    Literal["text", "json"],
    typer.Option("--log-format", envvar="FIRSTMATE_LOG_FORMAT", help="How stderr is written: text, or lines of JSON."),
]


def register(app: typer.Typer) -> None:
    app.command("serve", help="Serve MCP: over stdio for an IDE, or over HTTP.")(serve)


def serve(
    ctx: typer.Context,
    transport: Transport = "stdio",
    host: Host = None,
    port: Port = None,
    allowed_host: AllowedHost = None,
    allow_unauthenticated: Unauthenticated = False,
    toolsets: Toolsets = None,
    log_format: LogFormat = "text",
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    snapshot: Snapshot = None,
    config: Config = None,
    runbooks: Runbooks = None,
) -> None:
    flags = given(ctx, context=context, kubeconfig=kubeconfig, snapshot=snapshot, config=config, runbooks=runbooks)
    if transport == "stdio" and (host is not None or port is not None or allowed_host or allow_unauthenticated):
        raise typer.BadParameter("--host, --port and the like need --transport http.")
    from firstmate.logs import set_up

    set_up(log_format)
    settings = flags.settings(toolsets=toolsets)
    if settings.snapshot is not None:
        from firstmate.clusters import snapshot_path

        snapshot_path(settings.snapshot)  # a clear error at the start, not at the first call
    server = _built(settings, http=transport == "http")
    trail = _trail(settings, server, http=transport == "http")
    if transport == "stdio":
        from firstmate.mcp import stdio

        stdio.serve(server)
    else:
        from firstmate.mcp import http

        where = http.Listening(
            host if host is not None else settings.http.host,
            port if port is not None else settings.http.port,
            tuple(allowed_host or ()),
            allow_unauthenticated,
            settings.http,
        )
        http.serve(server, where, _say, trail)


def _built(settings: Settings, *, http: bool) -> "FirstmateServer":
    from firstmate.mcp import quickstart

    with quickstart.starting():
        quickstart.load()
        from firstmate.calls import Calls
        from firstmate.catalogue import all_tools
        from firstmate.clusters import ConfiguredClusters
        from firstmate.mcp.server import build
        from firstmate.runbooks.library import library_with
        from firstmate.settings import keys_of
        from firstmate.toolsets import chosen

        clusters = _for_callers(settings) if http else ConfiguredClusters(settings)
        books = library_with(settings.runbooks)
        calls = Calls(clusters, chosen(all_tools(), settings.toolsets), (), books, keys=keys_of(settings))
        server = build(calls)
    _observe(server)
    return server


def _for_callers(settings: Settings) -> "ClusterSet":
    """The clusters as each caller over HTTP may see them."""
    from firstmate.acting import act_as
    from firstmate.callerview import CallersView
    from firstmate.clusters import ConfiguredClusters

    return CallersView(ConfiguredClusters(settings, act_as(settings.http)), settings.http.scopes.logs)


def _trail(settings: Settings, server: "FirstmateServer", *, http: bool) -> "Trail | None":
    """The audit trail: over HTTP always, otherwise where a file is configured for it."""
    if not http and settings.audit.file is None:
        return None
    from firstmate.audit import to_stderr, trail_of

    trail = trail_of(settings.audit, server.calls.tools, to_stderr if http else None)
    if trail is not None:
        server.calls.observers.append(trail.observe)
    return trail


def _observe(server: "FirstmateServer") -> None:
    """Connects telemetry, where the environment names a place to send it to."""
    from firstmate import version
    from firstmate.telemetry import start

    telemetry = start(frozenset(spec.name for spec in server.calls.tools), version())
    if telemetry is not None:
        server.calls.observers.append(telemetry.call)
        server.sent = telemetry.sent
        server.closing.append(telemetry.close)


def _say(url: str, port: int) -> None:
    """For people on stderr; for programs one line of JSON on stdout, which HTTP leaves free."""
    sys.stderr.write(f"firstmate listens on {url}\n")
    sys.stdout.write(json.dumps({"url": url, "port": port}) + "\n")
    sys.stdout.flush()
