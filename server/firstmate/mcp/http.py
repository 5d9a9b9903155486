"""MCP over streamable HTTP, for chat-ops bots and for several clients of one server.

`serve` binds before it says where it listens, so that a client may connect at once. What stands between the network and
the MCP server is put together here and lives in `mcp/web`: who calls (tokens), what they may (scopes), how much
(limits). Requests with a foreign Host or Origin are refused (DNS rebinding). Beyond loopback nobody is served without a
token unless flag and configuration both say so. Besides `/mcp` there are `/healthz` (the process lives), `/readyz` (a
cluster answers) and the metadata of an OAuth resource.
"""

import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import uvicorn
from mcp.server.transport_security import TransportSecuritySettings

from firstmate.audit import Trail, to_stderr
from firstmate.httpsettings import HttpSettings, is_loopback
from firstmate.mcp import refusals
from firstmate.mcp.server import FirstmateServer
from firstmate.mcp.web import accesslog, metadata, probes
from firstmate.mcp.web.authentication import Authentication, Challenges
from firstmate.mcp.web.gate import Door, Gate
from firstmate.mcp.web.serving import Server, protocol
from firstmate_tools.errors import ConfigurationError

PATH = "/mcp"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_log = logging.getLogger("firstmate.http")


@dataclass(frozen=True, slots=True)
class Listening:
    """Where it listens, and how.

    Attributes:
        host, port: asked for.
        allowed_hosts: names beside loopback's.
        allow_unauthenticated: whether a flag said so.
        settings: everything else.
    """

    host: str
    port: int
    allowed_hosts: Sequence[str] = ()
    allow_unauthenticated: bool = False
    settings: HttpSettings = field(default_factory=HttpSettings)


def check(where: Listening) -> None:
    """Refuses what would open a cluster to whoever comes, and warns of tokens that travel in the clear.

    Raises:
        ConfigurationError: it must not be served like this.
    """
    if is_loopback(where.host):
        return
    http = where.settings
    if not http.authenticates and not (where.allow_unauthenticated and http.allow_unauthenticated):
        missing = [
            words
            for words, given in (
                ("--allow-unauthenticated", where.allow_unauthenticated),
                (
                    "http.allow_unauthenticated = true (or FIRSTMATE_HTTP__ALLOW_UNAUTHENTICATED=true)",
                    http.allow_unauthenticated,
                ),
            )
            if not given
        ]
        raise ConfigurationError(
            f"Refused to listen on {where.host}: whoever can reach it could read the cluster.",
            f"Configure http.tokens_file or http.oauth. To serve without, both --allow-unauthenticated and "
            f"http.allow_unauthenticated = true are needed; missing: {' and '.join(missing)}.",
        )
    if http.oauth is not None and http.public_url is None:
        raise ConfigurationError(
            f"http.oauth beyond loopback ({where.host}) needs http.public_url: tokens have to be meant for it.",
            "Set it to the address that clients use, such as https://firstmate.shop.example/mcp.",
        )
    if http.tls_cert is None:
        _log.warning(
            "listening on %s without TLS: tokens and answers can be read on the way, unless an ingress ends TLS",
            where.host,
        )


def bind(where: Listening) -> socket.socket:
    """A listening socket.

    Raises:
        ConfigurationError: see `check`; or the address cannot be had.
    """
    check(where)
    try:
        found = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol_, _, address = found[0]
        listener = socket.socket(family, kind, protocol_)
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


def url_of(where: Listening, port: int) -> str:
    """The address for clients on this machine or in this network."""
    host = f"[{where.host}]" if ":" in where.host else where.host
    return f"{'https' if where.settings.tls_cert else 'http'}://{host}:{port}{PATH}"


def resource_of(where: Listening, port: int) -> str:
    """The address by which tokens name this server (RFC 8707)."""
    return where.settings.public_url or url_of(where, port)


