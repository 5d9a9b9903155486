"""A call that takes its time: it says so to who asked, and ends at the socket when its client cancels it.

The cluster is an API server that holds its answer back. Over HTTP a client of 2026-07-28 cancels by closing the stream
of the answer; the others, and all over stdio, by a notification.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from contract.eras import MODERN, connected
from contract.fake_api import FakeApi, Reply, fake_api, listing
from mcp import Client, StdioServerParameters

from firstmate.calls import Calls
from firstmate.catalogue import all_tools
from firstmate.clusters import ConfiguredClusters
from firstmate.mcp.server import build
from firstmate.settings import Settings

pytestmark = pytest.mark.anyio
VERSIONS = ("2024-11-05", "2025-11-25", MODERN)
PODS = "/api/v1/pods"
AT_ONCE_S = 1.0
ARGUMENTS: dict[str, Any] = {"unhealthy_only": True}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def held(anyio_backend: str) -> AsyncIterator[FakeApi]:
    async with fake_api() as server:
        yield server


@pytest.fixture
def api(held: FakeApi) -> FakeApi:
    """The API server, as if nobody had asked it anything."""
    held.forget()
    return held


@pytest.fixture(
    scope="module", params=[(way, version) for way in ("memory", "stdio", "http") for version in VERSIONS], ids="-".join
)
async def client(
    request: pytest.FixtureRequest, held: FakeApi, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Client]:
    transport, version = request.param
    kubeconfig = str(held.kubeconfig(tmp_path_factory.mktemp("kubeconfig")))
    command = ["-m", "firstmate", "serve", "--kubeconfig", kubeconfig]
    if transport == "memory":
        server = build(Calls(ConfiguredClusters(Settings(kubeconfig=kubeconfig)), all_tools()))
        async with connected(server, version) as found:
            yield found
        await server.close()
    elif transport == "stdio":
        async with connected(StdioServerParameters(command=sys.executable, args=command), version) as found:
            yield found
    else:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            "--transport",
            "http",
            "--port",
            "0",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "FIRSTMATE_HTTP__GRACE_S": "0"},
        )
        assert process.stdout is not None
        try:
            async with connected(json.loads(await process.stdout.readline())["url"], version) as found:
                yield found
        finally:
            process.terminate()
            await process.wait()


async def test_a_cancelled_call_ends_at_the_socket_and_asks_nothing_more(client: Client, api: FakeApi) -> None:
    api.on(PODS, Reply(after=60))
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "pod_status", ARGUMENTS)
            await api.arrival(PODS)
            group.cancel_scope.cancel()
        with anyio.fail_after(AT_ONCE_S):
            await api.departure()
        asked = len(api.seen)
        await asyncio.sleep(AT_ONCE_S / 2)
        assert len(api.seen) == asked and len(api.asked(PODS)) == 1
        api.on(PODS, listing())
        assert not (await client.call_tool("pod_status", ARGUMENTS)).is_error, "and the connection is as good as before"


async def test_a_read_that_two_calls_share_goes_on_when_one_of_them_is_cancelled(client: Client, api: FakeApi) -> None:
    api.on(PODS, Reply(listing().body, after=1.5))
    answers: list[Any] = []

    async def other() -> None:
        answers.append(await client.call_tool("pod_status", ARGUMENTS))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as mine:
                group.start_soon(other)
                await api.arrival(PODS)
                async with anyio.create_task_group() as cancelled:
                    cancelled.start_soon(client.call_tool, "pod_status", ARGUMENTS)
                    await asyncio.sleep(0.3)
                    mine.cancel()
    assert [one.is_error for one in answers] == [False]
    assert len(api.asked(PODS)) == 1 and api.dropped == 0


async def test_progress_grows_strictly(client: Client, api: FakeApi) -> None:
    api.on(PODS, Reply(listing().body, after=2.5))
    seen: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        assert message is not None and message.startswith("pod_status: ") and "requests: " in message
        seen.append(progress)

    with anyio.fail_after(20):
        result = await client.call_tool("pod_status", ARGUMENTS, progress_callback=note)
    assert not result.is_error
    assert len(seen) >= 2 and seen == sorted(set(seen))


@pytest.mark.parametrize("token", [{}, {"progressToken": "t"}], ids=["silent", "asked"])
async def test_only_who_asked_for_progress_hears_of_it(api: FakeApi, tmp_path: Path, token: dict[str, str]) -> None:
    api.on(PODS, Reply(listing().body, after=1.3))
    command = [sys.executable, "-m", "firstmate", "serve", "--kubeconfig", str(api.kubeconfig(tmp_path))]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert process.stdin is not None and process.stdout is not None
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        **token,
    }
    call = {"name": "pod_status", "arguments": ARGUMENTS, "_meta": meta}
    process.stdin.write(
        json.dumps({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": call}).encode() + b"\n"
    )
    first = json.loads(await process.stdout.readline())
    assert first.get("method") == ("notifications/progress" if token else None)
    last = first
    while token and last.get("method") == "notifications/progress":  # one a second, and the machine may be busy
        last = json.loads(await process.stdout.readline())
    assert last["id"] == 7 and last["result"]["isError"] is False
    process.stdin.close()
    assert await process.wait() == 0
