"""The last look at a request, inside the HTTP client, where its bytes are about to be handed to a connection.

`transport.py` opens its session with the request class of this module, so that whoever gets hold of that session, by
whatever way, cannot send with it what the policy would not let pass: the check runs when a request is made, before a
connection is opened, and once more before its first byte is written. It reads the request itself, not what somebody
says of it. Must never be given a way around: there is no switch.

It cannot stop code of this process that opens a connection of its own; docs/permissions.md says what is not closed.
"""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from firstmate_tools.errors import RefusedError
from firstmate_tools.fields import Obj
from firstmate_tools.reads import Grant

from . import policy

Headers = tuple[tuple[str, str], ...]
_OWN = frozenset({"host", "content-length", "connection"})
"""Headers that the HTTP client adds by itself."""


@dataclass(frozen=True, slots=True)
class Permit:
    """What the transport is sending at this moment, in this task.

    Attributes:
        grant: the reads of the call that asks.
        method, target: as in the request line.
        headers: as the transport put them together.
        body: the bytes, None for none.
    """

    grant: Grant
    method: str
    target: str
    headers: Headers
    body: bytes | None


permitted: ContextVar[Permit | None] = ContextVar("permitted", default=None)
"""Set around one exchange; a request that is made at any other moment is refused."""


def _refuse(why: str) -> RefusedError:
    return RefusedError(f"The request was not sent: {why}.", "Read through the methods of Cluster.")


def inspect(server: str, method: str, url: Any, headers: Any, body: bytes | None) -> None:
    """Lets a finished request pass, or raises.

    Args:
        server: the address that the session belongs to.
        method: of the request.
        url: its yarl URL.
        headers: its multidict.
        body: its bytes.

    Raises:
        RefusedError: nobody asked for it through the gateway, or the policy forbids it.
    """
    permit = permitted.get()
    if permit is None:
        raise _refuse("it did not come through the gateway")
    parts = urlsplit(server)
    raw = str(url)
    if not raw.startswith(f"{parts.scheme}://{parts.netloc}{parts.path}/"):
        raise _refuse("it goes to another server")
    target = raw[len(f"{parts.scheme}://{parts.netloc}{parts.path}") :]
    sent: list[tuple[str, str]] = [(str(name), str(value)) for name, value in headers.items()]
    policy.check_headers(name for name, _ in sent)
    added = [name for name, value in sent if (name, value) not in permit.headers and name.lower() not in _OWN]
    if (method, target, body) != (permit.method, permit.target, permit.body) or added:
        raise _refuse("it is not the one that the gateway let pass")
    policy.check(method, target, _parsed(body), permit.grant)


def _parsed(body: bytes | None) -> Obj | None:
    return None if body is None else orjson.loads(body)


def request_class(server: str) -> type[aiohttp.ClientRequest]:
    """The request class of a session that talks to one server and sends reads alone.

    Args:
        server: its address, with scheme and, behind some proxies, a path.
    """

    class GuardedRequest(aiohttp.ClientRequest):
        """Looks twice; see the module."""

        def __init__(self, method: str, url: Any, **more: Any) -> None:
            data = more.get("data")
            if data is not None and not isinstance(data, bytes):
                raise _refuse("its body is not the gateway's")
            super().__init__(method, url, **more)
            self._given = data
            self._payload = self.body
            inspect(server, self.method, self.url, self.headers, data)

        async def send(self, conn: Any) -> aiohttp.ClientResponse:
            if self.body is not self._payload or self.compress or self.chunked:
                raise _refuse("its body was exchanged")
            inspect(server, self.method, self.url, self.headers, self._given)
            return await super().send(conn)

    return GuardedRequest
