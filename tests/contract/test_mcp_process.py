"""The server as a process: what it prints, whom it answers, how it ends, which revisions of the protocol it speaks."""

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from contract.server_doubles import record_shop

SERVE = [sys.executable, "-m", "firstmate", "serve"]
MODERN = "2026-07-28"
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
    status, _, text = exchange(address, body, **headers)
    return status, text


def exchange(address: str, body: dict[str, Any] | None = None, **headers: str) -> tuple[int, Mapping[str, str], str]:
    data = None if body is None else json.dumps(body).encode()
    given = {"content-type": "application/json", "accept": "application/json, text/event-stream", **headers}
    request = urllib.request.Request(address, data, given)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.headers, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def message(body: str) -> dict[str, Any]:
    """The JSON-RPC message of an answer, be it plain or the last event of a stream."""
    events = [
        line.removeprefix("data: ") for line in body.splitlines() if line.startswith("data: ") and line != "data: "
    ]
    return json.loads(events[-1] if events else body)


def modern(method: str, version: str = MODERN, **params: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """A request of 2026-07-28, which carries its revision itself, and its headers."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
    headers = {"MCP-Protocol-Version": version, "Mcp-Method": method}
    return body, {**headers, "Mcp-Name": str(params["name"])} if "name" in params else headers


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


def test_requests_of_2026_need_no_session_so_any_replica_can_answer_any_of_them(url: str) -> None:
    body, headers = modern("server/discover")
    status, given, text = exchange(url, body, **headers)
    found = message(text)["result"]
    assert status == 200 and "mcp-session-id" not in given
    assert found["supportedVersions"] == [MODERN]
    assert found["capabilities"]["extensions"] == {"io.modelcontextprotocol/skills": {"directoryRead": True}}
    body, headers = modern("tools/call", name="diagnose", arguments={"namespace": "shop"})
    status, given, text = exchange(url, body, **headers)
    assert status == 200 and "mcp-session-id" not in given
    assert message(text)["result"]["structuredContent"]["outcome"] == "problems_found"


def test_a_revision_that_nobody_speaks_is_refused_with_those_that_it_speaks(url: str) -> None:
    body, headers = modern("tools/list", "2027-01-01")
    status, _, text = exchange(url, body, **headers)
    error = message(text)["error"]
    assert (status, error["code"]) == (400, -32022) and error["data"]["supported"] == [MODERN]


def test_a_session_of_the_older_revisions_is_known_to_the_process_that_opened_it_alone(url: str) -> None:
    """Behind several replicas a proxy has to send a session's requests to one of them; a client that reaches another
    one is told that there is no such session, upon which it opens one."""
    status, given, _ = exchange(url, initialize("2025-11-25"))
    session = given["mcp-session-id"]
    assert status == 200 and session
    headers = {"MCP-Protocol-Version": "2025-11-25"}
    assert (
        exchange(
            url, {"jsonrpc": "2.0", "method": "notifications/initialized"}, **headers, **{"Mcp-Session-Id": session}
        )[0]
        == 202
    )
    listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}}
    status, _, text = exchange(url, listing, **headers, **{"Mcp-Session-Id": session})
    assert status == 200 and message(text)["result"]["tools"][0]["name"] == "clusters"
    assert exchange(url, listing, **headers, **{"Mcp-Session-Id": "0" * 32})[0] == 404
    assert exchange(url, listing, **headers)[0] == 400


def test_over_stdio_the_first_request_decides_the_era(snapshot: str) -> None:
    def first(*bodies: dict[str, Any]) -> list[dict[str, Any]]:
        command = [*SERVE, "--snapshot", snapshot]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdin is not None and server.stdout is not None
            server.stdin.write("".join(json.dumps(one) + "\n" for one in bodies))
            server.stdin.flush()
            # All answers are read before its input ends: the end drops what is under way.
            return [json.loads(server.stdout.readline()) for _ in bodies]

    discover, later = modern("server/discover")[0], {**initialize("2025-11-25"), "id": 2}
    answers = {one["id"]: one for one in first(discover, later)}
    assert answers[1]["result"]["supportedVersions"] == [MODERN]
    assert answers[2]["error"]["code"] == -32022
    answers = {one["id"]: one for one in first(initialize("2024-11-05"), {**discover, "id": 2})}
    assert answers[1]["result"]["protocolVersion"] == "2024-11-05"
    assert answers[2]["error"]["code"] == -32600


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
