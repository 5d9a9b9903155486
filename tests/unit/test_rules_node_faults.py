"""Findings about pressure on nodes, pods that kubelets refuse, certificates, versions and what agents on nodes say."""

from typing import Any

import pytest
from builders import ago, container, event, node, obj, pod
from hypothesis import given
from hypothesis import strategies as st
from test_rules_nodes import condition
from verdicts import app, damaged, finding, linked, named, renamed, roots, severe, shuffled, verdicts

from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref

LOW_DISK = (
    "The node was low on resource: ephemeral-storage. Threshold quantity: 8Gi, available: 2Gi. Container app was using "
    "31Gi, request is 0, has larger consumption of ephemeral-storage. "
)
LOW_MEMORY = (
    "The node was low on resource: memory. Threshold quantity: 100Mi, available: 48Mi. Container app was using 6Gi, "
    "request is 256Mi, has larger consumption of memory. "
)
SHOP = Scope(namespace="shop")


def failed(
    name: str, reason: str, message: str, *, on: str = "n1", seconds_ago: float = 60, of: str = "cart-1"
) -> list[Obj]:
    """A pod of a ReplicaSet that a kubelet ended or refused, with the event of it."""
    one = pod(name, owned_by=("ReplicaSet", of), node=on, phase="Failed", statuses=[], age=seconds_ago + 60)
    one["status"].update(reason=reason, message=message)
    return [one, event(one, reason, message, seconds_ago=seconds_ago)]


def pressed(type_: str = "DiskPressure", status: str = "True", name: str = "n1", **rest: Any) -> Obj:
    word = {"DiskPressure": "DiskPressure", "MemoryPressure": "InsufficientMemory", "PIDPressure": "InsufficientPID"}[
        type_
    ]
    return condition(node(name, **rest), type_, status, f"KubeletHas{word}", "kubelet has it")


# Pressure


@pytest.mark.parametrize(
    ("type_", "message", "cause", "words"),
    [
        ("DiskPressure", LOW_DISK, "node-disk-pressure", "31Gi, where it asked for 0"),
        ("MemoryPressure", LOW_MEMORY, "node-memory-pressure", "6Gi, where it asked for 256Mi"),
        ("PIDPressure", "The node was low on resource: pids. ", "node-pid-pressure", "runs out of process ids"),
    ],
)
def test_a_node_that_evicts_is_named_with_whom_it_evicted_and_who_used_most(
    type_: str, message: str, cause: str, words: str
) -> None:
    made = [*app(pods=1, node="n2", replicas=2), *failed("cart-1-9", "Evicted", message)]
    found = finding(*made, pressed(type_), node("n2"))
    assert (found.cause, found.object, found.severity) == (cause, Ref("Node", "", "n1"), "warning")
    assert words in found.summary
    assert Ref("Deployment", "shop", "cart") in found.affects


def test_a_node_that_evicts_the_last_pod_hurts_now() -> None:
    made = app(pods=1, node="n2", phase="Pending", waiting="ContainerCreating", age=8)
    assert finding(*made, *failed("cart-1-9", "Evicted", LOW_MEMORY), pressed("MemoryPressure")).severity == "critical"


def test_pressure_without_an_eviction_is_told_of_nodes_that_matter() -> None:
    assert finding(*app(), pressed()).severity == "warning"
    assert roots(*app(node="n2"), pressed(), node("n2"), scope=SHOP) == []


def test_two_nodes_short_of_the_same_are_one_problem_and_of_other_things_two() -> None:
    assert roots(*app(), pressed(), pressed(name="n2")) == [("node-disk-pressure", "node/n1")]
    found = roots(*app(), pressed(), pressed("MemoryPressure", name="n2"))
    assert found == [("node-disk-pressure", "node/n1"), ("node-memory-pressure", "node/n2")]


def test_pressure_that_is_over_is_ruled_out() -> None:
    over = pressed("MemoryPressure", "False")
    made = [*app(pods=2, node="n2"), *failed("cart-1-9", "Evicted", LOW_MEMORY, seconds_ago=900), over, node("n2")]
    found, ruled_out, _ = verdicts(*made)
    assert found == []
    assert [r.cause for r in ruled_out] == ["node-memory-pressure"]


