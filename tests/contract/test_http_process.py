"""The HTTP server as a process: how it ends, what it says, over TLS, and what it loads."""

import json
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from contract.server_doubles import record_shop
from contract.test_http_tokens import entry, written
from contract.test_mcp_process import INITIALIZE, SERVE, answer
from contract.throwaway_pki import Pki

SLOW = """
import asyncio, sys
from firstmate import catalogue
from firstmate_tools.cluster.base import Cluster
from firstmate_tools.results import Answer
from firstmate_tools.toolspec import spec_of, tool

@tool(title="Waits")
async def waits(cluster: Cluster, seconds: float = 1.0) -> Answer:
    '''Waits.'''
    await asyncio.sleep(seconds)
    return Answer()

every = catalogue.all_tools
catalogue.all_tools = lambda: [*every(), spec_of(waits)]
from firstmate.cli import main
main(sys.argv[1:])
"""
"""The program with one more tool, which takes as long as it is told."""


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(record_shop(tmp_path_factory.mktemp("shop")))


@contextmanager
def process(snapshot: str, config: Path, content: str, *flags: str, program: str = SLOW) -> Iterator[Any]:
    """A server with this configuration: the process, with its `url` and what it has said on stderr until now."""
    config.write_text(content)
    command = [sys.executable, "-c", program, "serve", "--transport", "http", "--port", "0", "--snapshot", snapshot]
    with subprocess.Popen(
        [*command, "--config", str(config), *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None and server.stderr is not None
        said: list[str] = []
        reading = threading.Thread(target=lambda: said.extend(server.stderr or []), daemon=True)
        reading.start()
        try:
            line = server.stdout.readline()
            assert line, "".join(said)
            server.url, server.said = json.loads(line)["url"], said  # type: ignore[attr-defined]
            yield server
        finally:
            server.kill() if server.poll() is None else None
            server.wait(10)
            reading.join(5)


def legacy_session(url: str) -> str:
    """The id of a session of 2025-11-25."""
    params = {**INITIALIZE, "protocolVersion": "2025-11-25"}
    data = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}).encode()
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=10) as opened:
        return str(opened.headers["mcp-session-id"])


def legacy_call(url: str, seconds: float, into: list[tuple[int, str]]) -> threading.Thread:
    """A call in a session of 2025-11-25, whose answer is an event stream."""
    session = legacy_session(url)
    body = {
        "jsonrpc": "2.0",
        "id": 2,
        "method": "tools/call",
        "params": {"name": "waits", "arguments": {"seconds": seconds}},
    }
    extra = {"mcp-session-id": session, "mcp-protocol-version": "2025-11-25"}
    thread = threading.Thread(target=lambda: into.append(answer(url, body, **extra)))
    thread.start()
    return thread


def modern_call(url: str, seconds: float, into: list[tuple[int, str]]) -> threading.Thread:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": "waits", "arguments": {"seconds": seconds}, "_meta": meta}
    body = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}
    extra = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "waits"}
    thread = threading.Thread(target=lambda: into.append(answer(url, body, **extra)))
    thread.start()
    return thread


@pytest.mark.parametrize("call", [modern_call, legacy_call])
def test_when_told_to_end_calls_under_way_are_answered(snapshot: str, tmp_path: Path, call: Any) -> None:
    got: list[tuple[int, str]] = []
    with process(snapshot, tmp_path / "c.toml", "[http]\ngrace_s = 10") as server:
        thread = call(server.url, 2.0, got)
        time.sleep(1)
        began = time.monotonic()
        server.terminate()
        time.sleep(0.5)
        with pytest.raises(urllib.error.URLError):
            answer(server.url.removesuffix("/mcp") + "/healthz")
        thread.join(10)
        assert server.wait(10) == 0 and time.monotonic() - began < 5
    assert got[0][0] == 200 and '"isError":false' in got[0][1].replace(" ", "")
    assert "Traceback" not in "".join(server.said) and "ERROR" not in "".join(server.said)


@pytest.mark.parametrize("call", [modern_call, legacy_call])
def test_calls_that_outlive_the_grace_are_cancelled(snapshot: str, tmp_path: Path, call: Any) -> None:
    got: list[tuple[int, str]] = []
    with process(snapshot, tmp_path / "c.toml", "[http]\ngrace_s = 1") as server:
        thread = call(server.url, 20.0, got)
        time.sleep(1)
        began = time.monotonic()
        server.terminate()
        thread.join(10)
        assert server.wait(10) == 0 and time.monotonic() - began < 5
    assert got[0][0] == 503 or '"result"' not in got[0][1]
    assert "Traceback" not in "".join(server.said)
    trail = [json.loads(line) for line in server.said if '"tool_call"' in line]
    assert [(one["tool"], one["outcome"]) for one in trail] == [("waits", "cancelled")]


