"""A small API server on 127.0.0.1 that answers as a test tells it to, and keeps what it was asked.

Used by the tests of the gateway. It knows no Kubernetes: a test says which answer a path gives.
"""

import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

Body = dict[str, Any] | list[Any] | bytes | str


@dataclass(slots=True)
class Seen:
    """One request as it came over the wire. `path` and `query` are not decoded."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    groups: list[str]


@dataclass(slots=True)
class Reply:
    """One answer. `after` seconds of silence come first; `torn` closes the connection in the middle of the body."""

    body: Body = b""
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    after: float = 0.0
    torn: bool = False
    packed: bool = False

    def raw(self) -> bytes:
        value = self.body if isinstance(self.body, bytes) else None
        if value is None:
            value = (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()
        return gzip.compress(value) if self.packed else value


def status(code: int, reason: str, message: str, **details: Any) -> Reply:
    """A refusal as an API server words it."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason}
    return Reply({**body, "details": details, "code": code}, code)


def listing(*items: dict[str, Any], more: str = "", remaining: int | None = None, kind: str = "PodList") -> Reply:
    metadata: dict[str, Any] = {"resourceVersion": "77"}
    if more:
        metadata["continue"] = more
    if remaining is not None:
        metadata["remainingItemCount"] = remaining
    return Reply({"kind": kind, "apiVersion": "v1", "metadata": metadata, "items": list(items)})


def named(*names: str) -> list[dict[str, Any]]:
    return [{"metadata": {"name": name, "namespace": "shop"}} for name in names]


EXPIRED = status(410, "Expired", "The provided continue parameter is too old.")
Answer = Reply | Callable[[Seen], Reply]


class FakeApi:
    """The server. `on` sets the answers of a path, given in turn; the last one stays."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.dropped = 0
        self.busiest = 0
        self.url = ""
        self._busy = 0
        self._arrived: dict[str, asyncio.Event] = {}
        self._left = asyncio.Event()
        self._answers: dict[str, list[Answer]] = {}
        self.on("/version", Reply({"gitVersion": "v1.36.2"}))

    def on(self, path: str, *answers: Answer) -> None:
        self._answers[path] = list(answers)

    def asked(self, path: str) -> list[Seen]:
        return [one for one in self.seen if one.path == path]

    async def arrival(self, path: str) -> None:
        """Waits until a request for this path has come."""
        await self._arrived.setdefault(path, asyncio.Event()).wait()

    async def departure(self) -> None:
        """Waits until somebody has gone before the answer."""
        await self._left.wait()

    def forget(self) -> None:
        """As if nobody had asked anything yet."""
        self.seen.clear()
        self.busiest = self.dropped = 0
        self._arrived.clear()
        self._left = asyncio.Event()

    def kubeconfig(self, folder: Path, user: dict[str, Any] | None = None, **cluster: Any) -> Path:
        """A kubeconfig whose current context leads here."""
        path = folder / "kubeconfig.yaml"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "me", "namespace": "shop"}}],
            "clusters": [{"name": "fake", "cluster": {"server": self.url, **cluster}}],
            "users": [{"name": "me", "user": {"token": "t0ken"} if user is None else user}],
        }
        path.write_text(json.dumps(config))  # JSON is YAML
        return path

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        seen = Seen(
            request.method,
            path,
            query,
            dict(request.headers),
            await request.read(),
            request.headers.getall("Impersonate-Group", []),
        )
        self.seen.append(seen)
        self._arrived.setdefault(path, asyncio.Event()).set()
        answers = self._answers.get(path)
        if answers is None:
            return web.Response(status=404, text="404 page not found\n")
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        reply = answer if isinstance(answer, Reply) else answer(seen)
        self._busy += 1
        self.busiest = max(self.busiest, self._busy)
        try:
            return await self._send(request, reply)
        except asyncio.CancelledError:
            self.dropped += 1
            self._left.set()
            raise
        finally:
            self._busy -= 1

    async def _send(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        await asyncio.sleep(reply.after)
        raw = reply.raw()
        headers = {"Content-Type": reply.content_type, **reply.headers}
        if reply.packed:
            headers["Content-Encoding"] = "gzip"
        if not reply.torn:
            return web.Response(body=raw, status=reply.status, headers=headers)
        response = web.StreamResponse(status=reply.status, headers={**headers, "Content-Length": str(len(raw))})
        await response.prepare(request)
        await response.write(raw[: len(raw) // 2])
        assert request.transport is not None
        request.transport.close()
        return response

    @asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncIterator["FakeApi"]:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._handle)
        runner = web.AppRunner(app, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        port = runner.addresses[0][1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        try:
            yield self
        finally:
            await runner.cleanup()


@asynccontextmanager
async def fake_api(tls: ssl.SSLContext | None = None) -> AsyncIterator[FakeApi]:
    async with FakeApi().running(tls) as api:
        yield api
