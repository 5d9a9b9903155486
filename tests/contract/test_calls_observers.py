"""What observers of calls are told: every call, however it ended, and what it cost."""

import asyncio

import pytest
from contract.server_doubles import Clusters, shop

from firstmate.calls import CallRecord, Calls
from firstmate.catalogue import all_tools
from firstmate_tools.cluster.base import Cluster
from firstmate_tools.errors import FirstmateError
from firstmate_tools.results import Answer
from firstmate_tools.toolspec import spec_of, tool

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def watched() -> tuple[Calls, list[CallRecord]]:
    heard: list[CallRecord] = []
    return Calls(Clusters(prod=shop()), all_tools(), [heard.append]), heard


async def test_an_answer_is_told_with_its_cost() -> None:
    calls, heard = watched()
    await calls.call("pod_status", {"namespace": "shop"})
    (record,) = heard
    assert (record.tool, record.cluster, record.outcome) == ("pod_status", "prod", "ok")
    assert record.requests >= 1
    assert record.seconds > 0


async def test_a_diagnosis_is_told_with_what_it_found() -> None:
    calls, heard = watched()
    await calls.call("diagnose", {"namespace": "shop"})
    assert heard[0].outcome == "problems_found"


async def test_refused_and_unknown_calls_are_told_too() -> None:
    calls, heard = watched()
    for name, arguments in (("pod_status", {"limit": "many"}), ("no_such", {}), ("pod_status", {"cluster": "other"})):
        with pytest.raises(FirstmateError):
            await calls.call(name, arguments)
    assert [one.outcome for one in heard] == ["UsageError", "UsageError", "UnknownClusterError"]
    assert [one.cluster for one in heard] == [None, None, None]


async def test_a_cancelled_call_is_told() -> None:
    @tool(title="Waits")
    async def waits(cluster: Cluster) -> Answer:
        """Waits."""
        await asyncio.sleep(60)
        return Answer()

    spec, heard = spec_of(waits), list[CallRecord]()
    assert spec is not None
    calls = Calls(Clusters(prod=shop()), [spec], [heard.append])
    task = asyncio.create_task(calls.call("waits", {}))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [(one.tool, one.outcome) for one in heard] == [("waits", "cancelled")]
