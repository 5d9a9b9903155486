"""The one gate before the MCP server: every HTTP request passes here, or is refused here.

`mcp/http.py` wraps the SDK's application in it. In this order: who calls, how often, how many at once, how large, what
for. What the libraries have is theirs: uvicorn bounds headers and connections, starlette routes, the SDK checks Host
and Origin and binds a session to the principal that the gate names. Must never let a request through without a
`Caller`, the open paths apart, nor look for one anywhere but in the Authorization header.
"""

import secrets
import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

import anyio
from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.authentication import AuthCredentials
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from firstmate.audit import Trail
from firstmate.caller import Caller, calling
from firstmate.httpsettings import LimitSettings, is_loopback
from firstmate.mcp.web import responses
from firstmate.mcp.web.accesslog import OTHER, Entry, Log
from firstmate.mcp.web.authentication import (
    Authentication,
    Challenges,
    KeysUnavailableError,
    UnauthenticatedError,
)
from firstmate.mcp.web.limits import Rate, Sessions, Slots, TooManyError
from firstmate.mcp.web.message import (
    Asked,
    BodyTooLargeError,
    GoneError,
    SlowBodyError,
    again,
    asked,
    body_of,
    word,
)
from firstmate.mcp.web.responses import RefusedRequestError
from firstmate_tools.toolspec import Family, ToolSpec

_STREAMS_FOR_ALL = 16
"""Event streams may be so many times as many as calls: they cost a socket each."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where the gate stands and what it goes by.

    Attributes:
        path: of MCP.
        open_paths: those that anybody may ask: probes, metadata.
        authentication: who calls.
        challenges: what those are told who may not.
        limits: how much each may ask.
        tools: those that are served, by name.
        trail: told of calls that are refused here; None to keep none.
        log: told of each request.
    """

    path: str
    open_paths: frozenset[str]
    authentication: Authentication
    challenges: Challenges
    limits: LimitSettings
    tools: Mapping[str, ToolSpec]
    trail: Trail | None
    log: Log


@dataclass(slots=True)
class _Under:
    """One request under way, to be ended when the server leaves."""

    scope: anyio.CancelScope
    stream: bool


