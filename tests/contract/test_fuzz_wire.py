"""Rubbish on the wire: whatever comes over stdin or in a POST, the process lives and answers the next good request.

Real processes, spoken to without any client library. Requests that are well formed and wrong get a JSON-RPC error that
does not say what broke inside; a POST that was dealt with wrongly would be a 500.
"""

import json
import random
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import IO, Any

import pytest
from contract.server_doubles import record_shop
from fuzzing import ODD, deep

SERVE = [sys.executable, "-m", "firstmate", "serve"]
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
PATIENCE_S = 60
"""After which a process hangs, on a machine that does other things too; none is expected to take so long."""
WRONG_VALUES: list[Any] = [None, True, -1, 1e308, "", "x" * 50_000, [], {}, [[]], {"name": None}, "\ud800", deep(100)]


def good(number: Any, method: str = "tools/list", **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": {**params, "_meta": META}}


def call(number: Any, name: Any, arguments: Any) -> dict[str, Any]:
    return good(number, "tools/call", name=name, arguments=arguments)


def requests(rng: random.Random, era: str) -> list[Any]:
    """Messages that are JSON, most of them no request of MCP."""
    every = _requests(rng)
    return every if era == "modern" else [_without_envelope(one) for one in every]


def _without_envelope(message: Any) -> Any:
    """A request as the older era has it."""
    params = message.get("params") if isinstance(message, dict) else None
    if not isinstance(params, dict) or params.get("_meta") != META:
        return message
    return {**message, "params": {name: one for name, one in params.items() if name != "_meta"}}


def _requests(rng: random.Random) -> list[Any]:
    made: list[Any] = [*WRONG_VALUES, [good(1), good(2)], [[]], 7]
    for value in WRONG_VALUES:
        made += [
            {"jsonrpc": "2.0", "id": value, "method": "tools/list"},
            {"jsonrpc": value, "id": 1, "method": "tools/list"},
            {"jsonrpc": "2.0", "id": 1, "method": value},
            {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": value},
            {"jsonrpc": "2.0", "id": 1, "result": value},
            {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": value}},
            {"jsonrpc": "2.0", "method": "notifications/progress", "params": value},
            {**good(3), "params": {"_meta": value}},
            {**good(4), "params": {"_meta": {**META, "progressToken": value}}},
            {**good(5), "params": {"_meta": {**META, "io.modelcontextprotocol/protocolVersion": value}}},
            call(6, value, {}),
            call(7, "get", value),
            call(8, "get", {"kind": value}),
            good(9, "resources/read", uri=value),
            good(10, "prompts/get", name=value, arguments=value),
            good(11, "completion/complete", ref=value, argument=value),
            good(12, "tools/list", cursor=value),
            good(13, "logging/setLevel", level=value),
            good(14, "initialize", protocolVersion=value, capabilities=value),
            good(15, "skills/get", uri=value),
            good(16, "tools/call", name="get", arguments={"kind": "po"}, requestState=value, inputResponses=value),
        ]
    rng.shuffle(made)
    return made


def rubbish(rng: random.Random) -> list[bytes]:
    """Lines that are no JSON, or not in UTF-8, or not whole."""
    whole = json.dumps(call(1, "get", {"kind": "pods"})).encode()
    made = [whole[: rng.randrange(1, len(whole))] for _ in range(20)]
    made += [rng.randbytes(rng.randrange(1, 200)).replace(b"\n", b"").replace(b"\r", b"") for _ in range(40)]
    made += [bytes([byte]) + whole for byte in (0, 0x1B, 0x80, 0xC0, 0xFF)]
    made += [one.encode("utf-8", "surrogatepass") for one in ODD]
    made += [b"", b" ", b"\xff\xfe", b"[" * 3_000, b'{"a":' * 3_000, b"NaN", b"1e999", b"\xed\xa0\x80", whole + whole]
    made += [json.dumps(call(2, "get", {"kind": "x"})).encode("utf-16"), whole.replace(b'"', b"'"), b"x" * 100_000]
    return made


def no_insides(message: dict[str, Any]) -> None:
    """An error of ours: without traceback, without pydantic's printing of what came."""
    said = json.dumps(message.get("error") or message.get("result") or {})
    for word in ("Traceback", "input_value", "errors.pydantic.dev", "object at 0x", "Internal error "):
        assert word not in said, said[:2_000]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(record_shop(tmp_path_factory.mktemp("shop")))


# --- stdio


class Pipe:
    """A server over pipes; its lines are read in a thread of their own, so that neither side waits for the other."""

    def __init__(self, snapshot: str, *, legacy: bool) -> None:
        self.legacy = legacy
        self.process = subprocess.Popen(
            [*SERVE, "--snapshot", snapshot], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self.answers: list[dict[str, Any]] = []
        self.stderr: list[bytes] = []
        self._news = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout,)),
            threading.Thread(target=lambda: self.stderr.extend(self.process.stderr or ())),
        ]
        for one in self._readers:
            one.start()

    def _read(self, out: IO[bytes]) -> None:
        for line in out:
            with self._news:
                self.answers.append(json.loads(line))  # stdout carries the protocol and nothing else
                self._news.notify_all()

    def send(self, line: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        if self.legacy:
            message = _without_envelope(message)
        self.send(json.dumps(message).encode())

        def found() -> list[dict[str, Any]]:
            return [one for one in self.answers if one.get("id") == message["id"]]

        with self._news:
            assert self._news.wait_for(found, PATIENCE_S), f"no answer to {message['method']}"
            return found()[0]

    def close(self) -> int:
        assert self.process.stdin
        self.process.stdin.close()
        code = self.process.wait(PATIENCE_S)
        for one in self._readers:
            one.join()
        return code


@pytest.mark.parametrize("era", ["modern", "legacy"])
@pytest.mark.parametrize("what", ["rubbish", "requests"])
def test_over_stdio_it_survives_anything_and_answers_the_next(snapshot: str, era: str, what: str) -> None:
    rng = random.Random(20_261)
    pipe = Pipe(snapshot, legacy=era == "legacy")
    try:
        if era == "legacy":
            pipe.ask({"jsonrpc": "2.0", "id": "hello", "method": "initialize", "params": HELLO})
            pipe.send(json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}).encode())
        else:
            pipe.ask(good("hello"))  # the first request says which era a connection is of
        lines = rubbish(rng) if what == "rubbish" else [json.dumps(one).encode() for one in requests(rng, era)]
        for number, line in enumerate(lines):
            pipe.send(line)
            if number % 25 == 0:
                assert "tools" in pipe.ask(good(1_000 + number))["result"]
        found = pipe.ask(call("last", "get", {"kind": "pods"}))["result"]
        assert found["structuredContent"]["items"], found
    finally:
        code = pipe.close()
    assert code == 0
    for one in pipe.answers:
        no_insides(one)


