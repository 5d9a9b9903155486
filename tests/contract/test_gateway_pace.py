"""How hard the gateway asks: pace, waiting when told to, deadlines, sharing, cancelling."""

import asyncio
import time
from pathlib import Path

import pytest
from contract.fake_api import FakeApi, Reply, listing, named, status
from hypothesis import given
from hypothesis import strategies as st

from firstmate_tools.cluster.gateway import Clock
from firstmate_tools.cluster.limits import Deadline, Limits, Pace
from firstmate_tools.cluster.live import LiveSource
from firstmate_tools.errors import TimedOutError
from firstmate_tools.kinds import NODE, POD
from firstmate_tools.reads import AnyKindButSecrets, Grant

GRANT = Grant.of([AnyKindButSecrets()])
PODS = "/api/v1/namespaces/shop/pods"
GOOD = listing(*named("a"))


def busy(seconds: str | None) -> Reply:
    reply = status(429, "TooManyRequests", "Too many requests, please try again later.")
    reply.headers = {"Retry-After": seconds} if seconds is not None else {}
    return reply


@pytest.mark.anyio
async def test_a_429_is_waited_out_as_long_as_it_says(api: FakeApi, source: LiveSource) -> None:
    api.on(PODS, busy("1"), GOOD)
    async with source.open(GRANT) as cluster:
        began = time.monotonic()
        assert len((await cluster.list(POD, namespace="shop")).items) == 1
        assert 0.95 <= time.monotonic() - began < 2
        assert cluster.usage.by_resource["pods"] == 2


@pytest.mark.anyio
async def test_a_429_holds_the_other_requests_back_too(api: FakeApi, source: LiveSource) -> None:
    api.on(PODS, busy("1"), GOOD)
    api.on("/api/v1/nodes", GOOD)
    async with source.open(GRANT) as cluster:
        first = asyncio.create_task(cluster.list(POD, namespace="shop"))
        await api.arrival(PODS)
        await asyncio.sleep(0.05)
        began = time.monotonic()
        await cluster.list(NODE)
        assert time.monotonic() - began > 0.7
        await first


@pytest.mark.anyio
async def test_a_429_beyond_the_deadline_is_not_waited_for(api: FakeApi, source: LiveSource) -> None:
    api.on(PODS, busy("60"), GOOD)
    async with source.open(GRANT, deadline_s=5) as cluster:
        began = time.monotonic()
        with pytest.raises(TimedOutError, match="429"):
            await cluster.list(POD, namespace="shop")
        assert time.monotonic() - began < 1
    assert len(api.asked(PODS)) == 1


@pytest.mark.anyio
async def test_a_server_that_is_always_busy_timed_out(api: FakeApi, source: LiveSource) -> None:
    api.on(PODS, busy("0"))
    async with source.open(GRANT) as cluster:
        with pytest.raises(TimedOutError, match="too busy"):
            await cluster.list(POD, namespace="shop")
    assert len(api.asked(PODS)) == 9


@pytest.mark.anyio
async def test_a_slow_server_meets_the_deadline(api: FakeApi, source: LiveSource) -> None:
    async with source.open(GRANT):
        pass
    api.on(PODS, Reply({"items": []}, after=5))
    async with source.open(GRANT, deadline_s=0.3) as cluster:
        began = time.monotonic()
        with pytest.raises(TimedOutError, match="deadline"):
            await cluster.list(POD, namespace="shop")
        with pytest.raises(TimedOutError):
            await cluster.list(NODE)
        assert time.monotonic() - began < 1
        await asyncio.sleep(0.1)
        assert api.dropped == 1  # the socket was closed, the server need not go on


@pytest.mark.anyio
async def test_a_cancelled_caller_closes_the_socket(api: FakeApi, source: LiveSource) -> None:
    api.on(PODS, Reply({"items": []}, after=5))
    async with source.open(GRANT) as cluster:
        asking = asyncio.create_task(cluster.list(POD, namespace="shop"))
        await api.arrival(PODS)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.sleep(0.1)
        assert api.dropped == 1