class Gate:
    """The ASGI application in front of another.

    Args:
        app: what is behind.
        door: what to go by.
    """

    def __init__(self, app: ASGIApp, door: Door) -> None:
        limits = door.limits
        self._app, self._door = app, door
        self._inside = AuthContextMiddleware(app)
        self._rate = Rate(limits.per_second, limits.burst)
        self._strangers = Rate(limits.per_second, limits.burst)
        self._calls = Slots(limits.per_caller, limits.overall)
        self._streams = Slots(limits.streams_per_caller, limits.overall * _STREAMS_FOR_ALL)
        self._sessions = Sessions(limits.sessions_per_caller, limits.session_idle_s)
        self._under_way: dict[int, _Under] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        known = path if path == self._door.path or path in self._door.open_paths else OTHER
        entry = Entry(secrets.token_hex(4), scope["method"], known)
        sending = entry.watching(send)
        try:
            await self._serve(scope, receive, sending, entry)
        except RefusedRequestError as refused:
            entry.why = refused.error
            await refused.response()(scope, receive, sending)
        except GoneError:
            entry.why = "client_gone"
        finally:
            self._door.log(entry)

    def end_streams(self) -> None:
        """Closes the event streams that clients hold open: they would never end by themselves."""
        self._end([one for one in self._under_way.values() if one.stream])

    def end_all(self) -> None:
        """Cancels whatever is still under way."""
        self._end(list(self._under_way.values()))

    def _end(self, these: list[_Under]) -> None:
        for one in these:
            one.scope.cancel()

    async def _serve(self, scope: Scope, receive: Receive, send: Send, entry: Entry) -> None:
        # Whatever is not open to anybody is closed: a router may take more spellings of /mcp for it than one.
        if scope["path"] in self._door.open_paths:
            if not (is_loopback(peer_of(scope)) and self._door.authentication.nobody_is_asked):
                self._take(self._strangers, (peer_of(scope), entry.path))
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        entry.protocol = word(headers.get("mcp-protocol-version", ""))
        caller = entry.caller = await self._caller(scope)
        key = _share(caller, scope)
        if key is not None:
            self._take(self._rate, key)
        self._need(caller, "read", entry, Asked())
        stream = scope["method"] == "GET"
        try:
            with (self._streams if stream else self._calls).one(key):
                await self._admitted(scope, receive, send, entry, caller, headers)
        except TooManyError as error:
            raise responses.too_many(error.wait_s, everybody=error.everybody) from error

    async def _admitted(
        self, scope: Scope, receive: Receive, send: Send, entry: Entry, caller: Caller, headers: Headers
    ) -> None:
        if scope["method"] == "POST":
            body = await self._body(receive, headers)
            found = asked(body)
            entry.mcp = word(found.method)
            entry.protocol = entry.protocol or word(found.version)
            if found.method == "tools/call":
                entry.tool = found.tool if found.tool in self._door.tools else OTHER
                spec = self._door.tools.get(found.tool)
                self._need(caller, spec.family if spec is not None else "read", entry, found)
            if found.method == "initialize":
                self._sessions.check(_share(caller, scope), time.monotonic())
            receive = again(body, receive)
        if caller.kind != "anonymous":
            scope["user"], scope["auth"] = _principal(caller), AuthCredentials(sorted(caller.families))
        under = _Under(anyio.CancelScope(), scope["method"] == "GET")
        self._under_way[id(under)] = under
        try:
            with calling(caller, entry.request), under.scope:
                await self._inside(scope, receive, send)
        finally:
            del self._under_way[id(under)]
            self._session(scope["method"], headers, entry, _share(caller, scope))
        if under.scope.cancelled_caught:
            await _cut_short(send, entry)

    def _session(self, method: str, headers: Headers, entry: Entry, key: Hashable) -> None:
        """Counts the session that a request opened, used or closed."""
        named = headers.get("mcp-session-id", "")
        if entry.status is None or entry.status >= 400:
            return
        if method == "DELETE":
            self._sessions.closed(key, named)
        elif entry.session:
            self._sessions.opened(key, entry.session, time.monotonic())
        else:
            self._sessions.used(key, named, time.monotonic())

    async def _caller(self, scope: Scope) -> Caller:
        try:
            return await self._door.authentication.caller(scope["headers"])
        except UnauthenticatedError as error:
            self._take(self._strangers, (peer_of(scope), "unauthenticated"))
            words = error.why or "no token"
            challenge = self._door.challenges.unauthenticated(error.why)
            raise RefusedRequestError(
                401, "invalid_token" if error.why else "unauthorized", words, WWW_Authenticate=challenge
            ) from error
        except KeysUnavailableError as error:
            self._take(self._strangers, (peer_of(scope), "unauthenticated"))
            raise RefusedRequestError(
                503, "keys_unavailable", "The keys to check tokens with cannot be had now.", Retry_After="30"
            ) from error

    def _need(self, caller: Caller, family: Family, entry: Entry, found: Asked) -> None:
        if family in caller.families:
            return
        if found.tool and self._door.trail is not None:
            with calling(caller, entry.request):
                self._door.trail.refused(caller, found.tool, found.arguments, "insufficient_scope")
        raise RefusedRequestError(
            403,
            "insufficient_scope",
            f"This needs the scope {self._door.challenges.scopes.of(family)}.",
            WWW_Authenticate=self._door.challenges.insufficient(caller, family),
        )

    async def _body(self, receive: Receive, headers: Headers) -> bytes:
        limits = self._door.limits
        try:
            return await body_of(receive, headers, limits.body_bytes, limits.body_s)
        except BodyTooLargeError as error:
            words = f"A request may have {limits.body_bytes} bytes at most."
            raise RefusedRequestError(413, "too_large", words) from error  # uvicorn reads the rest away
        except SlowBodyError as error:
            words = f"The request was not whole after {limits.body_s:g} s."
            raise RefusedRequestError(408, "too_slow", words, Connection="close") from error

    @staticmethod
    def _take(rate: Rate, key: Hashable) -> None:
        try:
            rate.take(key, time.monotonic())
        except TooManyError as error:
            raise responses.too_many(error.wait_s) from error


def _share(caller: Caller, scope: Scope) -> Hashable:
    """Whose share of the limits a request uses up; None on loopback where nobody is asked who they are.

    There one person talks to themselves, or runs a test: only what holds for all together holds for them.
    """
    if caller.kind != "anonymous":
        return caller.key
    peer = peer_of(scope)
    return None if is_loopback(peer) else peer


def _principal(caller: Caller) -> AuthenticatedUser:
    """The caller as the SDK knows principals: it binds sessions and request state to them. The token stays here."""
    return AuthenticatedUser(
        AccessToken(
            token="",
            client_id=caller.client or caller.subject,
            scopes=sorted(caller.families),
            subject=caller.subject,
            claims={"iss": caller.issuer},
        )
    )


def peer_of(scope: Scope) -> str:
    """Whom a stranger's requests are counted for: their address, a whole /64 for IPv6."""
    host = (scope.get("client") or ("", 0))[0]
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not isinstance(address, IPv6Address) or address.is_loopback:
        return host
    if address.ipv4_mapped is not None:  # how a socket for both shows IPv4; they would all be one /64
        return str(address.ipv4_mapped)
    return str(ip_network((address, 64), strict=False))


async def _cut_short(send: Send, entry: Entry) -> None:
    """Ends a response that the server's leaving has interrupted, whatever of it was sent."""
    entry.why = "shutting_down"
    if entry.status is None:
        raise responses.leaving()
    if not entry.complete:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
