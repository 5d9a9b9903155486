"""What a call over MCP does besides answering: progress, cancellation, masking."""

import asyncio
from collections.abc import Awaitable, Callable

import anyio
import pytest
from contract.server_doubles import Clusters, shop
from mcp import Client, MCPError

from firstmate.calls import Calls
from firstmate.mcp.server import FirstmateServer, build
from firstmate.runbooks.library import Library
from firstmate_tools.cluster.base import Cluster
from firstmate_tools.errors import UnreachableError
from firstmate_tools.kinds import POD
from firstmate_tools.reads import Read
from firstmate_tools.results import Answer
from firstmate_tools.toolspec import spec_of, tool


def serving(function: Callable[..., Awaitable[Answer]], clusters: Clusters | None = None) -> FirstmateServer:
    spec = spec_of(function)
    assert spec is not None
    return build(Calls(clusters or Clusters(prod=shop()), [spec]))


@tool(title="Slow", reads=(Read(POD),))
async def slow(cluster: Cluster, seconds: float = 2.3) -> Answer:
    """Takes its time."""
    await cluster.list(POD)
    await asyncio.sleep(seconds)
    return Answer()


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_call_that_takes_over_a_second_reports_progress(mode: str) -> None:
    seen: list[tuple[float, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, message))

    async with Client(serving(slow), mode=mode) as client:
        await client.call_tool("slow", {"seconds": 0.2}, progress_callback=note)
    assert seen == []
    async with Client(serving(slow), mode=mode) as client:
        await client.call_tool("slow", {"seconds": 2.3}, progress_callback=note)
    assert seen == [(1, "slow: 1 s, requests: 1"), (2, "slow: 2 s, requests: 1")]


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_cancelling_a_call_stops_its_work(mode: str) -> None:
    stopped = anyio.Event()

    @tool(title="Waits")
    async def waits(cluster: Cluster) -> Answer:
        """Waits until it is cancelled."""
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped.set()
            raise
        return Answer()

    async with Client(serving(waits), mode=mode) as client:
        with anyio.move_on_after(0.3):
            await client.call_tool("waits", {})
        with anyio.fail_after(5):
            await stopped.wait()


@pytest.mark.anyio
async def test_a_fault_of_ours_is_an_error_result_without_its_words() -> None:
    @tool(title="Breaks")
    async def breaks(cluster: Cluster) -> Answer:
        """Breaks."""
        raise RuntimeError("password=hunter2")

    async with Client(serving(breaks)) as client:
        result = await client.call_tool("breaks", {})
    assert result.is_error
    assert result.content[0].text.startswith("Internal error ")
    assert "hunter2" not in result.content[0].text


@pytest.mark.anyio
async def test_an_unreachable_cluster_is_an_error_result_with_advice_and_without_secrets() -> None:
    error = UnreachableError("No connection to https://admin:hunter2@10.0.0.1:6443.", "Check the network.")
    async with Client(serving(slow, Clusters(prod=error))) as client:
        result = await client.call_tool("slow", {})
    assert result.is_error
    assert (
        result.content[0].text == "No connection to https://admin:[redacted:password]@10.0.0.1:6443. Check the network."
    )


@pytest.mark.anyio
async def test_without_any_cluster_the_server_still_starts_and_says_so() -> None:
    async with Client(serving(slow, Clusters())) as client:
        assert [one.name for one in (await client.list_tools()).tools] == ["slow"]
        result = await client.call_tool("slow", {})
    assert result.is_error and "No cluster is configured" in result.content[0].text


@pytest.mark.anyio
async def test_tools_that_others_register_on_the_server_work_beside_ours() -> None:
    server = serving(slow)

    @server.tool()
    async def extra(word: str) -> str:
        """Not ours."""
        return word

    async with Client(server) as client:
        assert [one.name for one in (await client.list_tools()).tools] == ["slow", "extra"]
        result = await client.call_tool("extra", {"word": "hello"})
    assert result.content[0].text == "hello"


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_fault_while_a_resource_is_read_repeats_neither_its_words_nor_the_address(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: Library, name: str) -> None:
        raise ZeroDivisionError("of our insides")

    monkeypatch.setattr(Library, "find", fails)
    async with Client(serving(slow), mode=mode) as client:
        with pytest.raises(MCPError) as caught:
            await client.read_resource("runbook://hvs.AbCdEfGhIjKlMnOpQrSt1234")
    said = f"{caught.value} {caught.value.error}"
    assert "Internal error" in said and "AbCdEf" not in said and "insides" not in said
