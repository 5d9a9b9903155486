"""MCP over stdin and stdout: what an IDE spawns. stdout carries the protocol and nothing else; logs go to stderr."""

import anyio

from firstmate.mcp.server import FirstmateServer


def serve(server: FirstmateServer) -> None:
    """Serves until stdin ends."""
    anyio.run(_serve, server)


async def _serve(server: FirstmateServer) -> None:
    try:
        await server.run_stdio_async()
    finally:
        with anyio.CancelScope(shield=True):
            await server.calls.clusters.close()
