"""The access log: one line of JSON on stderr for each HTTP request.

    {"event":"http_request","at":"2026-11-21T10:00:00.123Z","request":"9f2c41d0","method":"POST","path":"/mcp",
     "status":200,"ms":41,"bytes":5120,"caller":"bot","protocol":"2026-07-28","mcp":"tools/call","tool":"diagnose"}

The gate fills an `Entry` while it serves a request. Must never hold a token, an argument, a query, nor a path or name
that a client made up.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson
from starlette.datastructures import Headers
from starlette.types import Message, Send

from firstmate.caller import Caller

OTHER = "(other)"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(slots=True)
class Entry:
    """One request.

    Attributes:
        request: what it is called in all logs.
        method: of HTTP.
        path: one of ours, or `(other)`.
        status: None where the client went before there was one.
        why: in a word, where it was refused.
        session: the session that the answer opened; never written down.
    """

    request: str
    method: str
    path: str
    began: float = field(default_factory=time.monotonic)
    caller: Caller | None = None
    protocol: str = ""
    mcp: str = ""
    tool: str = ""
    why: str = ""
    status: int | None = None
    sent: int = 0
    complete: bool = False
    session: str = ""

    def watching(self, send: Send) -> Send:
        """A `send` that counts what passes."""

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                self.session = Headers(raw=message.get("headers", [])).get("mcp-session-id", "")
            elif message["type"] == "http.response.body":
                self.sent += len(message.get("body", b""))
                self.complete = not message.get("more_body", False)
            await send(message)

        return watched

    def line(self) -> bytes:
        """As it is written, with its end."""
        caller = self.caller
        known = {
            "event": "http_request",
            "at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "request": self.request,
            "method": self.method if self.method in _METHODS else OTHER,
            "path": self.path,
            "status": self.status,
            "ms": round((time.monotonic() - self.began) * 1000),
            "bytes": self.sent,
            "caller": (caller.user or caller.subject)[:256] if caller is not None else None,
            "client": (caller.client[:256] or None) if caller is not None else None,
            "protocol": self.protocol or None,
            "mcp": self.mcp or None,
            "tool": self.tool or None,
            "why": self.why or None,
        }
        return orjson.dumps({key: value for key, value in known.items() if value is not None}) + b"\n"


Log = Callable[[Entry], None]


def to(out: Callable[[bytes], None]) -> Log:
    """A log that writes lines there."""
    return lambda entry: out(entry.line())


def nowhere(entry: Entry) -> None:
    """No log."""
