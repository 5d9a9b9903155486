"""Findings about workloads that take a node from those of another namespace."""

from typing import Any

import pytest
from builders import container, event, facts_of, node, obj
from verdicts import app

from firstmate_tools.diagnosis.engine import judge
from firstmate_tools.diagnosis.findings import Finding
from firstmate_tools.diagnosis.rule import ListWant, all_rules
from firstmate_tools.diagnosis.rules.neighbours import NODE_METRICS, POD_METRICS
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref

LATE = 'Readiness probe failed: Get "http://10.1.2.3:8080/ready": context deadline exceeded'
PROBED = container(readinessProbe={"httpGet": {"path": "/ready", "port": 8080}})


def found(
    *objects: Obj, node_cpu: str = "7900m", uses: str = "6800m", message: str = LATE, where: str = "batch"
) -> list[Finding]:
    victim = app(spec=PROBED)
    greedy = app("sweep", namespace=where)
    facts = facts_of(*victim, *greedy, node("n1"), event(victim[-1], "Unhealthy", message, count=5), *objects)
    measured: dict[str, Any] = {"usage": {"cpu": node_cpu, "memory": "4Gi"}}
    facts.put(NODE_METRICS, None, [obj("NodeMetrics", "n1", None, **measured)])
    usage = [{"name": "app", "usage": {"cpu": uses, "memory": "1Gi"}}]
    facts.put(POD_METRICS, None, [obj("PodMetrics", "sweep-1-0", where, containers=usage)])
    return [one for one in judge(facts, all_rules())[0] if one.cause == "namespace-noisy-neighbour"]


def test_who_takes_a_full_node_from_others_is_named_and_not_who_is_late() -> None:
    (one,) = found()
    assert (one.object, one.confidence) == (Ref("Deployment", "batch", "sweep"), "likely")
    assert "uses 6800m cpu of node n1 and asked for nothing; the node uses 7900m of 8" in one.summary
    assert {Ref("Deployment", "shop", "cart"), Ref("Node", "", "n1")} <= set(one.affects)


@pytest.mark.parametrize(
    "how",
    [
        {"node_cpu": "4"},
        {"uses": "900m"},
        {"message": "Readiness probe failed: HTTP probe failed with statuscode: 500"},
        {"where": "shop"},
    ],
    ids=["room left", "uses little", "answers at once", "same namespace"],
)
def test_what_is_no_noisy_neighbour(how: dict[str, str]) -> None:
    assert found(**how) == []


def test_metrics_are_read_only_where_probes_are_late() -> None:
    wants = {rule.name: rule for rule in all_rules()}["noisy_neighbours"].wants
    assert wants is not None
    victim = app(spec=PROBED)
    assert list(wants(facts_of(*victim, node("n1")))) == []
    asked = set(wants(facts_of(*victim, node("n1"), event(victim[-1], "Unhealthy", LATE))))
    assert {ListWant(POD_METRICS), ListWant(NODE_METRICS)} <= asked
