"""What a diagnosis reads beside its question: events of nodes, and logs of containers that look well."""

import pytest
from builders import ago, container, event, node, obj
from doubles import DENIED, FakeCluster
from verdicts import app

from firstmate_tools.diagnosis.engine import diagnose
from firstmate_tools.diagnosis.report import Diagnosis
from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import EVENT
from firstmate_tools.refs import Ref

pytestmark = pytest.mark.anyio
ASKED = Scope("shop", Ref("Deployment", "shop", "cart"))
SHM = 'ERROR: could not resize shared memory segment "/a" to 1 bytes: No space left on device\n'


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def killed() -> list[Obj]:
    end = {"exitCode": 137, "reason": "OOMKilled", "startedAt": ago(40), "finishedAt": ago(10)}
    spec = container(resources={"limits": {"memory": "2Gi"}})
    return app(spec=spec, waiting="CrashLoopBackOff", last=end, restarts=4, ready=False)


def oom() -> Obj:
    told = event(node("n1"), "SystemOOM", "System OOM encountered, victim process: java, pid: 7", seconds_ago=12)
    told["metadata"]["namespace"] = "default"
    return told


def causes(answer: Diagnosis) -> list[str]:
    return [root.cause for root in answer.root_causes]


def missing(answer: Diagnosis) -> dict[str, str]:
    """What was not read, without the causes that nothing can show."""
    return {entry.what: entry.why for entry in answer.coverage.not_checked if "cause" not in entry.what}


async def test_a_question_about_a_namespace_hears_what_the_kubelet_said_of_the_node() -> None:
    cluster = FakeCluster(*killed(), node("n1"), oom(), obj("Namespace", "shop", None))
    assert causes(await diagnose(cluster, Scope("shop"))) == ["node-out-of-memory"]
    assert "list events in default where involvedObject.kind=Node,type!=Normal" in cluster.asked


async def test_events_of_nodes_are_not_read_where_nothing_was_killed() -> None:
    cluster = FakeCluster(*app(), node("n1"), oom(), obj("Namespace", "shop", None))
    answer = await diagnose(cluster, Scope("shop"))
    assert answer.outcome == "nothing_found" and not any("in default" in what for what in cluster.asked)


async def test_events_of_nodes_that_may_not_be_read_are_told_apart_from_the_namespaces_own() -> None:
    cluster = FakeCluster(
        *killed(), node("n1"), oom(), obj("Namespace", "shop", None), denied={(EVENT, "default"): DENIED}
    )
    answer = await diagnose(cluster, Scope("shop"))
    assert causes(answer) == ["oom-killed-container-limit"]
    assert missing(answer)["events of nodes"] == "denied" and "events" in answer.coverage.checked


async def test_the_namespaces_own_events_survive_those_of_the_nodes() -> None:
    objects = killed()
    told = event(objects[-1], "BackOff", "Back-off restarting failed container app in pod cart")
    cluster = FakeCluster(*objects, told, node("n1"), obj("Namespace", "shop", None))
    (root,) = (await diagnose(cluster, Scope("shop"))).root_causes
    assert any("Back-off" in e.value for e in root.evidence)


async def test_a_workload_that_looks_well_is_read_for_what_it_says() -> None:
    cluster = FakeCluster(*app(pods=3), node("n1"), logs={"cart-1-0/app": SHM * 4})
    assert causes(await diagnose(cluster, ASKED)) == ["shared-memory-too-small"]
    assert cluster.usage.by_resource.get("pods/log") == 1


async def test_a_log_of_a_workload_that_looks_well_is_not_missed() -> None:
    cluster = FakeCluster(*app(), node("n1"), denied={"pods/log": DENIED})
    answer = await diagnose(cluster, ASKED)
    assert answer.outcome == "nothing_found"
    assert missing(answer) == {"logs of containers that look well": "not_asked"}
