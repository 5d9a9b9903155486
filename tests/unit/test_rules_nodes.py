"""Findings about nodes that are not ready, whose network plugin fails, or whose runtime makes no sandboxes."""

from typing import Any

import pytest
from builders import ago, event, node, obj, pending, pod, replica_set
from hypothesis import given
from hypothesis import strategies as st
from verdicts import app, bystanders, damaged, finding, linked, named, renamed, roots, severe, shuffled, verdicts

from firstmate_tools import kinds
from firstmate_tools.diagnosis.engine import judge
from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref

STOPPED = "Kubelet stopped posting node status."
NO_RUNTIME = "[container runtime is down, PLEG is not healthy: pleg was last seen active 3m12s ago; threshold is 3m0s]"
NO_NETWORK = (
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin "
    "returns error: cni plugin not initialized"
)
NO_ADDRESS = (
    'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "4e1": plugin '
    'type="aws-cni" name="aws-cni" failed (add): add cmd: failed to assign an IP address to container'
)
NO_SHIM = (
    "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to start sandbox container task "
    '"9a3f": fork/exec /usr/bin/containerd-shim-runc-v2: resource temporarily unavailable: unknown'
)
CREATING: dict[str, Any] = {"phase": "Pending", "waiting": "ContainerCreating", "age": 200}
UNREACHABLE = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": ago(80)}
NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


def sick(
    name: str, status: str, message: str, *, reason: str = "KubeletNotReady", made: float = 9000, **rest: Any
) -> Obj:
    one = node(name, **rest)
    one["metadata"]["creationTimestamp"] = ago(made)
    one["status"]["conditions"] = [
        {
            "type": "Ready",
            "status": status,
            "reason": reason,
            "message": message,
            "lastTransitionTime": ago(min(made, 200)),
        }
    ]
    return one


def dead(name: str = "n1", **rest: Any) -> Obj:
    return sick(name, "Unknown", STOPPED, reason="NodeStatusUnknown", taints=[UNREACHABLE], **rest)


def condition(one: Obj, type_: str, status: str, reason: str = "", message: str = "") -> Obj:
    entry = {"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": ago(100)}
    one["status"]["conditions"].append(entry)
    return one


def hosted(on: str = "n1", **rest: Any) -> list[Obj]:
    """Pods as the node controller leaves them on a node that is not ready: running, and not Ready."""
    made = app(node=on, **rest)
    for one in made:
        if one["kind"] == "Pod":
            one["status"]["conditions"][0].update(status="False", lastTransitionTime=ago(80))
    return made


def no_sandbox(message: str = NO_ADDRESS, *, on: str = "n1", seconds_ago: float = 20, **rest: Any) -> list[Obj]:
    made = app(node=on, **{**CREATING, **rest})
    told = [one for one in made if one["kind"] == "Pod"]
    return [*made, *(event(one, "FailedCreatePodSandBox", message, seconds_ago=seconds_ago) for one in told)]


def plugin(on: str = "n1", **rest: Any) -> list[Obj]:
    """aws-node with its pod on a node."""
    daemon = obj("DaemonSet", "aws-node", "kube-system", api="apps/v1", status={"desiredNumberScheduled": 2})
    return [daemon, pod("aws-node-x1", "kube-system", owned_by=("DaemonSet", "aws-node"), node=on, **rest)]


# Ready


def test_a_kubelet_that_no_longer_reports_explains_its_pods_and_the_service() -> None:
    from builders import service

    (root,) = linked(*hosted(pods=2), service("cart"), dead())
    one = root.finding
    assert (one.cause, one.object, one.severity, one.confidence) == (
        "kubelet-not-reporting",
        Ref("Node", "", "n1"),
        "critical",
        "certain",
    )
    assert {e.cause for e in root.explained} == {"service-endpoints-not-ready"}
    assert "2 pods suffer from it, of deployment/cart" in one.summary
    assert one.evidence[0].value == f"Unknown: NodeStatusUnknown {STOPPED}"


