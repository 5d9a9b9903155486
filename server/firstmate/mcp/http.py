"""MCP over streamable HTTP, for chat-ops bots and for several clients of one server.

Binds before it says where it listens, so that a client may connect at once. Requests with a foreign Host or Origin are
refused (DNS rebinding). Callers are not authenticated yet: beyond loopback it is served only when told so. Besides
`/mcp` there are `/healthz` (the process lives) and `/readyz` (it has a cluster to answer from).
"""

import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

import anyio
import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from firstmate.mcp import refusals
from firstmate.mcp.server import FirstmateServer
from firstmate_tools.errors import ConfigurationError, FirstmateError

PATH = "/mcp"
_SHUTDOWN_S = 5
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True)
class Listening:
    """Where it listens: asked for, and allowed names beside loopback's."""

    host: str
    port: int
    allowed_hosts: Sequence[str] = ()
    allow_unauthenticated: bool = False


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to it."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bind(where: Listening) -> socket.socket:
    """A listening socket.

    Raises:
        ConfigurationError: beyond loopback without being told so, or the address cannot be had.
    """
    if not is_loopback(where.host) and not where.allow_unauthenticated:
        raise ConfigurationError(
            f"Refused to listen on {where.host}: whoever can reach it could read the cluster.",
            "Callers are not authenticated: give --allow-unauthenticated if the network already keeps others out.",
        )
    try:
        found = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        raise ConfigurationError(
            f"Cannot listen on {where.host} port {where.port}: {error.strerror or error}.",
            "Choose another --port; 0 takes a free one.",
        ) from error
    listener.setblocking(False)
    return listener


def url_of(where: Listening, listener: socket.socket) -> str:
    """The address for clients."""
    host = f"[{where.host}]" if ":" in where.host else where.host
    return f"http://{host}:{listener.getsockname()[1]}{PATH}"


def app(server: FirstmateServer, where: Listening) -> Starlette:
    """The ASGI application."""
    names = [*_LOOPBACK, *where.allowed_hosts]
    if where.host not in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        names.append(f"[{where.host}]" if ":" in where.host else where.host)
    allowed = [variant for name in dict.fromkeys(names) for variant in (name, f"{name}:*")]
    server.custom_route("/healthz", ["GET"])(_healthz)
    server.custom_route("/readyz", ["GET"])(_readyz(server))
    return server.streamable_http_app(
        streamable_http_path=PATH,
        host=where.host,
        transport_security=TransportSecuritySettings(
            enable_dns_rebinding_protection=True,
            allowed_hosts=allowed,
            allowed_origins=[f"{scheme}://{name}" for scheme in ("http", "https") for name in allowed],
        ),
    )


async def _healthz(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _readyz(server: FirstmateServer) -> Callable[[Request], Awaitable[Response]]:
    async def ready(request: Request) -> Response:
        try:
            server.calls.clusters.source()
        except FirstmateError:
            return JSONResponse({"status": "no cluster to answer from"}, status_code=503)
        return JSONResponse({"status": "ok"})

    return ready


def serve(server: FirstmateServer, where: Listening, say: Callable[[str, int], None]) -> None:
    """Serves until SIGTERM or SIGINT, then lets calls finish for a few seconds.

    Args:
        server: what is served.
        where: the address.
        say: told the URL and the port when it listens.
    """
    listener = bind(where)
    config = uvicorn.Config(
        refusals.worded(app(server, where)),
        log_config=None,
        access_log=False,
        lifespan="on",
        server_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )
    signal.signal(signal.SIGTERM, _leave)  # uvicorn raises the signal once more when it has shut down
    say(url_of(where, listener), listener.getsockname()[1])
    anyio.run(_serve, uvicorn.Server(config), listener, server)


def _leave(number: int, frame: object) -> None:
    sys.exit(0)


async def _serve(running: uvicorn.Server, listener: socket.socket, server: FirstmateServer) -> None:
    try:
        await running.serve(sockets=[listener])
    finally:
        with anyio.CancelScope(shield=True):
            await server.close()
