"""Findings about pods that have no node."""

from typing import Any

import pytest
from builders import ago, container, deployment, facts_of, node, owner, pending, pod, replica_set

from firstmate_tools import kinds
from firstmate_tools.diagnosis.engine import judge
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, RuledOut
from firstmate_tools.diagnosis.link import merge
from firstmate_tools.diagnosis.rule import ListWant, all_rules
from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref

[RULE] = [rule for rule in all_rules() if rule.name == "unschedulable_pods"]
TAINT = {"key": "dedicated", "value": "ml", "effect": "NoSchedule"}
CART = Ref("Deployment", "shop", "cart")


def asks(cpu: str = "1", memory: str = "1Gi") -> list[Obj]:
    return [container(resources={"requests": {"cpu": cpu, "memory": memory}})]


def app(name: str = "cart", namespace: str = "shop", pods: int = 1, **rest: Any) -> list[Obj]:
    """A Deployment whose pods wait for a node."""
    return [
        deployment(name, namespace),
        replica_set(f"{name}-1", namespace, of=name),
        *(
            pending(f"{name}-1-{i}", namespace=namespace, owned_by=("ReplicaSet", f"{name}-1"), **rest)
            for i in range(pods)
        ),
    ]


def found(*objects: Obj, **rest: Any) -> list[Finding]:
    return merge(judge(facts_of(*objects, **rest), [RULE])[0])


def one(*objects: Obj, **rest: Any) -> Finding:
    [only] = found(*objects, **rest)
    return only


def refuted(*objects: Obj, **rest: Any) -> dict[str, str]:
    return {verdict.cause: verdict.why for verdict in judge(facts_of(*objects, **rest), [RULE])[1]}


def test_too_little_room_is_the_workloads_finding_with_the_numbers():
    finding = one(*app(containers=asks("2")), node("n1", cpu="4"), pod("x", containers=asks("3"), namespace="other"))
    assert (finding.cause, finding.object) == ("insufficient-node-resources", CART)
    assert (finding.severity, finding.confidence) == ("critical", "certain")
    assert "needs 2, the most free is 1 on n1 (3 of 4 requested)" in finding.summary
    assert Ref("Pod", "shop", "cart-1-0") in finding.affects


def test_a_pod_larger_than_every_node_is_told_from_a_full_cluster():
    finding = one(*app(containers=asks("16")), node("n1"), node("n2", cpu="4"))
    assert (finding.cause, finding.object) == ("pod-larger-than-any-node", CART)
    assert "needs 16, the largest node, n1, offers 8" in finding.summary


def test_what_daemonsets_take_is_never_free():
    agent = pod("agent", owned_by=("DaemonSet", "agent"), containers=asks("1"), namespace="kube-system")
    finding = one(*app(containers=asks("7500m")), node("n1"), agent)
    assert finding.cause == "pod-larger-than-any-node"
    assert "offers 7 (8 less 1 of DaemonSets)" in finding.summary


def test_serving_workloads_are_warned_about():
    ready = pod("cart-0-a", owned_by=("ReplicaSet", "cart-1"), containers=asks("6"))
    assert one(*app(containers=asks("6")), ready, node("n1")).severity == "warning"


def test_a_selector_that_no_node_matches_names_what_nodes_have_instead():
    finding = one(*app(spec={"nodeSelector": {"disk": "sdd"}}), node("n1", labels={"disk": "ssd"}), node("n2"))
    assert (finding.cause, finding.object) == ("node-selector-unmatched", CART)
    assert "disk is ssd instead" in finding.summary


def test_an_affinity_that_no_node_satisfies_names_what_nodes_have():
    required = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["z"]}]}]}
    wish = {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}
    finding = one(*app(spec=wish), node("n1", labels={"zone": "a"}), node("n2"))
    assert (finding.cause, finding.object) == ("node-affinity-unmatched", CART)
    assert "zone in z (nodes have a)" in finding.summary