def test_several_dead_nodes_are_one_problem_that_names_them_all() -> None:
    zone = {"topology.kubernetes.io/zone": "b"}
    one = finding(*hosted(), *hosted("n2", name="find"), dead(labels=zone), dead("n2", labels=zone), node("n3"))
    assert one.object.name == "n1"
    assert "2 nodes (all of zone b), n1, n2" in one.summary
    assert Ref("Node", "", "n2") in one.affects


def test_a_workload_with_pods_elsewhere_still_serves() -> None:
    made = [*hosted(), named(app(pods=2, node="n2"), "Pod", "cart-1-1")]
    assert finding(*made, dead(), node("n2")).severity == "warning"


@pytest.mark.parametrize(
    ("message", "cause"), [(NO_RUNTIME, "container-runtime-down"), (NO_NETWORK, "cni-not-initialized")]
)
def test_the_message_of_a_node_that_is_not_ready_tells_what_fails(message: str, cause: str) -> None:
    assert roots(*hosted(), sick("n1", "False", message), node("n2")) == [(cause, "node/n1")]


def test_two_nodes_with_two_faults_are_two_problems() -> None:
    nodes = [sick("n1", "False", NO_RUNTIME), sick("n2", "False", NO_NETWORK)]
    found = roots(*hosted(), *hosted("n2", name="find"), *nodes)
    assert sorted(found) == [("cni-not-initialized", "node/n2"), ("container-runtime-down", "node/n1")]


def test_a_namespace_hears_of_the_nodes_that_its_pods_are_on_and_of_no_other() -> None:
    shop = Scope(namespace="shop")
    assert roots(*hosted(), dead(), node("n2"), scope=shop) == [("kubelet-not-reporting", "node/n1")]
    assert roots(*app(node="n2"), dead(), node("n2"), scope=shop) == []
    asked = Scope(object=Ref("Node", "", "n2"))
    assert roots(*hosted(), dead(), node("n2"), scope=asked) == []


def test_pods_that_only_a_sick_node_would_take_wait_for_that_node() -> None:
    made = [pending("cart-1-0", owned_by=("ReplicaSet", "cart-1")), replica_set("cart-1", of="cart")]
    unreachable = {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}
    other = node("n2", taints=[{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}])
    one = sick("n1", "Unknown", STOPPED, reason="NodeStatusUnknown", taints=[UNREACHABLE, unreachable])
    found = finding(*made, one, other, scope=Scope(namespace="shop"))
    assert (found.cause, found.object.name) == ("kubelet-not-reporting", "n1")
    assert Ref("Pod", "shop", "cart-1-0") in found.affects


def test_room_that_went_with_a_node_is_that_nodes_loss() -> None:
    asks = {"resources": {"requests": {"cpu": "6"}}}
    going = pod("cart-0", containers=[{"name": "app", **asks}], ready=False, metadata={"deletionTimestamp": ago(40)})
    waits = pending("cart-1", containers=[{"name": "app", **asks}])
    filler = pod("big", node="n2", containers=[{"name": "app", **asks}])
    taints = [UNREACHABLE, {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}]
    gone = sick("n1", "Unknown", STOPPED, reason="NodeStatusUnknown", taints=taints)
    (root,) = linked(going, waits, filler, gone, node("n2"))
    assert root.finding.cause == "kubelet-not-reporting"
    assert "insufficient-node-resources" in {e.cause for e in root.explained}


@pytest.mark.parametrize(
    "one",
    [
        sick("n9", "False", NO_NETWORK, made=50, taints=[NOT_READY]),
        sick("n9", "False", "node is shutting down", made=9000),
        node("n9", cordoned=True),
    ],
    ids=["joins", "shuts down", "cordoned"],
)
def test_nodes_that_come_and_go_are_no_fault(one: Obj) -> None:
    agent = pod(
        "agent", node="n9", owned_by=("DaemonSet", "agent"), phase="Pending", waiting="ContainerCreating", age=20
    )
    assert severe(*app(node="n2"), node("n2"), one, agent) == []


