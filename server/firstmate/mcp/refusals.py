"""Words the SDK's refusals of messages that are no JSON-RPC: its own print what came, and our insides, into the answer.
Methods that there are not are refused without their name.

`http.py` puts it around the SDK's application. Only refusals pass through here whole: they are small; answers and
streams go by untouched.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast

import orjson

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_PRINTED = "Validation error"
METHOD_NOT_FOUND = -32601
WORDS = "This is no JSON-RPC 2.0 request, notification or response."


def worded(app: App) -> App:
    """The application, with refusals that say what is wrong and repeat nothing."""

    async def reworded(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        held: list[Message] = []

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                held.append(message)
            elif not held:
                await send(message)
            else:
                held.append(message)
                if not message.get("more_body"):
                    for one in _reworded(held):
                        await send(one)
                    held.clear()

        await app(scope, receive, sent)

    return reworded


def _reworded(held: list[Message]) -> list[Message]:
    start, *rest = held
    body = b"".join(one.get("body", b"") for one in rest)
    try:
        answer: Any = orjson.loads(body)
        error = cast("dict[str, Any]", answer["error"])
        said = str(error["message"])
    except (ValueError, KeyError, TypeError):
        return held
    if said.startswith(_PRINTED):
        error["message"] = WORDS
    elif error.get("code") != METHOD_NOT_FOUND:
        return held
    error.pop("data", None)  # the method that was asked for, whatever that is
    body = orjson.dumps(answer)
    headers = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
    start = {**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]}
    return [start, {"type": "http.response.body", "body": body}]