def test_an_eviction_that_the_condition_has_not_caught_up_with_counts_while_pods_are_missing() -> None:
    over = pressed("MemoryPressure", "False")
    made = failed("cart-1-9", "Evicted", LOW_MEMORY, seconds_ago=10)
    found = finding(*app(pods=1, replicas=2, node="n2"), *made, over, node("n2"))
    assert (found.cause, found.confidence) == ("node-memory-pressure", "likely")
    assert severe(*app(pods=2, node="n2"), *made, over, node("n2")) == []


# Refusals


OUT_OF_CPU = "Node didn't have enough resource: cpu, requested: 4000, used: 7600, capacity: 7910"
NO_DEVICE = (
    "Allocate failed due to requested number of devices unavailable for nvidia.com/gpu. Requested: 1, Available: 0, "
    "which is unexpected"
)


def test_a_kubelet_that_refuses_what_it_is_given_is_named_with_the_numbers() -> None:
    made = [
        *app(pods=1, replicas=2, node="n2"),
        *failed("cart-1-8", "OutOfcpu", OUT_OF_CPU),
        *failed("cart-1-9", "OutOfcpu", OUT_OF_CPU),
    ]
    found = finding(*made, node("n1"), node("n2"))
    assert (found.cause, found.object, found.severity, found.confidence) == (
        "kubelet-admission-rejected",
        Ref("Node", "", "n1"),
        "warning",
        "certain",
    )
    assert "cpu: 4000 asked for, 7600 of 7910 in use" in found.summary


def test_a_workload_that_pins_its_pods_is_what_has_to_be_mended() -> None:
    made = app(pods=0, replicas=2, body={"nodeName": "n1"})
    found = finding(*made, *failed("cart-1-9", "OutOfcpu", OUT_OF_CPU), node("n1"))
    assert (found.cause, str(found.object), found.severity) == (
        "kubelet-admission-rejected",
        "deployment/cart",
        "critical",
    )


def test_a_gpu_that_failed_is_told_from_a_full_node() -> None:
    made = app(pods=0, replicas=1)
    assert finding(*made, *failed("cart-1-9", "UnexpectedAdmissionError", NO_DEVICE), node("n1")).cause == (
        "gpu-device-unhealthy"
    )


def test_a_gpu_that_several_tell_of_is_one_problem() -> None:
    one = condition(node("n1"), "AcceleratedHardwareReady", "False", "NvidiaXID79Error")
    one["status"]["capacity"] = {**one["status"]["capacity"], "nvidia.com/gpu": "8"}
    one["status"]["allocatable"] = {**one["status"]["allocatable"], "nvidia.com/gpu": "7"}
    unregistered = "Allocate failed due to can't allocate unregistered device nvidia.com/gpu, which is unexpected"
    made = [*app(pods=0, replicas=1), *failed("cart-1-9", "UnexpectedAdmissionError", unregistered)]
    assert roots(*made, one) == [("gpu-device-unhealthy", "node/n1")]
    assert roots(*app(), one) == [("gpu-device-unhealthy", "node/n1")]


@pytest.mark.parametrize(
    ("reason", "message", "seconds_ago"),
    [
        ("OutOfpods", "Node didn't have enough resource: pods, requested: 1, used: 110, capacity: 110", 900),
        ("NodeShutdown", "Pod was rejected as the node is shutting down.", 60),
        ("OutOfcpu", OUT_OF_CPU, 60),
    ],
)
def test_a_refused_pod_that_has_been_replaced_alarms_nobody(reason: str, message: str, seconds_ago: float) -> None:
    made = [*app(pods=2, node="n2"), *failed("cart-1-9", reason, message, seconds_ago=seconds_ago)]
    assert severe(*made, node("n1"), node("n2")) == []


# Certificates


def csr(
    name: str, on: str = "n1", *, age: float = 300, signer: str = "kubernetes.io/kubelet-serving", **status: Any
) -> Obj:
    return obj(
        "CertificateSigningRequest",
        name,
        None,
        api="certificates.k8s.io/v1",
        metadata={"creationTimestamp": ago(age)},
        spec={"signerName": signer, "username": f"system:node:{on}"},
        status=status,
    )


def test_serving_certificates_that_nobody_approves_are_one_problem() -> None:
    found = finding(csr("csr-a"), csr("csr-b", "n2"), csr("csr-c", age=1200), node("n1"), node("n2"))
    assert (found.cause, found.object.name, found.severity) == ("kubelet-serving-csr-pending", "n1", "warning")
    assert (
        "2 nodes, n1, n2: each asks for a certificate to serve with (csr-a, csr-b), and nobody approves it"
        in found.summary
    )
    assert Ref("CertificateSigningRequest", "", "csr-a") in found.affects