def test_a_new_node_that_pods_of_before_wait_for_is_on_its_way() -> None:
    joins = sick("n9", "False", NO_NETWORK, made=50, taints=[NOT_READY])
    assert roots(pending("cart", age=300), joins) == []
    after = pending("cart", age=20)
    assert roots(after, joins) == [("cni-not-initialized", "node/n9")]


@pytest.mark.parametrize(
    ("type_", "status", "reason", "cause"),
    [
        ("ContainerRuntimeReady", "False", "ContainerRuntimeFailed", "container-runtime-down"),
        ("ContainerRuntimeReady", "False", "KubeletFailed", "kubelet-not-reporting"),
        ("NetworkingReady", "False", "IPAMDNotRunning", "cni-not-initialized"),
        ("FrequentKubeletRestart", "True", "FrequentKubeletRestart", "kubelet-not-reporting"),
        ("FrequentContainerdRestart", "True", "FrequentContainerdRestart", "container-runtime-down"),
        ("NetworkUnavailable", "True", "CalicoIsDown", "cni-not-initialized"),
    ],
)
def test_agents_on_a_node_tell_by_conditions_of_known_polarity(
    type_: str, status: str, reason: str, cause: str
) -> None:
    found = finding(*app(), condition(node("n1"), type_, status, reason))
    assert (found.cause, found.severity) == (cause, "warning")
    well = condition(node("n1"), type_, "False" if status == "True" else "True")
    assert roots(*app(), condition(well, "ShopReady", "False")) == []


def test_where_nodes_may_not_be_read_the_pods_tell_of_them() -> None:
    made = hosted()
    told = event(made[-1], "NodeNotReady", "Node is not ready")
    found = finding(*made, told, unknown=(kinds.NODE,))
    assert (found.cause, found.object.name, found.confidence) == ("kubelet-not-reporting", "n1", "likely")


# Networks


def test_no_address_on_two_nodes_is_one_problem() -> None:
    made = [*no_sandbox(), *no_sandbox(on="n2", name="find")]
    found = finding(*made, node("n1"), node("n2"), node("n3"))
    assert (found.cause, found.object.name, found.severity) == ("cni-ip-exhaustion", "n1", "critical")
    assert "no address is left for new pods" in found.summary


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("add cmd: failed to assign an IP address to container", "cni-ip-exhaustion"),
        (
            'plugin type="host-local" failed (add): no IP addresses available in range set: 10.1.0.1-10.1.0.254',
            "cni-ip-exhaustion",
        ),
        (
            "InsufficientCidrBlocks: The specified subnet does not have enough free cidr blocks",
            "cni-prefix-fragmentation",
        ),
        (
            'plugin type="calico" failed (add): error getting ClusterInformation: connection is unauthorized',
            "cni-not-initialized",
        ),
        (
            'plugin type="aws-cni" failed (add): dial tcp 127.0.0.1:50051: connect: connection refused',
            "cni-not-initialized",
        ),
        (NO_SHIM, "pod-sandbox-creation-failed"),
        ('failed to get sandbox runtime: no runtime for "gvisor" is configured', "pod-sandbox-creation-failed"),
        ("failed to pull image registry.k8s.io/pause:3.10: dial tcp: i/o timeout", "pod-sandbox-creation-failed"),
    ],
)
def test_the_text_of_a_failed_sandbox_tells_whose_fault_it_is(message: str, cause: str) -> None:
    assert roots(*no_sandbox(message), node("n1")) == [(cause, "node/n1")]


def test_a_kubelet_that_waits_for_its_network_says_so_of_its_pods() -> None:
    made = app(node="n1", **CREATING)
    told = event(made[-1], "NetworkNotReady", "network is not ready: " + NO_NETWORK)
    assert roots(*made, told, node("n1")) == [("cni-not-initialized", "node/n1")]


def test_an_agent_that_finds_no_addresses_is_no_plugin_that_fails() -> None:
    one = condition(node("n1"), "NetworkingReady", "False", "IPAMDNoIPs", "IPAM-D is out of IPs")
    assert roots(*app(), one) == [("cni-ip-exhaustion", "node/n1")]


