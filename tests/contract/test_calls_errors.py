"""What becomes of a call that fails: on purpose, by a fault of ours, by time, by being cancelled."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest
from contract.server_doubles import Clusters, shop

from firstmate import calls
from firstmate.calls import Calls, InternalError, Watch
from firstmate_tools.cluster.base import Cluster
from firstmate_tools.errors import DeniedError, FirstmateError, TimedOutError, UnknownClusterError, UsageError
from firstmate_tools.kinds import POD
from firstmate_tools.reads import Read
from firstmate_tools.results import Answer
from firstmate_tools.toolspec import spec_of, tool


def over(function: Callable[..., Awaitable[Answer]], clusters: Clusters | None = None) -> Calls:
    spec = spec_of(function)
    assert spec is not None
    return Calls(clusters or Clusters(prod=shop()), [spec])


@tool(title="Lists", reads=(Read(POD),))
async def lists(cluster: Cluster) -> Answer:
    """Lists pods."""
    await cluster.list(POD)
    return Answer()


@tool(title="Breaks")
async def breaks(cluster: Cluster) -> Answer:
    """Breaks."""
    raise KeyError("token=hunter2-very-secret")


@tool(title="Breaks together")
async def together(cluster: Cluster, both: bool = False) -> Answer:
    """Raises from two tasks."""

    async def fail(error: Exception) -> None:
        raise error

    async with asyncio.TaskGroup() as group:
        group.create_task(fail(DeniedError("Listing pods was denied.")))
        if both:
            group.create_task(fail(KeyError("x")))
    return Answer()


@tool(title="Sleeps", deadline_s=0.01)
async def sleeps(cluster: Cluster) -> Answer:
    """Sleeps."""
    await asyncio.sleep(60)
    return Answer()


async def failure(function: Callable[..., Awaitable[Answer]], **arguments: object) -> FirstmateError:
    with pytest.raises(FirstmateError) as caught:
        await over(function).call(function.__name__, arguments)
    return caught.value


@pytest.mark.anyio
async def test_a_call_may_read_what_its_tool_declared_and_nothing_else() -> None:
    clusters = Clusters(prod=shop())
    await over(lists, clusters).call("lists", {})
    grant = clusters.sources["prod"].cluster.grant
    assert grant.allows(POD, "list") and not grant.allows(POD, "get", "log")


@pytest.mark.anyio
async def test_the_named_cluster_answers() -> None:
    clusters = Clusters(prod=shop(), staging=shop())
    await over(lists, clusters).call("lists", {"cluster": "staging"})
    assert (clusters.sources["prod"].opened, clusters.sources["staging"].opened) == (0, 1)


@pytest.mark.anyio
async def test_an_unknown_cluster_is_told_with_those_that_there_are() -> None:
    with pytest.raises(UnknownClusterError, match="There are: prod"):
        await over(lists).call("lists", {"cluster": "prd"})


@pytest.mark.anyio
async def test_an_unknown_tool_is_told_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean `lists`"):
        await over(lists).call("list", {})


@pytest.mark.anyio
async def test_a_fault_of_ours_is_masked_and_logged_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "firstmate"):
        error = await failure(breaks)
    assert isinstance(error, InternalError)
    assert "hunter2" not in str(error) and "KeyError" not in str(error)
    mark = error.message.split()[2]
    assert mark in caplog.text and "Traceback" in caplog.text and "hunter2" not in caplog.text


@pytest.mark.anyio
async def test_errors_of_several_tasks_are_one_where_all_were_on_purpose() -> None:
    assert isinstance(await failure(together), DeniedError)


@pytest.mark.anyio
async def test_a_fault_among_errors_of_several_tasks_is_masked() -> None:
    assert isinstance(await failure(together, both=True), InternalError)


@pytest.mark.anyio
async def test_a_tool_that_does_not_end_is_stopped_after_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "GRACE_S", 0.05)
    assert isinstance(await failure(sleeps), TimedOutError)


@pytest.mark.anyio
async def test_a_cancelled_call_cancels_its_tool() -> None:
    stopped: list[str] = []

    @tool(title="Waits")
    async def waits(cluster: Cluster) -> Answer:
        """Waits."""
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped.append("tool")
            raise
        return Answer()

    task = asyncio.create_task(over(waits).call("waits", {}))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stopped == ["tool"]


@pytest.mark.anyio
async def test_who_waits_sees_what_the_call_has_cost_so_far() -> None:
    watch = Watch()
    await over(lists).call("lists", {}, watch)
    assert watch.usage is not None and watch.usage.requests == 1
