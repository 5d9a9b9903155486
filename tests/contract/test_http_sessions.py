"""Callers over HTTP: sessions are their own, clients work end to end, logs and trail name them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from builders import ago, deployment, obj, pod, replica_set
from contract.server_doubles import Clusters, shop
from contract.test_http_tokens import entry, written
from contract.throwaway_issuer import Issuer
from contract.web_doubles import LEGACY, MODERN, Served, result_of, serving
from doubles import FakeCluster
from mcp import Client
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client

from firstmate.caller import LOCAL, current
from firstmate_tools.results import Answer
from firstmate_tools.toolspec import ToolSpec, spec_of, tool

pytestmark = pytest.mark.anyio


@tool(title="Who", given="nothing", family="read")
async def who() -> Answer:
    """Who."""
    heard.append(current().user)
    return Answer()


@tool(title="Change", given="nothing", family="apply")
async def change() -> Answer:
    """Change."""
    heard.append(f"{current().user} changed something")
    return Answer()


heard: list[str] = []


def tools() -> list[ToolSpec]:
    found = [spec_of(who), spec_of(change)]
    return [spec for spec in found if spec is not None]


@pytest.fixture
def tokens(tmp_path: Path) -> str:
    every = '"firstmate:read", "firstmate:logs", "firstmate:apply"'
    ann, bob = entry("ann", "t-ann", every), entry("bob", "t-bob")
    return str(written(tmp_path / "tokens.toml", ann, bob, entry("eve", "t-eve", '"firstmate:read"')))


@pytest.fixture
async def served(tokens: str, anyio_backend: str) -> AsyncIterator[Served]:
    heard.clear()
    async with serving(tokens_file=tokens, tools=tools()) as found:
        yield found


async def test_a_session_is_of_no_use_to_another_caller(served: Served) -> None:
    session = await served.open_session("t-ann")
    mine = {"version": LEGACY, "mcp-session-id": session}
    assert (await served.call("who", token="t-ann", **mine)).status_code == 200
    stolen = await served.call("who", token="t-bob", **mine)
    assert stolen.status_code == 404
    async with httpx2.AsyncClient() as client:
        headers = {"mcp-session-id": session, "authorization": "Bearer t-bob", "accept": "text/event-stream"}
        assert (await client.get(served.url, headers=headers)).status_code == 404
        assert (await client.delete(served.url, headers=headers)).status_code == 404
    assert (await served.call("who", **mine)).status_code == 401
    assert (await served.call("who", token="t-ann", **mine)).status_code == 200
    assert heard == ["ann", "ann"]


@pytest.mark.parametrize("version", [MODERN, LEGACY])
async def test_each_call_runs_as_whoever_sent_it(served: Served, version: str) -> None:
    for name in ("ann", "bob"):
        session = {} if version == MODERN else {"mcp-session-id": await served.open_session(f"t-{name}")}
        assert (await served.call("who", token=f"t-{name}", version=version, **session)).status_code == 200
    assert heard == ["ann", "bob"] == [line["caller"]["user"] for line in served.trail]
    assert current() is LOCAL


async def test_a_tool_that_changes_needs_its_own_scope(served: Served) -> None:
    assert (await served.call("change", token="t-bob")).status_code == 403
    assert (await served.call("change", token="t-ann")).status_code == 200
    assert heard == ["ann changed something"]
    assert [line["outcome"] for line in served.trail] == ["insufficient_scope", "ok"]


async def test_a_call_that_the_gate_cannot_read_is_still_refused_where_tools_are_called(served: Served) -> None:
    params = {"name": "change", "arguments": {}, "_meta": {}}
    session = await served.open_session("t-bob")
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode("utf-16")
    headers = {
        "authorization": "Bearer t-bob",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": LEGACY,
        "mcp-session-id": session,
    }
    async with httpx2.AsyncClient() as client:
        answer = await client.post(served.url, content=body, headers=headers)
    assert answer.status_code == 400 or "insufficient_scope" in answer.text
    assert heard == []


async def test_nobody_changes_anything_where_nobody_is_authenticated() -> None:
    heard.clear()
    async with serving(tools=tools()) as served:
        assert (await served.call("who")).status_code == 200
        assert (await served.call("change")).status_code == 403
    assert heard == ["anonymous"]


async def test_the_caller_behind_a_call_cannot_be_named_by_the_call(served: Served) -> None:
    headers = {"impersonate-user": "system:admin", "x-forwarded-user": "ann", "x-remote-user": "ann"}
    assert (await served.call("who", token="t-bob", **headers)).status_code == 200
    assert heard == ["bob"]


async def test_foreign_hosts_and_origins_are_refused_with_a_good_token(served: Served) -> None:
    assert (await served.post(token="t-ann", host="evil.example")).status_code == 421
    assert (await served.post(token="t-ann", origin="https://evil.example")).status_code == 403
    assert (await served.post(token="t-ann", origin="http://localhost:6274")).status_code == 200


async def test_the_public_name_is_an_accepted_host(tokens: str) -> None:
    async with serving(tokens_file=tokens, public_url="https://firstmate.shop.example/mcp") as served:
        assert (await served.post(token="t-ann", host="firstmate.shop.example")).status_code == 200
        assert (await served.post(token="t-ann", host="firstmate.shop.example.evil.example")).status_code == 421


def crashing() -> FakeCluster:
    template = {"metadata": {"labels": {"app": "cart"}}, "spec": {"containers": [{"name": "app", "image": "i"}]}}
    ended = {"exitCode": 1, "reason": "Error", "startedAt": ago(70), "finishedAt": ago(60)}
    owned = {"owned_by": ("ReplicaSet", "cart-7d"), "labels": {"app": "cart"}}
    looping = pod("cart-7d-x", waiting="CrashLoopBackOff", restarts=9, last=ended, **owned)
    return FakeCluster(
        obj("Namespace", "shop", None),
        obj("ServiceAccount", "default", "shop"),
        deployment("cart", template=template, status={"replicas": 1, "unavailableReplicas": 1}),
        replica_set("cart-7d", of="cart", template=template),
        looping,
        logs={"cart-7d-x/app": "boom: s3cret\n", "cart-7d-x/app/previous": "boom: s3cret\n"},
    )


async def test_without_the_scope_for_logs_a_diagnosis_goes_on_and_says_so(tokens: str) -> None:
    async with serving(Clusters(prod=crashing()), tokens_file=tokens) as served:
        without = result_of(await served.call("diagnose", {"namespace": "shop"}, token="t-eve"))["structuredContent"]
        with_logs = result_of(await served.call("diagnose", {"namespace": "shop"}, token="t-bob"))["structuredContent"]
    missing = {one["what"]: one for one in without["coverage"]["not_checked"]}["pods/log"]
    assert missing["why"] == "denied" and "firstmate:logs" in missing["how_to_enable"]
    assert "boom" not in json.dumps(without)
    assert "pods/log" in with_logs["coverage"]["checked"]


@pytest.mark.parametrize(("mode", "version"), [("auto", MODERN), ("legacy", LEGACY)])
async def test_the_sdks_client_works_with_a_token(tokens: str, mode: Any, version: str) -> None:
    async with (
        serving(tokens_file=tokens) as served,
        httpx2.AsyncClient(headers={"authorization": "Bearer t-bob"}) as carrying,
        Client(streamable_http_client(served.url, http_client=carrying), mode=mode) as client,
    ):
        assert client.protocol_version == version
        assert "logs" in [one.name for one in (await client.list_tools()).tools]
        found = await client.call_tool("diagnose", {"namespace": "shop"})
        assert found.structured_content is not None
        assert found.structured_content["root_causes"][0]["cause"] == "image-not-found"
        assert (await client.read_resource("runbook://oomkilled")).contents
        assert (await client.list_prompts()).prompts
    (line,) = served.trail
    assert line["caller"]["user"] == "bob" and line["outcome"] == "problems_found"


class _Memory:
    """Where the SDK's client keeps what it was given."""

    def __init__(self) -> None:
        self.tokens: Any = None
        self.client: Any = None

    async def get_tokens(self) -> Any:
        return self.tokens

    async def set_tokens(self, tokens: Any) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> Any:
        return self.client

    async def set_client_info(self, client_info: Any) -> None:
        self.client = client_info


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_sdks_client_finds_its_way_to_a_token_and_to_a_wider_one(anyio_backend: str, mode: Any) -> None:
    async with Issuer().running() as issuer, serving(oauth={"issuer": issuer.url}) as served:
        memory = _Memory()
        auth = ClientCredentialsOAuthProvider(
            served.url, memory, "chat-ops", "s3cret", "client_secret_post", issuer=issuer.url
        )
        async with (
            httpx2.AsyncClient(auth=auth) as carrying,
            Client(streamable_http_client(served.url, http_client=carrying), mode=mode) as client,
        ):
            assert "logs" not in [one.name for one in (await client.list_tools()).tools]
            assert memory.tokens.scope == "firstmate:read" and issuer.asked["/token"] == 1
            found = await client.call_tool("logs", {"scope": "pod/web", "namespace": "shop"})
            assert not found.is_error and issuer.asked["/token"] == 2
            assert set(memory.tokens.scope.split()) == {"firstmate:read", "firstmate:logs"}
        assert [line["outcome"] for line in served.trail] == ["insufficient_scope", "ok"]