def test_a_block_that_the_controller_misses_is_not_a_subnet_without_addresses() -> None:
    n1 = node("n1")
    words = "The specified subnet does not have enough free cidr blocks to satisfy the request"
    found = finding(*no_sandbox(), n1, event(n1, "InsufficientCidrBlocks", words, seconds_ago=900))
    assert found.cause == "cni-prefix-fragmentation"


def test_rights_that_the_plugin_misses_explain_the_addresses() -> None:
    agent = plugin(ready=False)
    words = "Unauthorized operation: failed to call ec2:CreateNetworkInterface due to missing permissions."
    said = event(agent[1], "MissingIAMPermissions", words, seconds_ago=1500)
    (root,) = linked(*no_sandbox(), *agent, said, node("n1"))
    assert (root.finding.cause, str(root.finding.object)) == ("cni-iam-permissions-missing", "daemonset/aws-node")
    assert "cni-ip-exhaustion" in {e.cause for e in root.explained}
    assert Ref("Node", "", "n1") in root.finding.affects


def test_rights_that_were_missed_once_are_history() -> None:
    agent = plugin()
    said = event(agent[1], "MissingIAMPermissions", "Unauthorized operation: failed to call ec2:CreateTags")
    assert roots(*app(), *agent, said, node("n1")) == []


def test_a_plugin_that_crashes_is_named_with_the_node() -> None:
    agent = plugin(waiting="CrashLoopBackOff", restarts=7, last={"exitCode": 1, "finishedAt": ago(60)})
    (root,) = linked(*hosted(), *agent, sick("n1", "False", NO_NETWORK))
    assert root.finding.cause == "cni-not-initialized"
    assert "1 pod of daemonset/aws-node there is not ready (app CrashLoopBackOff, 7 restarts)" in root.finding.summary


@pytest.mark.parametrize("message", [NO_ADDRESS, NO_SHIM, NO_NETWORK])
def test_failures_that_are_over_are_none(message: str) -> None:
    runs = [*app(), event(app()[-1], "FailedCreatePodSandBox", message)]
    changed = event(app()[-1], "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
    assert roots(*runs, changed, node("n1")) == []
    assert "cni-ip-exhaustion" not in dict(roots(*no_sandbox(message, seconds_ago=3000), node("n1")))


def test_a_pod_of_the_same_name_is_another_pod() -> None:
    made = no_sandbox()
    made[-1]["involvedObject"]["uid"] = "another"
    assert "cni-ip-exhaustion" not in dict(roots(*made, node("n1")))


def test_nothing_is_said_of_sandboxes_on_a_node_that_is_down() -> None:
    assert roots(*no_sandbox(NO_SHIM), sick("n1", "False", NO_RUNTIME)) == [("container-runtime-down", "node/n1")]


CASES: dict[str, list[Obj]] = {
    "dead": [*hosted(pods=2), dead(), node("n2")],
    "runtime": [*hosted(), sick("n1", "False", NO_RUNTIME)],
    "network": [*hosted(), *plugin(waiting="CrashLoopBackOff", restarts=3), sick("n1", "False", NO_NETWORK)],
    "addresses": [*no_sandbox(), node("n1")],
    "sandbox": [*no_sandbox(NO_SHIM), node("n1")],
}


@pytest.mark.parametrize("case", CASES)
def test_names_order_and_neighbours_change_nothing(case: str) -> None:
    objects = CASES[case]
    (expected,) = roots(*objects)
    assert roots(*shuffled(objects, 7)) == [expected]
    assert roots(*renamed(objects, "basket")) == [expected]
    assert roots(*objects, *bystanders()) == [expected] or case in {"dead", "runtime", "network"}


@given(st.data())
def test_no_rule_about_nodes_raises(data: st.DataObject) -> None:
    objects = data.draw(damaged(CASES[data.draw(st.sampled_from(sorted(CASES)))]))
    verdicts(*objects)
    assert judge is not None