@pytest.mark.anyio
async def test_identical_reads_at_the_same_moment_are_sent_once(api: FakeApi, source: LiveSource) -> None:
    api.on(PODS, Reply(GOOD.body, after=0.2))
    async with source.open(GRANT) as first, source.open(GRANT) as second:
        lists = await asyncio.gather(*(one.list(POD, namespace="shop") for one in (first, first, second)))
        assert len(api.asked(PODS)) == 1
        assert first.usage.by_resource["pods"] == 1
        lists[0].items[0]["metadata"]["name"] = "mine"
        assert lists[1].items[0]["metadata"]["name"] == "a"  # the answer is shared, the objects are not
        await second.list(POD, namespace="shop")
        assert len(api.asked(PODS)) == 2  # a later read is a new one


@pytest.mark.anyio
async def test_one_of_two_callers_may_give_up_alone(api: FakeApi, source: LiveSource) -> None:
    async with source.open(GRANT):
        pass
    api.on(PODS, Reply(GOOD.body, after=0.4))
    async with source.open(GRANT, deadline_s=0.2) as hasty, source.open(GRANT, deadline_s=5) as patient:
        impatient = asyncio.create_task(hasty.list(POD, namespace="shop"))
        found = await patient.list(POD, namespace="shop")
        assert len(found.items) == 1
        with pytest.raises(TimedOutError):
            await impatient
    assert len(api.asked(PODS)) == 1
    assert api.dropped == 0


@pytest.mark.anyio
async def test_no_more_requests_are_in_flight_than_allowed(api: FakeApi, tmp_path: Path) -> None:
    source = LiveSource("fake", api.kubeconfig(tmp_path), limits=Limits(in_flight=3))
    for i in range(12):
        api.on(f"{PODS}/p{i}", Reply({"metadata": {"name": f"p{i}"}}, after=0.05))
    async with source.open(GRANT) as cluster:
        await asyncio.gather(*(cluster.get(POD, f"p{i}", "shop") for i in range(12)))
    await source.close()
    assert api.busiest == 3


@pytest.mark.anyio
async def test_a_source_survives_its_event_loop(api: FakeApi, source: LiveSource) -> None:
    api.on(PODS, GOOD)

    async def ask() -> int:
        async with source.open(GRANT) as cluster:
            return len((await cluster.list(POD, namespace="shop")).items)

    assert await ask() == 1
    assert await asyncio.to_thread(lambda: asyncio.run(ask())) == 1
    assert await ask() == 1


def test_the_pace_lets_a_burst_go_and_then_keeps_the_rate() -> None:
    pace = Pace(per_second=10, burst=3)
    now = time.monotonic()
    waits = [pace.reserve(now) for _ in range(5)]
    assert waits[:3] == [0, 0, 0]
    assert waits[3] == pytest.approx(0.1, abs=0.01)
    assert waits[4] == pytest.approx(0.2, abs=0.01)
    assert pace.reserve(now + 10) == 0


def test_a_pause_holds_everything_and_a_shorter_one_does_not_end_it() -> None:
    pace = Pace(per_second=10, burst=3)
    now = time.monotonic()
    pace.pause(now + 5)
    pace.pause(now + 1)
    assert pace.reserve(now) == pytest.approx(5)
    assert pace.reserve(now + 6) == 0


@given(st.lists(st.floats(0, 2), max_size=50))
def test_no_second_sees_more_than_burst_and_rate(gaps: list[float]) -> None:
    pace = Pace(per_second=5, burst=4)
    now = time.monotonic()
    sent: list[float] = []
    for gap in gaps:
        now += gap
        sent.append(now + pace.reserve(now))
    for start in sent:
        assert sum(start <= at < start + 1 for at in sent) <= 4 + 5 + 1


def test_a_deadline_only_moves_away() -> None:
    deadline = Deadline.after(1)
    deadline.extend(Deadline.after(0.5))
    assert 0.9 < deadline.left() <= 1
    deadline.extend(Deadline.after(9))
    assert deadline.left() > 8
    assert Deadline.after(-1).left() == 0


def test_the_clock_keeps_the_latest_of_dates_that_are_cut_to_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: 101.1)
    clock.heard("Tue, 03 Mar 2015 10:00:00 GMT", 100.0)  # may be 10:00:00.9 there
    clock.heard("Tue, 03 Mar 2015 10:00:01 GMT", 100.2)  # so it was at least 10:00:00.8
    clock.heard("Tue, 03 Mar 2015 10:00:01 GMT", 101.1)  # says less than is known: ignored
    assert clock.now().isoformat(timespec="milliseconds") == "2015-03-03T10:00:01.900+00:00"
