"""An HTTP server that stands in for Prometheus where a test wants bad answers: it gives what it was told to.

with answering(Reply(302, headers={"Location": "http://elsewhere/"})) as server:
    ... server.url, server.seen
"""

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Reply:
    """One answer; every request gets it."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    after_s: float = 0.0


@dataclass
class Seen:
    """One request."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]


@dataclass
class Server:
    url: str
    seen: list[Seen]


def vector(*series: tuple[dict[str, str], Any], at: float = 1_700_000_000.0) -> bytes:
    """A good answer."""
    result = [{"metric": labels, "value": [at, str(value)]} for labels, value in series]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()


@contextmanager
def answering(reply: Reply) -> Generator[Server]:
    """A server on 127.0.0.1 that gives one answer to whatever comes."""
    seen: list[Seen] = []
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            seen.append(Seen(self.command, parts.path, parse_qs(parts.query), headers))
            ended.wait(reply.after_s)
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        do_GET = do_POST = do_HEAD = answer  # noqa: N815  # the names that http.server calls

        def log_message(self, *_: object) -> None: ...

        def handle_error(self) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that has hung up is what some tests want
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Server(f"http://127.0.0.1:{server.server_address[1]}", seen)
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
