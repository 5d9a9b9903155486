"""MCP over stdin and stdout: what an IDE spawns. stdout carries the protocol and nothing else; logs go to stderr."""

import os
import signal
import sys

import anyio

from firstmate.mcp.server import FirstmateServer

_CLOSING_S = 2


def serve(server: FirstmateServer) -> None:
    """Serves until stdin ends, or SIGINT or SIGTERM comes."""
    anyio.run(_serve, server)


async def _serve(server: FirstmateServer) -> None:
    async with anyio.create_task_group() as group:
        if sys.platform != "win32":
            group.start_soon(_leave_when_told, server)
        try:
            await server.run_stdio_async()
        finally:
            with anyio.CancelScope(shield=True):
                await server.close()
        group.cancel_scope.cancel()


async def _leave_when_told(server: FirstmateServer) -> None:
    """Ends the process on a signal. The thread that waits for stdin cannot be cancelled, and would hold it up."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            with anyio.move_on_after(_CLOSING_S):
                await server.close()
            os._exit(128 + number)
