"""The server as a process: what it prints, whom it answers, how it ends, which revisions of the protocol it speaks."""

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from contract.server_doubles import record_shop

SERVE = [sys.executable, "-m", "firstmate", "serve"]
INITIALIZE = {"protocolVersion": "", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(record_shop(tmp_path_factory.mktemp("shop")))


@pytest.fixture(scope="module")
def url(snapshot: str) -> Iterator[str]:
    command = [*SERVE, "--transport", "http", "--port", "0", "--snapshot", snapshot]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None and server.stderr is not None
        told = json.loads(server.stdout.readline())
        assert server.stderr.readline() == f"firstmate listens on {told['url']}\n"
        assert told["url"] == f"http://127.0.0.1:{told['port']}/mcp" and told["port"] > 0
        yield told["url"]
        server.terminate()
        assert server.wait(10) == 0
        assert "Traceback" not in server.stderr.read()


def answer(address: str, body: dict[str, Any] | None = None, **headers: str) -> tuple[int, str]:
    data = None if body is None else json.dumps(body).encode()
    given = {"content-type": "application/json", "accept": "application/json, text/event-stream", **headers}
    request = urllib.request.Request(address, data, given)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def initialize(version: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {**INITIALIZE, "protocolVersion": version}}


def test_probes_are_answered(url: str) -> None:
    base = url.removesuffix("/mcp")
    assert answer(f"{base}/healthz") == (200, '{"status":"ok"}')
    assert answer(f"{base}/readyz") == (200, '{"status":"ok"}')


def test_foreign_hosts_and_origins_are_refused(url: str) -> None:
    assert answer(url, initialize("2025-11-25"), Host="evil.example")[0] == 421
    assert answer(url, initialize("2025-11-25"), Origin="http://evil.example")[0] == 403
    assert answer(url, initialize("2025-11-25"), Origin="http://localhost:3000")[0] == 200


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
def test_every_older_revision_is_spoken(url: str, version: str) -> None:
    status, body = answer(url, initialize(version))
    assert status == 200 and f'"protocolVersion":"{version}"' in body.replace(" ", "")


def test_without_a_cluster_it_lives_but_is_not_ready(tmp_path: Path) -> None:
    command = [*SERVE, "--transport", "http", "--port", "0"]
    environment = {"HOME": str(tmp_path), "KUBECONFIG": str(tmp_path / "none")}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as server:
        assert server.stdout is not None
        base = json.loads(server.stdout.readline())["url"].removesuffix("/mcp")
        assert answer(f"{base}/healthz")[0] == 200
        assert answer(f"{base}/readyz")[0] == 503
        server.terminate()


def test_a_port_that_is_taken_is_a_sentence(url: str, snapshot: str) -> None:
    port = url.removesuffix("/mcp").rpartition(":")[2]
    command = [*SERVE, "--transport", "http", "--port", port, "--snapshot", snapshot]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"Cannot listen on 127.0.0.1 port {port}" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("how", ["end of input", "SIGINT", "SIGTERM"])
def test_over_stdio_it_ends_quietly(snapshot: str, how: str) -> None:
    with subprocess.Popen(
        [*SERVE, "--snapshot", snapshot],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdin is not None and server.stdout is not None and server.stderr is not None
        server.stdin.write(json.dumps(initialize("2025-11-25")) + "\n")
        server.stdin.flush()
        assert json.loads(server.stdout.readline())["result"]["serverInfo"]["name"] == "firstmate"
        if how == "end of input":
            server.stdin.close()
        else:
            server.send_signal(getattr(signal, how))
        assert server.wait(10) == {"end of input": 0, "SIGINT": 130, "SIGTERM": 143}[how]
        assert server.stderr.read() == ""
        assert server.stdout.read() == ""


def test_a_wrong_configuration_is_a_sentence_before_anything_is_served(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("clusterz = 1")
    done = subprocess.run([*SERVE, "--config", str(tmp_path / "c.toml")], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert "Unknown key `clusterz`" in done.stderr and "Did you mean `clusters`?" in done.stderr