def test_a_taint_on_every_node_that_is_meant_is_the_workloads_to_tolerate():
    nodes = [node("ml-1", labels={"pool": "ml"}, taints=[TAINT]), node("n1")]
    finding = one(*app(spec={"nodeSelector": {"pool": "ml"}}), *nodes)
    assert (finding.cause, finding.object) == ("taint-not-tolerated", CART)
    assert "dedicated=ml:NoSchedule" in finding.summary


def test_a_taint_that_came_after_running_pods_of_the_same_revision_is_the_nodes():
    twin = {"app": "cart", "pod-template-hash": "1"}
    running = pod("cart-1-x", owned_by=("ReplicaSet", "cart-1"), labels=twin, node="n1")
    finding = one(*app(labels=twin), running, node("n1", taints=[TAINT]))
    assert (finding.cause, finding.object) == ("taint-not-tolerated", Ref("Node", "", "n1"))
    older = pod("cart-0-x", owned_by=("ReplicaSet", "cart-1"), labels={**twin, "pod-template-hash": "0"}, node="n1")
    assert one(*app(labels=twin), older, node("n1", taints=[TAINT])).object == CART


@pytest.mark.parametrize("key", ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"])
def test_nodes_that_are_ill_are_no_taint_to_tolerate(key: str):
    assert found(*app(), node("n1", taints=[{"key": key, "effect": "NoSchedule"}])) == []


def test_cordoned_nodes_are_one_finding_for_all_whom_they_hold_up():
    nodes = [node("n1", cordoned=True), node("n2", cordoned=True), node("n3", cpu="500m")]
    objects = [*app(pods=2, containers=asks()), *app("search", "find", containers=asks()), *nodes]
    finding = one(*objects)
    assert (finding.cause, finding.object) == ("nodes-cordoned", Ref("Node", "", "n1"))
    assert {CART, Ref("Deployment", "find", "search")} <= set(finding.affects)
    assert finding.summary.startswith("n1, n2 are cordoned")


def test_cordons_of_different_pools_are_different_problems():
    nodes = [node(f"{pool}-1", cordoned=True, labels={"pool": pool}) for pool in ("a", "b")]
    apps = [*app("x", spec={"nodeSelector": {"pool": "a"}}), *app("y", spec={"nodeSelector": {"pool": "b"}})]
    assert [f.object.name for f in found(*apps, *nodes)] == ["a-1", "b-1"]


def test_a_cordon_and_a_pod_that_is_too_large_are_two_problems():
    objects = [*app(containers=asks()), *app("giant", containers=asks("16")), node("n1", cordoned=True)]
    assert {(f.cause, f.object.name) for f in found(*objects)} == {
        ("nodes-cordoned", "n1"),
        ("pod-larger-than-any-node", "giant"),
    }


def test_a_full_pool_is_one_finding_that_names_whoever_hurts_most():
    full = [pod(f"b-{i}", owned_by=("ReplicaSet", "batch-1"), node=f"n{i}", containers=asks("7")) for i in (1, 2)]
    objects = [*app("batch", containers=asks("7")), *app("cart", containers=asks("2")), *full, node("n1"), node("n2")]
    finding = one(*objects)
    assert (finding.object, finding.severity) == (CART, "critical")
    assert Ref("Deployment", "shop", "batch") in finding.affects
    assert "deployment/batch" in finding.summary


def test_pools_that_share_no_node_are_full_each_for_itself():
    nodes = [node(f"{pool}-1", cpu="2", labels={"pool": pool}) for pool in ("a", "b")]
    full = [pod(f"f-{pool}", node=f"{pool}-1", containers=asks()) for pool in ("a", "b")]
    apps = [
        *app("x", spec={"nodeSelector": {"pool": "a"}}, containers=asks("1500m")),
        *app("y", spec={"nodeSelector": {"pool": "b"}}, containers=asks("1500m")),
    ]
    assert [f.object.name for f in found(*apps, *full, *nodes)] == ["x", "y"]


def spread(key: str = "zone") -> Obj:
    labels = {"matchLabels": {"app": "cart"}}
    rule = {"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": labels}
    return {"topologySpreadConstraints": [rule]}


def test_a_zone_without_room_makes_spreading_the_cause():
    running = pod("cart-1-x", owned_by=("ReplicaSet", "cart-1"), labels={"app": "cart"})
    nodes = [node("n1", labels={"zone": "a"}), node("n2", labels={"zone": "b"}, cpu="500m")]
    finding = one(*app(labels={"app": "cart"}, containers=asks(), spec=spread()), running, *nodes)
    assert (finding.cause, finding.object, finding.severity) == ("topology-spread-unsatisfiable", CART, "warning")
    assert "a 1, b 0; only b may take one more, with too little cpu there" in finding.summary


def test_nodes_without_the_topology_label_make_spreading_the_cause():
    finding = one(*app(labels={"app": "cart"}, spec=spread("rack")), node("n1"), node("n2"))
    assert finding.cause == "topology-spread-unsatisfiable"
    assert "no node has that label" in finding.summary


@pytest.mark.parametrize(
    "spec",
    [
        {"schedulerName": "volcano"},
        {"nodeName": "n1"},
        {
            "affinity": {
                "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]}
            }
        },
        {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "gone"}}]},
    ],
)
def test_nothing_is_said_of_pods_that_wait_for_something_else(spec: Obj):
    assert found(*app(spec=spec), node("n1")) == []