async def test_the_access_log_says_who_did_what_and_nothing_they_said(
    tokens: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(Clusters(prod=shop()), tokens_file=tokens) as served:
        await served.call("pod_status", {"namespace": "shop"}, token="t-bob")
        await served.call("s3cret tool", {"namespace": "shop"}, token="t-bob", **{"mcp-protocol-version": "s3 cret"})
        await served.get("/s3cret?token=t-bob")
        await served.post(token="t-nobody")
    err = capsys.readouterr().err
    lines = [json.loads(line) for line in err.splitlines() if line.startswith('{"event":"http_request"')]
    first = lines[0]
    assert first["method"] == "POST" and first["path"] == "/mcp" and first["status"] == 200
    assert first["caller"] == "bob" and first["protocol"] == MODERN and first["bytes"] > 100 and first["ms"] >= 0
    assert (first["mcp"], first["tool"]) == ("tools/call", "pod_status")
    assert first["request"] == served.trail[0]["request"]
    assert (lines[1]["tool"], lines[2]["path"], lines[3]["why"]) == ("(other)", "(other)", "invalid_token")
    assert not any(word in err for word in ("s3cret", "s3 cret", "t-bob", "t-nobody", "shop"))


async def test_the_access_log_can_be_turned_off(tokens: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(tokens_file=tokens, access_log=False) as served:
        await served.post(token="t-bob")
    assert "http_request" not in capsys.readouterr().err


async def test_ready_means_that_a_cluster_answers(anyio_backend: str) -> None:
    from firstmate_tools.errors import UnreachableError

    gone = UnreachableError("No connection to https://10.0.0.1.")
    async with serving(Clusters(prod=gone, stage=shop())) as served:
        assert (await served.get("/readyz")).status_code == 200
    async with serving(Clusters(prod=gone)) as served:
        answer = await served.get("/readyz")
        assert (answer.status_code, answer.json()) == (503, {"status": "no cluster to answer from"})
        assert (await served.get("/healthz")).status_code == 200
