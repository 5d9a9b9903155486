"""What keeps Karpenter from making a node, told from NodePools, NodeClaims and what AWS answered."""

from typing import Any

import pytest
from builders import ago, container, event, facts_of, node, obj, pending
from hypothesis import HealthCheck, given, settings
from verdicts import app, bystanders, damaged, linked, renamed, roots, severe, shuffled

from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref

UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/1 nodes are available: 1 Insufficient cpu.",
    "lastTransitionTime": ago(300),
}


def condition(kind: str, status: str, reason: str = "Some", message: str = "", seconds: float = 900) -> Obj:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": ago(seconds)}


def pool(name: str = "general", *, spec: Obj | None = None, requirements: list[Obj] | None = None, **rest: Any) -> Obj:
    named = {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"}
    body = {"spec": {"nodeClassRef": named, "requirements": requirements or [], "taints": rest.pop("taints", [])}}
    status = {"resources": rest.pop("used", {}), "conditions": rest.pop("conditions", [])}
    return obj("NodePool", name, None, api="karpenter.sh/v1", spec={"template": body, **(spec or {})}, status=status)


def node_class(*conditions: Obj) -> Obj:
    return obj(
        "EC2NodeClass", "default", None, api="karpenter.k8s.aws/v1", spec={}, status={"conditions": [*conditions]}
    )


def claim(name: str, of: str = "general", *conditions: Obj, **rest: Any) -> Obj:
    labels = {"karpenter.sh/nodepool": of}
    made = {"labels": labels, "creationTimestamp": ago(rest.pop("age", 1200))}
    status = {"conditions": [*conditions], **rest}
    return obj("NodeClaim", name, None, api="karpenter.sh/v1", metadata=made, spec={}, status=status)


def waiting(cpu: str = "6", **body: Any) -> list[Obj]:
    """A workload whose pod finds no room on the one node that there is."""
    spec = container(resources={"requests": {"cpu": cpu}})
    return [
        node("n1", cpu="8"),
        *app("full", spec=container(image="registry.shop.example/full:1", resources={"requests": {"cpu": "7"}})),
        *app("cart", spec=spec, body=body, node=None, phase="Pending", statuses=[], conditions=[UNSCHEDULABLE]),
    ]


def by_karpenter(message: str, about: Obj, reason: str = "FailedScheduling", seconds: float = 60) -> Obj:
    one = event(about, reason, message, seconds_ago=seconds)
    one["source"] = {"component": "karpenter"}
    return one


FULL = pool(spec={"limits": {"cpu": "16"}}, used={"cpu": "16"})
READY = node_class(condition("Ready", "True"))


def test_a_full_nodepool_explains_pods_that_wait_for_room() -> None:
    found = linked(*waiting(), FULL, READY)
    assert [(r.finding.cause, str(r.finding.object)) for r in found] == [
        ("karpenter-nodepool-limit-reached", "nodepool/general")
    ]
    assert "cpu 16 of 16" in found[0].finding.summary
    assert "insufficient-node-resources" in {e.cause for e in found[0].explained}


@pytest.mark.parametrize(
    ("more", "cause"),
    [
        ([pool("other", spec={"limits": {"cpu": "100"}}, used={"cpu": "4"})], "insufficient-node-resources"),
        ([pool("other")], "insufficient-node-resources"),
        (
            [pool("other", spec={"limits": {"cpu": "99"}}, taints=[{"key": "gpu", "effect": "NoSchedule"}])],
            "karpenter-nodepool-limit-reached",
        ),
        (
            [pool("other", requirements=[{"key": "kubernetes.io/arch", "operator": "In", "values": ["arm64"]}])],
            "insufficient-node-resources",
        ),
    ],
)
def test_only_nodepools_that_would_take_the_pod_count(more: list[Obj], cause: str) -> None:
    assert [found for found, _ in roots(*waiting(), FULL, READY, *more)] == [cause]


def test_a_limit_that_stops_a_smaller_node_is_believed_of_karpenter() -> None:
    tight = pool(spec={"limits": {"cpu": "32"}}, used={"cpu": "24"})
    objects = [*waiting(), tight, READY]
    assert roots(*objects)[0][0] == "insufficient-node-resources"
    said = by_karpenter("Failed to schedule pod, all available instance types exceed limits for nodepool", objects[-3])
    assert roots(*objects, said)[0] == ("karpenter-nodepool-limit-reached", "nodepool/general")
    said["source"] = {"component": "default-scheduler"}
    assert roots(*objects, said)[0][0] == "insufficient-node-resources"


def test_a_pool_that_is_parked_or_full_hurts_nobody_while_no_pod_waits() -> None:
    parked = pool("parked", spec={"limits": {"cpu": "0"}})
    assert severe(*bystanders(), node("n1"), FULL, parked, READY) == []


def test_a_pod_larger_than_the_instances_of_its_pool_is_at_fault_itself() -> None:
    small = pool(requirements=[{"key": "karpenter.k8s.aws/instance-cpu", "operator": "In", "values": ["4", "8"]}])
    assert roots(*waiting("12"), small, READY) == [("karpenter-requirements-unsatisfiable", "deployment/cart")]
    assert roots(*waiting("6"), small, READY)[0][0] == "insufficient-node-resources"


def test_a_label_that_no_nodepool_gives_stays_with_the_workload() -> None:
    assert roots(*waiting(nodeSelector={"disk": "fast"}), pool(), READY) == [
        ("node-selector-unmatched", "deployment/cart")
    ]


def test_no_matching_instance_type_is_the_nodepools_own_fault() -> None:
    empty = pool(requirements=[{"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["m9.tiny"]}])
    said = by_karpenter(
        "NodePool requirements filtered out all compatible instance types", empty, "NoCompatibleInstanceTypes"
    )
    assert roots(*waiting(), empty, READY, said) == [("karpenter-requirements-unsatisfiable", "nodepool/general")]


def test_a_nodeclass_without_subnets_explains_the_pods_that_its_pool_would_take() -> None:
    broken = node_class(condition("SubnetsReady", "False", "SubnetsNotFound"), condition("Ready", "False"))
    found = linked(*waiting(), pool(), broken)
    assert [(r.finding.cause, str(r.finding.object)) for r in found] == [
        ("karpenter-nodeclass-not-ready", "ec2nodeclass/default")
    ]
    assert roots(*bystanders(), node("n1"), pool()) == [("karpenter-nodeclass-not-ready", "nodepool/general")]


@pytest.mark.parametrize("reason", ["AMINotFound", "Unauthorized", "SecurityGroupSubnetVPCMismatch"])
def test_a_launch_that_fails_for_what_the_class_names_is_the_classs_fault(reason: str) -> None:
    made = claim("general-a1", "general", condition("Launched", "Unknown", reason, "it is so", 60), age=60)
    made["spec"]["nodeClassRef"] = {"kind": "EC2NodeClass", "name": "default"}
    (root,) = linked(*waiting(), pool(), node_class(condition("Ready", "True")), made)
    assert (root.finding.cause, str(root.finding.object)) == (
        "karpenter-nodeclass-not-ready",
        "ec2nodeclass/default",
    )
    assert reason in root.finding.summary


def test_a_pool_remembers_why_its_instances_were_given_up() -> None:
    ill = pool(conditions=[condition("NodeRegistrationHealthy", "False", "InstanceProfileNameInvalid")])
    (root,) = linked(*waiting(), ill, node_class(condition("Ready", "True")))
    assert root.finding.cause == "karpenter-nodeclass-not-ready"
    well = pool(conditions=[condition("NodeRegistrationHealthy", "Unknown", "AwaitingReconciliation")])
    assert "karpenter-nodeclass-not-ready" not in {c for c, _ in roots(*waiting(), well, node_class())}


def test_a_quota_is_known_by_the_reason_that_karpenter_makes_of_it() -> None:
    words = condition("Launched", "Unknown", "SpotQuotaExceeded", "it would exceed your spot instance quota", 60)
    (root,) = linked(*waiting(), pool(), node_class(), claim("general-a1", "general", words, age=60))
    assert root.finding.cause == "aws-service-quota-reached"


def test_a_new_nodeclass_is_not_ready_yet_and_no_fault() -> None:
    assert (
        severe(*bystanders(), node("n1"), pool(), node_class(condition("Ready", "Unknown", "AwaitingReconciliation")))
        == []
    )


REFUSED = "NodeClaim general-x event: creating instance, insufficient capacity, with fleet error(s), {}"


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("InsufficientInstanceCapacity: none in the zone", "instance-capacity-insufficient"),
        ("VcpuLimitExceeded: You have requested more vCPU capacity", "aws-service-quota-reached"),
        ("MaxSpotInstanceCountExceeded: Max spot instance count exceeded", "aws-service-quota-reached"),
    ],
)
def test_what_aws_refused_counts_while_pods_wait(code: str, cause: str) -> None:
    gone = obj("NodeClaim", "general-x", None, api="karpenter.sh/v1")
    said = by_karpenter(REFUSED.format(code), gone, "InsufficientCapacityError")
    assert roots(*waiting(), pool(), READY, said) == [(cause, "nodepool/general")]
    assert severe(*bystanders(), node("n1"), pool(), READY, said) == []
    later = claim("general-y", "general", condition("Launched", "True"), condition("Registered", "True"), age=20)
    assert roots(*waiting(), pool(), READY, said, later)[0][0] == "insufficient-node-resources"
    old = by_karpenter(REFUSED.format(code), gone, "InsufficientCapacityError", seconds=7200)
    assert roots(*waiting(), pool(), READY, old)[0][0] == "insufficient-node-resources"


@pytest.mark.parametrize(("minutes", "told"), [(2, False), (8, True)])
def test_an_instance_that_never_joins_is_told_once_it_had_its_time(minutes: int, told: bool) -> None:
    launched = condition("Launched", "True", seconds=minutes * 60)
    found = roots(*bystanders(), node("n1"), pool(), READY, claim("general-a", "general", launched))
    assert found == ([("node-role-not-authorized", "nodepool/general")] if told else [])


def test_a_role_that_is_mapped_points_at_the_network() -> None:
    auth = obj("ConfigMap", "aws-auth", "kube-system", data={"mapRoles": "- rolearn: arn:aws:iam::1:role/nodes"})
    one = node_class(condition("Ready", "True"))
    one["spec"] = {"role": "nodes"}
    lost = claim("general-a", "general", condition("Launched", "True"))
    assert roots(*bystanders(), node("n1"), pool(), one, lost, auth) == [
        ("node-bootstrap-unreachable", "nodepool/general")
    ]


def test_a_drifted_node_is_held_by_a_budget_or_by_a_pod_that_says_so() -> None:
    drifted = claim("general-a", "general", condition("Drifted", "True"), nodeName="n1")
    shut = pool(spec={"disruption": {"budgets": [{"nodes": "0"}]}})
    assert roots(*bystanders(), node("n1"), shut, READY, drifted) == [
        ("karpenter-disruption-blocked", "nodepool/general")
    ]
    window = pool(spec={"disruption": {"budgets": [{"nodes": "0", "schedule": "0 9 * * *", "duration": "8h"}]}})
    assert severe(*bystanders(), node("n1"), window, READY, drifted) == []
    assert severe(*bystanders(), node("n1"), shut, READY, claim("general-a", "general", nodeName="n1")) == []
    keeping = app("cart", metadata={"annotations": {"karpenter.sh/do-not-disrupt": "true"}})
    assert roots(*keeping, node("n1"), pool(), READY, drifted) == [("karpenter-disruption-blocked", "deployment/cart")]


def test_a_few_nodes_taken_away_are_no_churn() -> None:
    young = claim("general-new", "general", age=60)
    gone = [obj("NodeClaim", f"general-{i}", None, api="karpenter.sh/v1") for i in range(5)]
    said = [by_karpenter("Disrupting NodeClaim: Underutilized/Replace", o, "DisruptionTerminating") for o in gone]
    there = [*bystanders(), node("n1"), pool(), READY, young]
    assert roots(*there, *said) == [("karpenter-consolidation-churn", "nodepool/general")]
    assert severe(*there, *said[:3]) == []
    drift = [by_karpenter("Disrupting NodeClaim: Drifted/Replace", o, "DisruptionTerminating") for o in gone]
    assert severe(*there, *drift) == []


def test_spot_that_was_taken_back_alarms_only_where_pods_are_not_back() -> None:
    spot = node("n2", labels={"karpenter.sh/capacity-type": "spot", "karpenter.sh/nodepool": "general"})
    said = by_karpenter("Spot interruption warning was triggered for the Node", spot, "SpotInterrupted")
    assert severe(*bystanders(), node("n1"), spot, said) == []
    lost = [*waiting(), {**spot, "spec": {"taints": [{"key": "karpenter.sh/disrupted", "effect": "NoSchedule"}]}}, said]
    assert roots(*lost) == [("spot-instance-interrupted", "node/n2")]


CASE = [
    *waiting(),
    pool(spec={"limits": {"cpu": "16"}, "disruption": {"budgets": [{"nodes": "0"}]}}, used={"cpu": "16"}),
    node_class(condition("Ready", "False"), condition("SubnetsReady", "False")),
    claim("general-a", "general", condition("Launched", "True"), condition("Drifted", "True"), nodeName="n1"),
]


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(damaged(CASE))
def test_damaged_objects_never_raise(objects: list[Obj]) -> None:
    roots(*objects)


def test_order_names_and_bystanders_change_nothing() -> None:
    told = roots(*CASE)
    assert roots(*shuffled(CASE, 3)) == told
    assert [c for c, _ in roots(*renamed(CASE, "basket"))] == [c for c, _ in told]
    assert roots(*CASE, *bystanders()) == told


def test_pods_that_wait_for_other_things_than_a_node_are_left_alone() -> None:
    gone = pending("lonely", "0/1 nodes are available: 1 node(s) didn't match pod affinity rules.")
    gone["spec"]["affinity"] = {
        "podAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "nobody"}}}
            ]
        }
    }
    assert "karpenter-nodepool-limit-reached" not in [cause for cause, _ in roots(gone, node("n1"), FULL, READY)]


