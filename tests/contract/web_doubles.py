"""The server over real HTTP on 127.0.0.1 within the test's own event loop, and raw requests to it."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
from contract.server_doubles import Clusters, shop

from firstmate.acting import act_as
from firstmate.audit import Trail
from firstmate.callerview import CallersView
from firstmate.calls import Calls
from firstmate.catalogue import all_tools
from firstmate.clusters import ConfiguredClusters
from firstmate.httpsettings import HttpSettings
from firstmate.mcp import http
from firstmate.mcp.server import build
from firstmate.settings import Settings
from firstmate_tools.cluster.base import ClusterSet
from firstmate_tools.toolspec import ToolSpec

MODERN, LEGACY = "2026-07-28", "2025-11-25"


@dataclass
class Served:
    """A running server: where it is, and what it wrote into its audit trail."""

    url: str
    running: Any
    trail: list[dict[str, Any]] = field(default_factory=list)

    @property
    def base(self) -> str:
        return self.url.removesuffix("/mcp")

    async def post(
        self,
        method: str = "tools/list",
        params: dict[str, Any] | None = None,
        *,
        token: str = "",
        version: str = MODERN,
        **headers: str,
    ) -> httpx2.Response:
        """One JSON-RPC request, without a client's help."""
        meta = {
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        }
        given = dict(params or {})
        sent = {
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": version,
        }
        if version == MODERN:
            given["_meta"] = meta
            sent["mcp-method"] = method
            if "name" in given:
                sent["mcp-name"] = given["name"]
        if token:
            sent["authorization"] = f"Bearer {token}"
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": given}
        async with httpx2.AsyncClient(timeout=20) as client:
            return await client.post(self.url, json=body, headers={**sent, **headers})

    async def call(self, tool: str, arguments: dict[str, Any] | None = None, **how: Any) -> httpx2.Response:
        return await self.post("tools/call", {"name": tool, "arguments": arguments or {}}, **how)

    async def open_session(self, token: str) -> str:
        """The id of a 2025-11-25 session."""
        client = {"name": "t", "version": "1"}
        params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": client}
        answer = await self.post("initialize", params, token=token, version=LEGACY)
        assert answer.status_code == 200, answer.text
        return answer.headers["mcp-session-id"]

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        async with httpx2.AsyncClient() as client:
            return await client.get(self.base + path, headers=headers)


def result_of(answer: httpx2.Response) -> dict[str, Any]:
    """The JSON-RPC result, whichever way it came."""
    text = answer.text
    if answer.headers["content-type"].startswith("text/event-stream"):
        text = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")][-1]
    return json.loads(text)["result"]


@asynccontextmanager
async def serving(
    clusters: ClusterSet | Settings | None = None, *, tools: Sequence[ToolSpec] | None = None, **settings: Any
) -> AsyncIterator[Served]:
    """A server with these HTTP settings over these clusters (settings: with impersonation, as `serve` makes them)."""
    chosen = HttpSettings(**settings)
    if isinstance(clusters, Settings):
        clusters = ConfiguredClusters(clusters, act_as(chosen))
    seen = CallersView(clusters or Clusters(prod=shop()), chosen.scopes.logs)
    calls = Calls(seen, tools or all_tools())
    lines: list[dict[str, Any]] = []
    trail = Trail(lambda line: lines.append(json.loads(line)), {spec.name: spec for spec in calls.tools})
    calls.observers.append(trail.observe)
    server = build(calls)
    where = http.Listening("127.0.0.1", 0, settings=chosen)
    listener = http.bind(where)
    port = listener.getsockname()[1]
    running = http.running(*http.gated(server, where, port, trail), chosen)
    task = asyncio.create_task(running.serve(sockets=[listener]))
    while not running.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield Served(http.url_of(where, port), running, lines)
    finally:
        running.should_exit = True
        await task
        await server.close()
