"""How much may be asked over HTTP: of one caller, of all together, of strangers; sizes and times of requests."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from contract.test_http_tokens import entry, written
from contract.web_doubles import LEGACY, Served, serving

from firstmate.mcp.web.gate import peer_of
from firstmate.mcp.web.limits import Rate, Slots, TooManyError
from firstmate_tools.cluster.base import Cluster
from firstmate_tools.results import Answer
from firstmate_tools.toolspec import ToolSpec, spec_of, tool

pytestmark = pytest.mark.anyio


@tool(title="Waits")
async def waits(cluster: Cluster, seconds: float = 1.0) -> Answer:
    """Waits."""
    await asyncio.sleep(seconds)
    return Answer()


def waiting() -> list[ToolSpec]:
    spec = spec_of(waits)
    assert spec is not None
    return [spec]


@pytest.fixture
def tokens(tmp_path: Path) -> str:
    return str(written(tmp_path / "tokens.toml", entry("ann", "t-ann"), entry("bob", "t-bob")))


async def test_a_caller_who_asks_too_often_is_told_when_to_come_again_and_nobody_else_is(tokens: str) -> None:
    async with serving(tokens_file=tokens, limits={"per_second": 0.05, "burst": 3}) as served:
        answers = [await served.post(token="t-ann") for _ in range(4)]
        assert [one.status_code for one in answers] == [200, 200, 200, 429]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 20
        assert answers[-1].json()["error"] == "too_many_requests"
        assert (await served.post(token="t-bob")).status_code == 200
        forged = [await served.post(token="t-ann", **{"x-forwarded-for": f"10.0.0.{n}"}) for n in range(3)]
        assert {one.status_code for one in forged} == {429}


async def test_strangers_use_up_their_own_share_alone(tokens: str) -> None:
    async with serving(tokens_file=tokens, limits={"per_second": 0.1, "burst": 3}) as served:
        assert [(await served.post(token="guess")).status_code for _ in range(5)] == [401, 401, 401, 429, 429]
        assert (await served.post(token="t-ann")).status_code == 200
        assert [(await served.get("/healthz")).status_code for _ in range(4)] == [200, 200, 200, 429]
        assert (await served.get("/readyz")).status_code == 200


async def test_calls_at_the_same_time_are_bounded_for_each_and_for_all(tokens: str) -> None:
    limits = {"per_caller": 2, "overall": 3}
    async with serving(tokens_file=tokens, tools=waiting(), limits=limits) as served:
        calls = [asyncio.create_task(served.call("waits", token="t-ann")) for _ in range(2)]
        await asyncio.sleep(0.3)
        third = await served.call("waits", token="t-ann")
        assert third.status_code == 429 and third.headers["retry-after"] == "1"
        calls.append(asyncio.create_task(served.call("waits", token="t-bob")))
        await asyncio.sleep(0.2)
        fourth = await served.call("waits", token="t-bob")
        assert fourth.status_code == 503 and fourth.json()["error"] == "busy"
        assert {one.status_code for one in await asyncio.gather(*calls)} == {200}
        assert (await served.call("waits", {"seconds": 0}, token="t-ann")).status_code == 200  # given back


async def test_where_nobody_is_asked_on_loopback_only_what_holds_for_all_holds() -> None:
    limits = {"per_second": 0.1, "burst": 1, "per_caller": 1, "overall": 2, "sessions_per_caller": 1}
    async with serving(tools=waiting(), limits=limits) as served:
        assert {(await served.post()).status_code for _ in range(5)} == {200}
        assert {(await served.get("/healthz")).status_code for _ in range(5)} == {200}
        await served.open_session("")
        await served.open_session("")
        answers = await asyncio.gather(*(served.call("waits") for _ in range(3)))
        assert sorted(one.status_code for one in answers) == [200, 200, 503]


async def test_strangers_beyond_loopback_each_have_their_own_share() -> None:
    limits = {"per_second": 0.1, "burst": 2}
    async with serving(limits=limits, trusted_proxies=["127.0.0.1"]) as served:
        first = [(await served.post(**{"x-forwarded-for": "203.0.113.7"})).status_code for _ in range(3)]
        other = await served.post(**{"x-forwarded-for": "203.0.113.8"})
        assert first == [200, 200, 429] and other.status_code == 200
        same64 = [await served.post(**{"x-forwarded-for": f"2001:db8::{n}"}) for n in (1, 2, 3)]
        assert [one.status_code for one in same64] == [200, 200, 429]


async def test_a_request_that_is_too_large_is_refused_however_it_comes(tokens: str) -> None:
    async def chunks() -> Any:
        for _ in range(40):
            yield b" " * 100

    async with serving(tokens_file=tokens, limits={"body_bytes": 2048}) as served:
        headers = {"authorization": "Bearer t-ann", "content-type": "application/json"}
        async with httpx2.AsyncClient() as client:
            assert (await client.post(served.url, content=b" " * 3000, headers=headers)).status_code == 413
            assert (await client.post(served.url, content=chunks(), headers=headers)).status_code == 413
        assert (await served.post(token="t-ann")).status_code == 200


async def raw(served: Served, sent: bytes, patience: float = 5) -> tuple[bytes, float]:
    """What comes back for these bytes until the server hangs up, and after how long."""
    port = int(served.base.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()
    writer.write(sent)
    try:
        return await asyncio.wait_for(reader.read(), patience), time.monotonic() - began
    finally:
        writer.close()


async def test_a_request_that_comes_too_slowly_is_given_up(tokens: str) -> None:
    async with serving(tokens_file=tokens, limits={"body_s": 0.4, "header_s": 0.4}) as served:
        head = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer t-ann\r\nContent-Length: 500\r\n"
        body, seconds = await raw(served, head + b"\r\n{")
        assert body.startswith(b"HTTP/1.1 408") and seconds < 2
        for slow in (b"", head):
            answer, seconds = await raw(served, slow)
            assert answer == b"" and seconds < 2


async def test_headers_that_are_too_large_are_refused(tokens: str) -> None:
    async with serving(tokens_file=tokens, limits={"header_bytes": 2048}) as served:
        answer, _ = await raw(served, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 70_000)
        assert answer.startswith(b"HTTP/1.1 400")


async def test_the_body_is_only_read_for_who_is_known(tokens: str) -> None:
    async with serving(tokens_file=tokens) as served:
        answer, seconds = await raw(
            served, b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 500\r\n\r\n"
        )
        assert answer.startswith(b"HTTP/1.1 401") and seconds < 1


async def test_deep_or_broken_json_is_an_answer_not_a_fault(tokens: str) -> None:
    async with serving(tokens_file=tokens) as served:
        headers = {
            "authorization": "Bearer t-ann",
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
        }
        async with httpx2.AsyncClient() as client:
            for body in (b"[" * 100_000, b"{", b"\xff", b"[]", b"1", json.dumps({"method": ["x"]}).encode()):
                assert (await client.post(served.url, content=body, headers=headers)).status_code == 400


async def test_sessions_of_one_caller_are_bounded_until_they_are_closed_or_forgotten(tokens: str) -> None:
    limits = {"sessions_per_caller": 2, "session_idle_s": 1.5}
    async with serving(tokens_file=tokens, limits=limits) as served:
        first, _ = [await served.open_session("t-ann") for _ in range(2)]
        params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        third = await served.post("initialize", params, token="t-ann", version=LEGACY)
        assert third.status_code == 429 and int(third.headers["retry-after"]) <= 2
        await served.open_session("t-bob")
        async with httpx2.AsyncClient() as client:
            await client.delete(served.url, headers={"authorization": "Bearer t-ann", "mcp-session-id": first})
        await served.open_session("t-ann")
        assert (await served.post("initialize", params, token="t-ann", version=LEGACY)).status_code == 429
        await asyncio.sleep(1.6)
        await served.open_session("t-ann")


async def test_open_event_streams_of_one_caller_are_bounded_and_take_no_place_of_calls(tokens: str) -> None:
    limits = {"streams_per_caller": 1, "per_caller": 1}
    async with serving(tokens_file=tokens, limits=limits) as served, httpx2.AsyncClient(timeout=20) as client:
        headers = {"authorization": "Bearer t-ann", "accept": "text/event-stream", "mcp-protocol-version": LEGACY}
        first, second = [{**headers, "mcp-session-id": await served.open_session("t-ann")} for _ in range(2)]
        async with client.stream("GET", served.url, headers=first) as held:
            assert held.status_code == 200
            assert (await client.get(served.url, headers=second)).status_code == 429
            assert (await served.post(token="t-ann")).status_code == 200


async def test_sessions_that_a_caller_makes_up_take_no_place_of_those_that_are_open(tokens: str) -> None:
    async with serving(tokens_file=tokens, limits={"sessions_per_caller": 2}) as served:
        for number in range(3):
            answer = await served.post(token="t-ann", **{"mcp-session-id": f"made-up-{number}"})
            assert answer.status_code == 200
        await served.open_session("t-ann")


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::2", "2001:db8::/64"),
        ("::1", "::1"),
    ],
)
def test_strangers_are_told_apart_by_their_address_and_by_their_network_where_that_is_one_persons(
    host: str, counted: str
) -> None:
    assert peer_of({"client": (host, 1)}) == counted


def test_a_bucket_refills_and_forgets_whom_it_has_not_seen() -> None:
    rate = Rate(per_second=2, burst=2)
    rate.take("a", 0)
    rate.take("a", 0)
    with pytest.raises(TooManyError) as caught:
        rate.take("a", 0)
    assert caught.value.wait_s == 0.5
    rate.take("a", 0.5)
    for number in range(20_000):
        rate.take(number, 1)
    assert len(rate._buckets) <= 10_000


def test_slots_are_given_back_when_a_call_fails() -> None:
    slots = Slots(each=1, all=1)
    with pytest.raises(ValueError), slots.one("a"):
        raise ValueError
    with slots.one("b"), pytest.raises(TooManyError) as caught, slots.one("c"):
        pass
    assert caught.value.everybody