@pytest.mark.parametrize(
    "made",
    [
        [csr("a", certificate="LS0t", conditions=[{"type": "Approved", "status": "True"}])],
        [csr("a", age=900), csr("b", age=60, certificate="LS0t")],
        [csr("a", age=2)],
        [csr("a", signer="kubernetes.io/kube-apiserver-client-kubelet")],
        [csr("a", on="long-gone")],
    ],
    ids=["issued", "issued since", "young", "another signer", "no such node"],
)
def test_requests_that_hurt_nobody(made: list[Obj]) -> None:
    assert roots(*made, node("n1")) == []


def test_a_denied_request_is_told() -> None:
    denied = csr("a", conditions=[{"type": "Denied", "status": "True", "message": "SAN not allowed"}])
    assert "it was denied" in finding(denied, node("n1")).summary


# Versions


def versioned(name: str, version: str) -> Obj:
    one = node(name)
    one["status"]["nodeInfo"] = {"kubeletVersion": version}
    return one


@pytest.mark.parametrize(
    ("kubelet", "server", "told"),
    [
        ("v1.31.4-eks-aeac579", "v1.36.2", True),
        ("v1.33.0", "v1.36.2-eks-1", False),
        ("v1.36.9", "v1.36.2", False),
        ("v1.37.0", "v1.36.2", True),
        ("v1.24.17", "v1.27.1", True),
        ("v1.25.0", "v1.28.0", False),
        ("kwok-v0.8.0", "v1.36.2", False),
        ("v1.31.0", None, False),
    ],
)
def test_kubelets_too_far_from_the_api_server(kubelet: str, server: str | None, told: bool) -> None:
    found = roots(versioned("n1", kubelet), versioned("n2", server or "v1.36.0"), server=server)
    assert found == ([("kubelet-version-skew", "node/n1")] if told else [])


def test_one_namespace_is_not_told_of_versions() -> None:
    assert roots(*app(), versioned("n1", "v1.20.0"), server="v1.36.2", scope=SHOP) == []


# Agents


@pytest.mark.parametrize(
    ("type_", "status", "cause"),
    [
        ("NTPProblem", "True", "node-clock-skew"),
        ("ConntrackFull", "True", "conntrack-table-full"),
        ("AcceleratedHardwareReady", "False", "gpu-device-unhealthy"),
    ],
)
def test_what_an_agent_says_by_a_condition(type_: str, status: str, cause: str) -> None:
    good = "False" if status == "True" else "True"
    assert roots(*app(), condition(node("n1"), type_, status)) == [(cause, "node/n1")]
    assert roots(*app(), condition(node("n1"), type_, good)) == []
    assert roots(*app(node="n2"), condition(node("n1"), type_, status), node("n2"), scope=SHOP) == []


def test_a_full_table_that_an_event_tells_of_counts_while_it_is_fresh() -> None:
    n1 = node("n1")
    words = "nf_conntrack: table full, dropping packet"
    assert roots(*app(), n1, event(n1, "ConntrackFull", words)) == [("conntrack-table-full", "node/n1")]
    assert roots(*app(), n1, event(n1, "ConntrackFull", words, seconds_ago=4000)) == []


EARLY = (
    "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time "
    "2026-11-19T03:12:44Z is before 2026-11-21T00:00:00Z"
)
CRASHES: dict[str, Any] = {
    "ready": False,
    "waiting": "CrashLoopBackOff",
    "restarts": 5,
    "last": {"exitCode": 1, "reason": "Error", "startedAt": ago(90), "finishedAt": ago(60)},
}


def test_a_certificate_that_one_node_finds_too_young_is_that_nodes_clock() -> None:
    made = [*app(**CRASHES), named(app(pods=2, node="n2"), "Pod", "cart-1-1"), node("n1"), node("n2")]
    log = {("shop", "cart-1-0", "app", True): EARLY}
    (root,) = linked(*made, logs=log)
    assert (root.finding.cause, root.finding.object.name, root.finding.confidence) == (
        "node-clock-skew",
        "n1",
        "likely",
    )
    assert "application-exits-on-error" in {e.cause for e in root.explained}