@pytest.mark.parametrize(
    "conditions",
    [
        [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}],
        [{"type": "PodScheduled", "status": "True"}],
        [],
    ],
)
def test_nothing_is_said_of_pods_that_the_scheduler_did_not_refuse(conditions: list[Obj]):
    gated = pod("cart-1-a", node=None, phase="Pending", statuses=[], conditions=conditions, containers=asks("99"))
    assert found(gated, node("n1")) == []


def test_nothing_is_said_of_a_pod_that_has_only_just_come():
    assert found(*app(age=1, containers=asks("99")), node("n1")) == []
    assert found(*app(age=4, containers=asks("99")), node("n1")) != []


def test_a_daemonset_pod_is_held_against_its_own_node():
    def daemon(name: str, target: str) -> Obj:
        term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [target]}]}
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
        spec = {"affinity": {"nodeAffinity": required}}
        return pending(name, owned_by=("DaemonSet", "agent"), containers=asks("2"), spec=spec)

    full = [pod("f1", node="n1", containers=asks("7")), pod("f2", node="n2", containers=asks("7"))]
    finding = one(daemon("agent-1", "n1"), daemon("agent-2", "n2"), *full, node("n1"), node("n2"), node("n3"))
    assert (finding.cause, finding.object) == ("insufficient-node-resources", Ref("DaemonSet", "shop", "agent"))
    assert {ref.name for ref in finding.affects} == {"agent", "agent-1", "agent-2"}


def of_namespace(*objects: Obj) -> Facts:
    """As a question about one namespace starts: its pods, all nodes."""
    facts = facts_of(*objects, scope=Scope("shop"), unknown=(kinds.POD,))
    facts.put(kinds.POD, "shop", [o for o in objects if o["kind"] == "Pod" and o["metadata"]["namespace"] == "shop"])
    return facts


def test_pods_of_other_namespaces_are_asked_for_only_where_room_decides():
    wants = RULE.wants or (lambda facts: [])
    assert list(wants(of_namespace(*app(containers=asks("2")), node("n1")))) == [ListWant(kinds.POD)]
    for decided in (app(containers=asks("16")), app(spec={"nodeSelector": {"a": "b"}}), []):
        assert list(wants(of_namespace(*decided, node("n1")))) == []


def test_the_schedulers_word_stands_in_for_pods_that_may_not_be_read():
    findings, _ = judge(of_namespace(*app(containers=asks("2")), node("n1")), [RULE])
    assert [(f.cause, f.object, f.confidence) for f in findings] == [("insufficient-node-resources", CART, "likely")]
    quiet = app(message="0/1 nodes are available: 1 node(s) didn't have free ports.", containers=asks("2"))
    assert judge(of_namespace(*quiet, node("n1")), [RULE])[0] == []


