"""What a node's own conditions say is wrong with it: its kubelet, its container runtime or its network plugin. Pure.

Decided by the condition Ready and by those conditions of EKS' node monitoring agent and of node-problem-detector whose
polarity is known. Messages are those of v1.36 (pkg/kubelet/runtime.go, pkg/kubelet/nodestatus/setters.go,
pkg/controller/nodelifecycle) and older, since they alone tell a runtime that is down from a network that is not ready.
"""

import re

from firstmate_tools import fields, kinds, nodestate
from firstmate_tools.diagnosis import sicknodes
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, fact
from firstmate_tools.diagnosis.sicknodes import Ill
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref, ref_of

KUBELET, RUNTIME, NETWORK = "kubelet-not-reporting", "container-runtime-down", "cni-not-initialized"

_RUNTIME = re.compile(
    r"(?i)container runtime (?:is down|not ready|status check)|RuntimeReady=false|PLEG is not healthy|"
    r"pleg was last seen|pleg has yet to be successful|containerd\.sock|crio\.sock|dockershim\.sock|docker daemon"
)
_NETWORK = re.compile(
    r"(?i)NetworkReady=false|NetworkPluginNotReady|cni plugin not initialized|cni config uninitialized"
)
_LEAVING = re.compile(r"(?i)node is shutting down")
_TOLD: dict[tuple[str, str], str] = {
    # Polarity: see nodestate. https://docs.aws.amazon.com/eks/latest/userguide/node-health-nma.html
    ("ContainerRuntimeReady", "False"): RUNTIME,
    ("NetworkUnavailable", "True"): NETWORK,
    # kubernetes/node-problem-detector, config/*.json
    ("ContainerRuntimeUnhealthy", "True"): RUNTIME,
    ("FrequentContainerdRestart", "True"): RUNTIME,
    ("FrequentDockerRestart", "True"): RUNTIME,
    ("CorruptDockerOverlay2", "True"): RUNTIME,
    ("KubeletUnhealthy", "True"): KUBELET,
    ("FrequentKubeletRestart", "True"): KUBELET,
}
_RESTARTS = re.compile(r"^Frequent")
NO_ADDRESSES = "IPAMDNoIPs"
"""What EKS' agent says of a node that has no addresses left, by an event or its condition NetworkingReady."""


def fault(node: Obj) -> tuple[str, str, Evidence] | None:
    """The cause that a node's conditions tell, in words, and the condition; None where they tell none.

    What the Ready condition says comes first.
    """
    ready = fields.condition(node, "Ready")
    status, message = fields.text(ready, "status"), fields.text(ready, "message")
    if status == "Unknown":
        never = fields.text(ready, "reason") == "NodeStatusNeverUpdated"
        return KUBELET, "has never reported" if never else "no longer reports", _condition(node, ready)
    if status != "True":
        if not ready:
            return KUBELET, "has never reported", fact(ref_of(node, kinds.NODE), "status.conditions[Ready]", None)
        if _LEAVING.search(message):
            return None
        if _RUNTIME.search(message):
            return RUNTIME, "is not ready, its container runtime does not answer", _condition(node, ready)
        if _NETWORK.search(message):
            return NETWORK, "is not ready, its network plugin is not initialised", _condition(node, ready)
    return _told(node)


def _told(node: Obj) -> tuple[str, str, Evidence] | None:
    for entry in fields.items(node, "status", "conditions"):
        kind, status = fields.text(entry, "type"), fields.text(entry, "status")
        cause = _TOLD.get((kind, status))
        if cause == RUNTIME and fields.text(entry, "reason") == "KubeletFailed":
            cause = KUBELET
        reason = fields.text(entry, "reason")
        if kind == "NetworkingReady" and status == "False" and reason.startswith("IPAMD") and reason != NO_ADDRESSES:
            cause = NETWORK
        if cause is not None:
            what = {KUBELET: "its kubelet", RUNTIME: "its container runtime", NETWORK: "its network plugin"}[cause]
            words = f"has {what} restarting again and again" if _RESTARTS.match(kind) else f"has {what} failing"
            return cause, f"{words}, by its condition {kind}", _condition(node, entry)
    return None


def _condition(node: Obj, entry: Obj) -> Evidence:
    kind, status = fields.text(entry, "type"), fields.text(entry, "status")
    path = f"status.conditions[{kind}]"
    turned = fields.time_at(entry, "lastTransitionTime")
    return fact(ref_of(node, kinds.NODE), path, f"{status}: {nodestate.said(entry)}", turned)


def faulty(facts: Facts, cause: str) -> list[tuple[Ill, str]]:
    """The nodes that concern the question and have one fault, with what is wrong in words."""
    found: list[tuple[Ill, str]] = []
    for node in sicknodes.concerned(facts):
        told = fault(node)
        if told is not None and told[0] == cause and not sicknodes.joining(facts, node):
            found.append((Ill(node, (told[2], *_taints(node)), told[2].at), told[1]))
    return found


def _taints(node: Obj) -> tuple[Evidence, ...]:
    ref = ref_of(node, kinds.NODE)
    keys = ("node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready")
    taints = [
        t for t in fields.items(node, "spec", "taints") if t.get("key") in keys and t.get("effect") == "NoExecute"
    ]
    return tuple(fact(ref, "spec.taints", nodestate.taint_text(t), fields.time_at(t, "timeAdded")) for t in taints[:1])


def down(facts: Facts, name: str) -> bool:
    """Whether a node's kubelet or runtime is known to fail, so that nothing else said of its pods counts."""
    node = facts.get(Ref(kinds.NODE.kind, "", name))
    told = fault(node) if node is not None else None
    return told is not None and told[0] in {KUBELET, RUNTIME}