# --- HTTP


@pytest.fixture(scope="module")
def url(snapshot: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("http") / "stderr"
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            [*SERVE, "--transport", "http", "--port", "0", "--snapshot", snapshot],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as server,
    ):
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())["url"]
        server.terminate()
        assert server.wait(PATIENCE_S) == 0
    assert "Traceback" not in log.read_text()


def post(url: str, body: bytes, **headers: str) -> tuple[int, str]:
    given = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", **headers}
    request = urllib.request.Request(url, body, given, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace")


def modern(message: Any) -> dict[str, str]:
    """The headers that the modern era wants of a request, as far as this is one."""
    method = message.get("method") if isinstance(message, dict) else None
    params = message.get("params") if isinstance(message, dict) else None
    name = (params.get("name") or params.get("uri")) if isinstance(params, dict) else None
    headers = {"MCP-Protocol-Version": "2026-07-28"}
    if isinstance(method, str) and method.isprintable() and method.isascii() and 0 < len(method) < 500:
        headers["Mcp-Method"] = method
    if isinstance(name, str) and name.isprintable() and name.isascii() and 0 < len(name) < 500:
        headers["Mcp-Name"] = name
    return headers


def works(url: str) -> None:
    message = call(1, "get", {"kind": "pods"})
    status, body = post(url, json.dumps(message).encode(), **modern(message))
    assert status == 200 and '"structuredContent"' in body, (status, body[:500])


def session(url: str) -> dict[str, str]:
    """The header of a session of the older era; none where the server keeps no sessions."""
    body = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HELLO}
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
        found = response.headers.get("Mcp-Session-Id")
    return {"Mcp-Session-Id": found} if found else {}


def unharmed(status: int, body: str) -> None:
    assert status < 500, (status, body[:1_000])
    for word in ("Traceback", "input_value", "errors.pydantic.dev", "object at 0x", "Internal error "):
        assert word not in body, body[:2_000]


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_over_http_no_request_is_a_500(url: str, era: str) -> None:
    rng = random.Random(20_262)
    works(url)
    older = {"MCP-Protocol-Version": "2025-11-25"} | ({} if era == "modern" else session(url))
    for message in requests(rng, era):
        headers = modern(message) if era == "modern" else older
        unharmed(*post(url, json.dumps(message).encode(), **headers))
    works(url)


def test_over_http_no_rubbish_is_a_500(url: str) -> None:
    rng = random.Random(20_263)
    for body in rubbish(rng):
        unharmed(*post(url, body, **{"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call"}))
    body = json.dumps(call(1, "get", {"kind": "pods"})).encode()
    for headers in (
        {"Content-Type": "text/plain"}, {"Content-Type": ""}, {"Accept": "image/png"}, {"MCP-Protocol-Version": "x"},
        {"MCP-Protocol-Version": "9" * 5_000}, {"Mcp-Method": "tools/list"}, {"Mcp-Name": "x" * 5_000},
        {"Mcp-Session-Id": "none"}, {"Mcp-Session-Id": "../x"}, {"Content-Encoding": "gzip"}, {"Last-Event-ID": "x"},
        {"Authorization": "Bearer "}, {"Authorization": "\x7f" * 100}, {"Origin": "null"}, {"Cookie": "x=" + "y" * 900},
    ):  # fmt: skip
        unharmed(*post(url, body, **headers))
    works(url)
