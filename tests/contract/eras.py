"""The SDK's client in every revision of the protocol: 2026-07-28, and those that begin with a handshake.

The client offers the newest of the older revisions; here it is made to offer each. What it sends is otherwise its own.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch

from mcp import Client
from mcp.types import Request, RequestParams, Result
from pydantic import ConfigDict

MODERN = "2026-07-28"
LEGACY = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
EVERY = (*LEGACY, MODERN)


@asynccontextmanager
async def connected(target: Any, version: str, **options: Any) -> AsyncGenerator[Client]:
    """A client that speaks this revision.

    Args:
        target: as the client takes it: a server in memory, a command, or an address.
        version: the revision.
        options: the client's own.
    """
    client = Client(target, mode="auto" if version == MODERN else "legacy", **options)
    with patch("mcp.client.session.LATEST_HANDSHAKE_VERSION", version if version != MODERN else LEGACY[-1]):
        await client.__aenter__()
    try:
        assert client.protocol_version == version
        yield client
    finally:
        await client.__aexit__(None, None, None)


class _Params(RequestParams):
    model_config = ConfigDict(extra="allow")


class _Anything(Result):
    model_config = ConfigDict(extra="allow")


async def ask(client: Client, method: str, **params: Any) -> dict[str, Any]:
    """A method that the SDK's client has no words for."""
    request = Request[_Params, str](method=method, params=_Params(**params))
    found = await client.session.send_request(request, _Anything)
    return found.model_dump(by_alias=True, mode="json")
