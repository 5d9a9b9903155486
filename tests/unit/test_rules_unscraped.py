"""Kubelets that metrics-server cannot read: which nodes the metrics API does not know, since when, who goes without."""

from typing import Any

import pytest
from builders import ago, container, facts_of, node, obj
from hypothesis import HealthCheck, given, settings
from verdicts import Log, app, damaged, roots

from firstmate_tools.diagnosis import link
from firstmate_tools.diagnosis.engine import judge
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding
from firstmate_tools.diagnosis.rule import GetWant, ListWant, LogWant, all_rules
from firstmate_tools.diagnosis.rules.neighbours import NODE_METRICS
from firstmate_tools.diagnosis.rules.unscraped import API, CAUSE
from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import DEPLOYMENT, POD
from firstmate_tools.refs import Ref

SHOP = Scope(namespace="shop")
SERVER = "kube-system"
TIMED_OUT = (
    'E1121 scraper.go:149] "Failed to scrape node" err="Get \\"https://10.0.0.2:10250\\": i/o timeout" node="n2"'
)
UNTRUSTED = TIMED_OUT.replace("i/o timeout", "x509: cannot validate certificate for 10.0.0.2")


def api(status: str = "True") -> Obj:
    one = obj("APIService", API.name, None, api="apiregistration.k8s.io/v1")
    one["spec"] = {"service": {"namespace": SERVER, "name": "metrics-server"}}
    one["status"] = {"conditions": [{"type": "Available", "status": status, "lastTransitionTime": ago(500)}]}
    return one


def server(*args: str) -> list[Obj]:
    return app("metrics-server", namespace=SERVER, spec=container(args=list(args)))


def ready(name: str, since: float = 500, status: str = "True") -> Obj:
    one = node(name)
    one["status"]["conditions"] = [{"type": "Ready", "status": status, "lastTransitionTime": ago(since)}]
    return one


def hpa(status: str = "False", reason: str = "FailedGetResourceMetric", target: str = "cart") -> Obj:
    one = obj("HorizontalPodAutoscaler", target, api="autoscaling/v2")
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}
    aim = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    one["spec"] = {"scaleTargetRef": aim, "minReplicas": 1, "maxReplicas": 5, "metrics": [metric]}
    condition = {"type": "ScalingActive", "status": status, "reason": reason, "lastTransitionTime": ago(400)}
    one["status"] = {"conditions": [condition], "currentReplicas": 1}
    return one


def asking() -> Obj:
    return container(resources={"requests": {"cpu": "100m"}})


def seen(*objects: Obj, known: tuple[str, ...] = ("n1",), logs: Log | None = None, **how: Any) -> Facts:
    facts = facts_of(*objects, logs=logs, **how)
    found = [obj("NodeMetrics", name, None, api="metrics.k8s.io/v1beta1", usage={"cpu": "1"}) for name in known]
    facts.put(NODE_METRICS, None, found)
    return facts


def told(facts: Facts) -> list[Finding]:
    return [one for one in judge(facts, all_rules())[0] if one.cause == CAUSE]


CLUSTER = [api(), *server("--metric-resolution=15s"), ready("n1"), ready("n2")]


def test_a_node_that_the_api_does_not_know_is_told_with_the_server_to_mend() -> None:
    (found,) = told(seen(*CLUSTER))
    assert (str(found.object), found.severity, found.confidence) == ("deployment/metrics-server", "warning", "likely")
    assert "no metrics of n2 (1 of 2 nodes)" in found.summary
    assert (found.evidence[0].object.name, found.evidence[0].value) == ("n2", "(does not exist)")


@pytest.mark.parametrize(("line", "why"), [(TIMED_OUT, "cannot be reached"), (UNTRUSTED, "are not trusted")])
def test_the_servers_log_says_why(line: str, why: str) -> None:
    logs = {(SERVER, "metrics-server-1-0", "app", False): f"I1121 started\n{line}\n"}
    (found,) = told(seen(*CLUSTER, logs=logs))
    assert found.confidence == "certain" and why in found.summary
    assert found.evidence[0].field == "log[app]"


def test_an_autoscaler_of_pods_there_is_explained_and_one_of_others_is_not() -> None:
    there = [*app("cart", spec=asking(), node="n2"), hpa()]
    elsewhere = [*app("pay", spec=asking(), node="n1"), hpa(target="pay")]
    facts = seen(*CLUSTER, *there, *elsewhere, scope=SHOP)
    linked = link.link(link.merge(judge(facts, all_rules())[0]), all_rules(), facts.graph)
    by_cause = {root.finding.cause: root for root in linked}
    assert [str(e.object) for e in by_cause[CAUSE].explained] == ["horizontalpodautoscaler/cart"]
    assert str(by_cause["hpa-metrics-unavailable"].finding.object) == "horizontalpodautoscaler/pay"


@pytest.mark.parametrize(
    "objects",
    [
        [api("False"), *server(), ready("n1"), ready("n2")],  # nothing answers: apiservice-unavailable
        [*server(), ready("n1"), ready("n2")],  # a metrics API that nobody registered
        [api(), *server("--metric-resolution=15s"), ready("n1"), ready("n2", since=20)],  # a node that has just come
        [api(), *server("--metric-resolution=2m"), ready("n1"), ready("n2", since=200)],
        [api(), *server(), ready("n1"), ready("n2", since=100)],  # a minute between scrapes, where no flag says less
        [api(), *server(), ready("n1"), ready("n2", status="Unknown")],  # a node that is down has no metrics
        [api(), *server(), ready("n1")],
    ],
)
def test_what_looks_like_it_and_is_not(objects: list[Obj]) -> None:
    assert told(seen(*objects)) == []


def test_nothing_is_said_where_the_list_was_not_read() -> None:
    facts = facts_of(*CLUSTER)
    assert told(facts) == []


def test_all_nodes_are_said_to_be_all() -> None:
    (found,) = told(seen(*CLUSTER, known=()))
    assert "no metrics of all of the cluster's nodes" in found.summary


def wanted(facts: Facts) -> set[object]:
    (one,) = [rule for rule in all_rules() if rule.name == "unscraped_nodes"]
    assert one.wants is not None
    return set(one.wants(facts))


def test_a_namespace_asks_only_where_an_autoscaler_is_blind() -> None:
    well = facts_of(*app("cart"), hpa("True", "ValidMetricFound"), ready("n1"), scope=SHOP)
    assert wanted(well) == set()
    blind = facts_of(*app("cart"), hpa(), ready("n1"), scope=SHOP)
    assert ListWant(NODE_METRICS) in wanted(blind)
    custom = facts_of(*app("cart"), hpa(reason="FailedGetPodsMetric"), ready("n1"), scope=SHOP)
    assert wanted(custom) == set()


def test_what_is_behind_the_api_is_read_only_where_a_node_is_missing() -> None:
    assert GetWant(DEPLOYMENT, Ref("Deployment", SERVER, "metrics-server")) not in wanted(seen(api(), ready("n1")))
    found = wanted(seen(*CLUSTER))
    assert {ListWant(POD, SERVER), LogWant(SERVER, "metrics-server-1-0", "app", aside=True)} <= found


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(damaged([*CLUSTER, *app("cart", spec=asking(), node="n2"), hpa()]))
def test_no_object_makes_it_raise(objects: list[Obj]) -> None:
    facts = seen(*objects)
    wanted(facts)
    judge(facts, all_rules())


def test_a_cluster_that_is_well_stays_well() -> None:
    assert roots(*CLUSTER[:-1]) == []