def test_while_it_drains_it_is_not_ready_and_still_answers(snapshot: str, tmp_path: Path) -> None:
    with process(snapshot, tmp_path / "c.toml", "[http]\ndrain_s = 2") as server:
        base = server.url.removesuffix("/mcp")
        assert answer(f"{base}/readyz")[0] == 200
        server.terminate()
        time.sleep(0.5)
        assert answer(f"{base}/readyz") == (503, '{"status":"shutting down"}')
        assert answer(f"{base}/healthz")[0] == 200
        got: list[tuple[int, str]] = []
        modern_call(server.url, 0.1, got).join(10)
        assert got[0][0] == 200
        assert server.wait(10) == 0


def test_open_event_streams_do_not_keep_it_alive(snapshot: str, tmp_path: Path) -> None:
    with process(snapshot, tmp_path / "c.toml", "[http]\ngrace_s = 30") as server:
        got: list[tuple[int, str]] = []
        legacy_call(server.url, 0.1, got).join(10)
        session = legacy_session(server.url)
        stream = urllib.request.Request(server.url, None, {"accept": "text/event-stream", "mcp-session-id": session})
        with urllib.request.urlopen(stream, timeout=10):
            began = time.monotonic()
            server.terminate()
            assert server.wait(10) == 0 and time.monotonic() - began < 4
    assert "Traceback" not in "".join(server.said)


def test_a_second_signal_ends_it_at_once(snapshot: str, tmp_path: Path) -> None:
    with process(snapshot, tmp_path / "c.toml", "[http]\ngrace_s = 60\ndrain_s = 60") as server:
        got: list[tuple[int, str]] = []
        thread = modern_call(server.url, 25.0, got)
        time.sleep(1)
        began = time.monotonic()
        server.terminate()
        time.sleep(0.5)
        assert server.poll() is None
        server.terminate()
        thread.join(10)
        assert server.wait(10) == 0 and time.monotonic() - began < 5


def test_an_interrupt_says_so_in_its_exit_code(snapshot: str, tmp_path: Path) -> None:
    with process(snapshot, tmp_path / "c.toml", "") as server:
        server.send_signal(signal.SIGINT)
        assert server.wait(10) == 130
    assert "Traceback" not in "".join(server.said)


def test_it_serves_tls_where_it_is_given_a_certificate(snapshot: str, tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    certificate, key = pki.pair("localhost", "127.0.0.1")
    (tmp_path / "tls.crt").write_bytes(certificate)
    (tmp_path / "tls.key").write_bytes(key)
    with process(snapshot, tmp_path / "c.toml", '[http]\ntls_cert = "tls.crt"\ntls_key = "tls.key"') as server:
        assert server.url.startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cadata=pki.ca_pem.decode())
        with urllib.request.urlopen(server.url.removesuffix("/mcp") + "/healthz", context=trusting) as response:
            assert response.status == 200
    wrong = tmp_path / "d.toml"
    wrong.write_text('[http]\ntls_cert = "tls.key"\ntls_key = "tls.key"')
    done = subprocess.run(
        [*SERVE, "--transport", "http", "--port", "0", "--snapshot", snapshot, "--config", str(wrong)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "http.tls_cert and http.tls_key cannot be used" in done.stderr


def test_beyond_loopback_it_warns_of_tokens_in_the_clear(snapshot: str, tmp_path: Path) -> None:
    written(tmp_path / "tokens.toml", entry("bot", "t-bot"))
    content = '[http]\ntokens_file = "tokens.toml"\nhost = "0.0.0.0"'
    with process(snapshot, tmp_path / "c.toml", content) as server:
        base = f"http://127.0.0.1:{server.url.rpartition(':')[2]}"
        assert answer(base, {"jsonrpc": "2.0", "id": 1, "method": "tools/list"})[0] == 401
        server.terminate()
        assert server.wait(10) == 0
    assert "without TLS" in "".join(server.said)


def test_oauth_beyond_loopback_needs_the_address_that_tokens_are_for(snapshot: str, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[http.oauth]\nissuer = "https://idp.example"')
    command = [*SERVE, "--transport", "http", "--host", "0.0.0.0", "--snapshot", snapshot]
    done = subprocess.run([*command, "--config", str(tmp_path / "c.toml")], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "http.public_url" in done.stderr


def test_over_stdio_nothing_of_http_is_loaded(snapshot: str, tmp_path: Path) -> None:
    program = SLOW.replace(
        "main(sys.argv[1:])",
        "import atexit, json\n"
        "atexit.register(lambda: sys.stderr.write(json.dumps(sorted(sys.modules))))\n"
        "main(sys.argv[1:])",
    )
    command = [sys.executable, "-c", program, "serve", "--snapshot", snapshot]
    done = subprocess.run(command, input="", capture_output=True, text=True, check=True)
    loaded = json.loads(done.stderr)
    assert "firstmate.mcp.stdio" in loaded
    assert not [name for name in loaded if name.startswith(("firstmate.mcp.web", "firstmate.mcp.http"))]
    assert not {"firstmate.audit", "firstmate.tokenfile", "firstmate.acting"} & set(loaded)