def gated(server: FirstmateServer, where: Listening, port: int, trail: Trail | None) -> tuple[Gate, probes.Readiness]:
    """The ASGI application, and what is behind /readyz.

    Args:
        server: what is served.
        where: the address, and how to serve there.
        port: on which it listens.
        trail: the audit trail, None to keep none.

    Raises:
        ConfigurationError: tokens or keys cannot be used.
    """
    http, readiness = where.settings, probes.Readiness(server.calls.clusters)
    server.custom_route(probes.HEALTHZ, ["GET"])(probes.healthz)
    server.custom_route(probes.READYZ, ["GET"])(readiness.readyz)
    application = server.streamable_http_app(
        streamable_http_path=PATH,
        host=where.host,
        max_request_body_size=http.limits.body_bytes,
        max_sessions=http.limits.sessions,
        session_idle_timeout=http.limits.session_idle_s,
        transport_security=_names(where),
    )
    resource = resource_of(where, port)
    described = metadata.routes(resource, http.oauth.issuer, http.scopes) if http.oauth is not None else []
    application.router.routes.extend(described)
    door = Door(
        path=PATH,
        open_paths=frozenset({probes.HEALTHZ, probes.READYZ, *(route.path for route in described)}),
        authentication=_authentication(http, resource),
        challenges=Challenges(http.scopes, metadata.address_of(resource) if described else None),
        limits=http.limits,
        tools={spec.name: spec for spec in server.calls.tools},
        trail=trail,
        log=accesslog.to(to_stderr) if http.access_log else accesslog.nowhere,
    )
    return Gate(refusals.worded(application), door), readiness


def _names(where: Listening) -> TransportSecuritySettings:
    """Which Host and Origin headers are accepted."""
    public = where.settings.public_url
    names = [*_LOOPBACK, *where.settings.allowed_hosts, *where.allowed_hosts]
    if public is not None:
        names.append(urlsplit(public).hostname or "")
    if where.host not in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        names.append(f"[{where.host}]" if ":" in where.host else where.host)
    allowed = [variant for name in dict.fromkeys(names) for variant in (name, f"{name}:*")]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=allowed,
        allowed_origins=[f"{scheme}://{name}" for scheme in ("http", "https") for name in allowed],
    )


def _authentication(http: HttpSettings, resource: str) -> Authentication:
    scopes, tokens = http.scopes.families, None
    if http.tokens_file is not None:
        from firstmate.tokenfile import TokenFile

        tokens = TokenFile(Path(http.tokens_file), scopes)
    if http.oauth is None:
        return Authentication(tokens)
    from firstmate.mcp.web import jwks
    from firstmate.mcp.web.oauth import AccessTokens

    if http.oauth.jwks_file is not None:
        jwks.check_file(Path(http.oauth.jwks_file))
        fetch = jwks.from_file(Path(http.oauth.jwks_file))
    else:
        fetch = jwks.from_server(http.oauth.issuer, http.oauth.jwks_uri)
    audience = http.oauth.audience or (resource,)
    return Authentication(tokens, AccessTokens(http.oauth, audience, scopes, jwks.Keys(fetch, pause_s=jwks.PAUSE_S)))


def serve(
    server: FirstmateServer, where: Listening, say: Callable[[str, int], None], trail: Trail | None = None
) -> None:
    """Serves until SIGTERM or SIGINT, then lets calls finish; see `web/serving.py`.

    Args:
        server: what is served.
        where: the address, and how to serve there.
        say: told the URL and the port when it listens.
        trail: the audit trail, None to keep none.

    Raises:
        ConfigurationError: it cannot be served like this.
    """
    listener = bind(where)
    http, port = where.settings, int(listener.getsockname()[1])
    uvicorns = running(*gated(server, where, port, trail), http)
    say(url_of(where, port), port)
    anyio.run(_serve, uvicorns, listener, server)


def running(gate: Gate, readiness: probes.Readiness, http: HttpSettings) -> Server:
    """uvicorn in front of the gate.

    Raises:
        ConfigurationError: certificate or key cannot be used.
    """
    config = uvicorn.Config(
        gate,
        http=protocol(http.limits.header_s),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(http.trusted_proxies),
        forwarded_allow_ips=list(http.trusted_proxies),
        limit_concurrency=http.limits.connections,
        h11_max_incomplete_event_size=http.limits.header_bytes,
        ssl_certfile=http.tls_cert,
        ssl_keyfile=http.tls_key,
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        raise ConfigurationError(f"http.tls_cert and http.tls_key cannot be used: {error}.") from error
    return Server(config, gate, readiness, drain_s=http.drain_s, grace_s=http.grace_s)


async def _serve(running: uvicorn.Server, listener: socket.socket, server: FirstmateServer) -> None:
    try:
        await running.serve(sockets=[listener])
    finally:
        with anyio.CancelScope(shield=True):
            await server.close()