@pytest.mark.parametrize(
    ("message", "spec", "cause"),
    [
        ("0/2 nodes are available: 2 Insufficient cpu.", {}, "insufficient-node-resources"),
        (
            "0/2 nodes are available: 2 node(s) didn't match pod topology spread constraints.",
            {},
            "topology-spread-unsatisfiable",
        ),
        (
            "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
            {"nodeSelector": {"a": "b"}},
            "node-selector-unmatched",
        ),
        ("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.", {}, None),
        (
            "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules.",
            {},
            "pod-anti-affinity-unsatisfiable",
        ),
        ("0/2 nodes are available: 2 node(s) didn't match pod affinity rules.", {}, "pod-affinity-unmatched"),
        (
            "0/2 nodes are available: 2 node(s) didn't have free ports for the requested pod ports.",
            {},
            "host-port-conflict",
        ),
        ("0/2 nodes are available: 2 Too many pods.", {}, "node-pod-limit-reached"),
        ("0/2 nodes are available: 2 node(s) exceed max volume count.", {}, "node-volume-limit-reached"),
        ("0/2 nodes are available: 2 node(s) had volume node affinity conflict.", {}, "volume-zone-mismatch"),
        (
            "0/2 nodes are available: 2 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access "
            "mode already in-use by another pod.",
            {},
            "rwop-volume-in-use",
        ),
        ("0/2 nodes are available: 2 node(s) had untolerated taint(s).", {}, None),
        ("0/2 nodes are available: 2 node(s) were unschedulable.", {}, None),
    ],
)
def test_the_schedulers_word_stands_in_for_nodes_that_may_not_be_read(message: str, spec: Obj, cause: str | None):
    findings = found(*app(message=message, spec=spec), unknown=(kinds.NODE,))
    assert [(f.cause, f.confidence) for f in findings] == ([(cause, "likely")] if cause else [])


def test_what_the_scheduler_mentions_besides_is_ruled_out():
    message = (
        "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable, 1 node(s) had untolerated taint(s)."
    )
    nodes = [node("n1", cpu="2"), node("n2", cpu="1", cordoned=True), node("n3", taints=[TAINT])]
    ruled_out = refuted(*app(message=message, containers=asks("2")), pod("x", containers=asks()), *nodes)
    assert set(ruled_out) == {"nodes-cordoned", "taint-not-tolerated", "pod-larger-than-any-node"}


def test_healthy_clusters_are_left_in_peace():
    objects = [deployment("cart"), replica_set("cart-1", of="cart"), pod("cart-1-a", owned_by=("ReplicaSet", "cart-1"))]
    assert judge(facts_of(*objects, node("n1"), node("n2", cordoned=True, taints=[TAINT])), [RULE]) == ([], [])


def test_replicas_that_ask_for_the_same_are_one_finding():
    finding = one(*app(pods=40, containers=asks("9")), node("n1"))
    assert finding.summary.startswith("40 pods of deployment/cart")
    assert len(finding.affects) == 41


def test_a_lone_pod_is_its_own_workload():
    finding = one(pending("job-x", containers=asks("99")), node("n1"))
    assert finding.object == Ref("Pod", "shop", "job-x")


def test_findings_say_since_when():
    tainted = node("n1", cordoned=True)
    tainted["spec"]["taints"][0]["timeAdded"] = ago(5000)
    assert one(*app(), tainted).since is not None
    assert str(one(*app(), tainted).since) < str(one(*app(containers=asks("99")), node("n1")).since)


def test_facts_of_absurd_shape_give_no_finding_and_no_error():
    odd: list[Obj] = [
        {"kind": "Node", "metadata": {"name": "n1"}, "spec": None, "status": {"allocatable": "?"}},
        {
            "kind": "Pod",
            "metadata": {"name": "p", "namespace": "shop", "ownerReferences": owner("ReplicaSet", "x")},
            "spec": {"containers": None, "affinity": 5, "topologySpreadConstraints": [None, {}]},
            "status": {
                "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": 3}]
            },
        },
    ]
    for verdict in RULE.judge(facts_of(*odd)):
        assert isinstance(verdict, Finding | RuledOut)
