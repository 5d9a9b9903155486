"""What is wrong with a node, by its conditions, taints and lease of life. Pure.

A condition's name alone does not say whether True is good. Only conditions whose polarity is known are judged:
Kubernetes core's, those of the EKS node monitoring agent (True is good), and those of node-problem-detector (True is
bad). Every other condition is left to whoever knows it.
"""

from collections.abc import Iterator
from datetime import datetime

from firstmate_tools import fields
from firstmate_tools.fields import Obj

_BAD_WHERE_TRUE = frozenset(
    {
        # Kubernetes core: kubernetes.io/docs/reference/node/node-status/#condition
        "MemoryPressure",
        "DiskPressure",
        "PIDPressure",
        "NetworkUnavailable",
        # kubernetes/node-problem-detector, config/*.json
        "KernelDeadlock",
        "ReadonlyFilesystem",
        "XfsShutdown",
        "CperHardwareErrorFatal",
        "FrequentKubeletRestart",
        "FrequentDockerRestart",
        "FrequentContainerdRestart",
        "FrequentUnregisterNetDevice",
        "CorruptDockerOverlay2",
        "KubeletUnhealthy",
        "ContainerRuntimeUnhealthy",
        "NTPProblem",
        "ConntrackFull",
        "ConntrackFullProblem",
    }
)
_BAD_WHERE_FALSE = frozenset(
    # docs.aws.amazon.com/eks/latest/userguide/node-health.html
    {"AcceleratedHardwareReady", "ContainerRuntimeReady", "KernelReady", "NetworkingReady", "StorageReady"}
)
_BY_THE_NODE_CONTROLLER = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def problems(node: Obj) -> list[str]:
    """What is known to be wrong with a node, the worst first."""
    return list(_problems(node))


def _problems(node: Obj) -> Iterator[str]:
    ready = fields.condition(node, "Ready")
    if ready.get("status") != "True":
        yield f"Ready is {fields.text(ready, 'status') or 'not reported'}: {said(ready)}"
    for entry in fields.items(node, "status", "conditions"):
        type_, status = fields.text(entry, "type"), fields.text(entry, "status")
        if (type_ in _BAD_WHERE_TRUE and status == "True") or (type_ in _BAD_WHERE_FALSE and status == "False"):
            yield f"{type_} is {status}: {said(entry)}"
    if fields.text(node, "metadata", "deletionTimestamp"):
        waits = ", ".join(fields.strings(node, "metadata", "finalizers"))
        yield f"is being deleted{f', waits for finalizers {waits}' if waits else ''}"
    for taint in fields.items(node, "spec", "taints"):
        if fields.text(taint, "key") in _BY_THE_NODE_CONTROLLER and ready.get("status") == "True":
            yield f"is Ready, yet still carries the taint {taint_text(taint)}"


def unjudged(node: Obj) -> list[str]:
    """Conditions whose polarity nobody here knows, where somebody gave them a reason to be looked at."""
    known = {"Ready", *_BAD_WHERE_TRUE, *_BAD_WHERE_FALSE}
    return [
        f"{fields.text(entry, 'type')}={fields.text(entry, 'status')}: {said(entry)}"
        for entry in fields.items(node, "status", "conditions")
        if entry.get("type") not in known
    ]


def since(node: Obj) -> datetime | None:
    """Since when it is not ready, None for one that is."""
    ready = fields.condition(node, "Ready")
    return None if ready.get("status") == "True" else fields.time_at(ready, "lastTransitionTime")


def said(entry: Obj) -> str:
    """Reason and message of a condition."""
    return " ".join(filter(None, (fields.text(entry, "reason"), fields.text(entry, "message")))) or "no reason given"


def taint_text(taint: Obj) -> str:
    """`dedicated=gpu:NoSchedule`, as kubectl writes taints."""
    value = fields.text(taint, "value")
    return f"{fields.text(taint, 'key')}{'=' + value if value else ''}:{fields.text(taint, 'effect')}"