def test_a_node_of_a_pool_has_nothing_to_do_with_its_siblings() -> None:
    def owned(kind: str, name: str) -> Obj:
        return {"ownerReferences": [{"apiVersion": "karpenter.sh/v1", "kind": kind, "name": name, "uid": name}]}

    claims, nodes = [claim("a"), claim("b")], [node("n1"), node("n2")]
    for one, above in zip(claims, ("general", "general"), strict=True):
        one["metadata"].update(owned("NodePool", above))
    for one, above in zip(nodes, ("a", "b"), strict=True):
        one["metadata"].update(owned("NodeClaim", above))
    graph = facts_of(pool(), *claims, *nodes).graph
    assert graph.related(Ref("Node", "", "n1")) == {
        Ref("Node", "", "n1"),
        Ref("NodeClaim", "", "a"),
        Ref("NodePool", "", "general"),
    }
    assert graph.workload(Ref("Node", "", "n1")) == Ref("Node", "", "n1")
    assert Ref("Node", "", "n2") in graph.related(Ref("NodePool", "", "general"))


@pytest.mark.parametrize("author", ["karpenter", "eks-auto-mode/compute"])
def test_auto_mode_speaks_as_karpenter_does(author: str) -> None:
    named = {"group": "eks.amazonaws.com", "kind": "NodeClass", "name": "default"}
    tight = pool(spec={"limits": {"cpu": "32"}}, used={"cpu": "28"})
    tight["spec"]["template"]["spec"]["nodeClassRef"] = named
    auto = obj("NodeClass", "default", None, api="eks.amazonaws.com/v1", spec={}, status={"conditions": []})
    objects = [*waiting("3"), tight, auto]
    said = by_karpenter("all available instance types exceed limits for nodepool", named_pod(objects))
    said["source"] = {"component": author}
    assert roots(*objects, said)[0][0] == "karpenter-nodepool-limit-reached"
    auto["status"]["conditions"] = [condition("Ready", "False"), condition("SecurityGroupsReady", "False", "X")]
    assert roots(*objects) == [("karpenter-nodeclass-not-ready", "nodeclass/default")]


def named_pod(objects: list[Obj]) -> Obj:
    return next(o for o in objects if o["kind"] == "Pod" and o["metadata"]["name"].startswith("cart"))
