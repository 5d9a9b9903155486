"""A request to /mcp, read whole before anything else looks at it: within a size and a time, and what it asks for.

The gate reads here, and hands the same bytes on to the SDK, which validates them. Must never trust what it finds
further than to refuse a call or to name it in a log: `firstmate.calls` asks again whether the caller may.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import anyio
import orjson
from starlette.types import Message, Receive

_WORD = re.compile(r"[A-Za-z0-9_.$/-]{1,64}")


class BodyTooLargeError(Exception):
    """The body is larger than allowed."""


class SlowBodyError(Exception):
    """The body did not arrive in time."""


class GoneError(Exception):
    """The client hung up before its request was whole."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a message asks for. All "" where it is no JSON-RPC message.

    Attributes:
        method: of MCP.
        tool: the name in a tools/call.
        arguments: of a tools/call.
        version: the protocol version that an `initialize` names.
    """

    method: str = ""
    tool: str = ""
    arguments: Mapping[str, object] = field(default_factory=dict[str, object])
    version: str = ""


async def body_of(receive: Receive, headers: Mapping[str, str], most_bytes: int, most_s: float) -> bytes:
    """The whole body.

    Raises:
        BodyTooLargeError, SlowBodyError, GoneError: there is none to be had.
    """
    declared = headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > most_bytes:
        raise BodyTooLargeError
    body = bytearray()
    try:
        with anyio.fail_after(most_s):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise GoneError
                body += message.get("body", b"")
                if len(body) > most_bytes:
                    raise BodyTooLargeError
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError as error:
        raise SlowBodyError from error


def again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives this body once more, and then whatever comes after it."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def asked(body: bytes) -> Asked:
    """What a body asks for, as far as it can be read."""
    try:
        value: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Asked()
    if not isinstance(value, dict):
        return Asked()
    message = cast("dict[str, Any]", value)
    found: Any = message.get("params")
    params = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    method = _text(message.get("method"))
    if method == "initialize":
        return Asked(method, version=_text(params.get("protocolVersion")))
    if method != "tools/call":
        return Asked(method)
    arguments: Any = params.get("arguments")
    return Asked(
        method, _text(params.get("name")), cast("dict[str, object]", arguments) if isinstance(arguments, dict) else {}
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def word(value: str) -> str:
    """A value as a log may show it: itself where it is one plain word, "" where it might say anything."""
    return value if _WORD.fullmatch(value) else ""