def test_a_certificate_that_every_node_finds_too_young_is_no_clock() -> None:
    made = [*app(**CRASHES), *app("find", node="n2", **CRASHES), node("n1"), node("n2")]
    logs = {("shop", "cart-1-0", "app", True): EARLY, ("shop", "find-1-0", "app", True): EARLY}
    assert "node-clock-skew" not in dict(roots(*made, logs=logs))


def test_a_gpu_that_its_plugin_gives_up_is_told() -> None:
    line = "W1121 health.go:62] XidCriticalError: Xid=79 on Device=GPU-4cf8db2d; marking device as unhealthy."
    plugin = app("nvidia-device-plugin", namespace="kube-system")
    log = {("kube-system", "nvidia-device-plugin-1-0", "app", False): line}
    assert roots(*plugin, node("n1"), logs=log) == [("gpu-device-unhealthy", "node/n1")]


CASES: dict[str, list[Obj]] = {
    "pressure": [*app(pods=1, node="n2", replicas=2), *failed("cart-1-9", "Evicted", LOW_DISK), pressed(), node("n2")],
    "refused": [*app(pods=0, replicas=1), *failed("cart-1-9", "OutOfcpu", OUT_OF_CPU), node("n1")],
    "csr": [csr("csr-a"), node("n1")],
    "clock": [*app(), condition(node("n1"), "NTPProblem", "True")],
}


@pytest.mark.parametrize("case", CASES)
def test_names_and_order_change_nothing(case: str) -> None:
    (expected,) = roots(*CASES[case])
    assert roots(*shuffled(CASES[case], 5)) == [expected]
    assert roots(*renamed(CASES[case], "basket")) == [expected]


@given(st.data())
def test_no_rule_about_faults_of_nodes_raises(data: st.DataObject) -> None:
    verdicts(*data.draw(damaged(CASES[data.draw(st.sampled_from(sorted(CASES)))])), server="v1.36.2")


def by_agent(about: Obj, type_: str, words: str, **rest: Any) -> Obj:
    """An event of EKS' node monitoring agent: the condition as its reason, the issue as its first word."""
    said = event(about, type_, words, **rest)
    said["source"] = {"component": "eks-node-monitoring-agent"}
    return said


@pytest.mark.parametrize(
    ("type_", "issue", "cause"),
    [
        ("KernelReady", "ClockUnsynchronized", "node-clock-skew"),
        ("KernelReady", "ConntrackExceededKernel", "conntrack-table-full"),
        ("NetworkingReady", "IPAMDNoIPs", "cni-ip-exhaustion"),
    ],
)
def test_what_the_agent_says_by_an_event_counts_by_the_issue_that_it_names(type_: str, issue: str, cause: str) -> None:
    one = node("n1")
    assert roots(*app(), one, by_agent(one, type_, f"{issue}: it is so")) == [(cause, "node/n1")]
    assert roots(*app(), one, by_agent(one, type_, f"{issue}: it is so", seconds_ago=3600)) == []
    assert roots(*app(), one, event(one, type_, f"{issue}: somebody else says so")) == []
    assert roots(*app(), one, by_agent(one, type_, f"NetworkSysctl: not {issue}")) == []


def test_a_fork_that_failed_is_a_want_of_process_ids_though_the_kubelet_knows_nothing() -> None:
    one = condition(node("n1"), "PIDPressure", "False", "KubeletHasSufficientPID")
    found = finding(*app(), condition(one, "KernelReady", "False", "ForkFailedOutOfPIDs"))
    assert (found.cause, str(found.object)) == ("node-pid-pressure", "node/n1")
    assert found.evidence[0].field == "status.conditions[KernelReady]"
    assert roots(*app(), condition(node("n1"), "KernelReady", "True", "KernelIsReady")) == []


def test_failed_devices_explain_a_crash_that_speaks_of_them_and_no_other() -> None:
    one = condition(node("n1"), "AcceleratedHardwareReady", "False", "NvidiaXID79Error")
    uses = container(resources={"limits": {"nvidia.com/gpu": "1"}})
    died = app(spec=uses, waiting="CrashLoopBackOff", restarts=4, last={"exitCode": 1, "reason": "Error"})

    def with_log(line: str) -> list[tuple[str, str]]:
        return roots(*died, one, logs={("shop", "cart-1-0", "app", True): line})

    ill = ("gpu-device-unhealthy", "node/n1")
    assert with_log("RuntimeError: CUDA error: unknown error") == [ill]
    assert sorted(with_log("KeyError: 'QUEUE_URL'")) == [("application-exits-on-error", "deployment/cart"), ill]
