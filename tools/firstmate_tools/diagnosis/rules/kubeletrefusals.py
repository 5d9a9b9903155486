"""Pods that a scheduler, or nobody, gave to a node, and that the kubelet there refuses.

The pod fails at once and stays as it is; its controller makes another, which may be refused again. Reasons:
pkg/kubelet/lifecycle/predicate.go, pkg/kubelet/cm (UnexpectedAdmissionError, TopologyAffinityError), v1.36.
"""

import re
from collections import defaultdict
from dataclasses import dataclass, replace

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis import lib, sicknodes
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, RuledOut, fact
from firstmate_tools.diagnosis.gone import RECENT, Gone, gone
from firstmate_tools.diagnosis.heard import LATELY
from firstmate_tools.diagnosis.rule import BACKENDS, Verdicts, rule
from firstmate_tools.diagnosis.rules.containers import OBSERVED
from firstmate_tools.diagnosis.rules.nodeconditions import GPU, of_devices
from firstmate_tools.diagnosis.sicknodes import Ill
from firstmate_tools.refs import Ref
from firstmate_tools.results import Severity
from firstmate_tools.scheduling.devices import is_accelerator

CAUSE = "kubelet-admission-rejected"
MANY = 3
"""Refused pods from which on it is more than a race, though others took their place."""
_REASONS = re.compile(
    r"OutOf[a-z][\w./-]*|NodeAffinity|NodePorts|NodeName|TaintToleration|UnexpectedAdmissionError|TopologyAffinityError|"
    r"NodeShutdown|PodOSNotSupported|PodOSSelectorNodeLabelDoesNotMatch|InvalidNodeInfo|Predicate\w+Failed"
)
_ROOM = re.compile(r"enough resource: ([\w./-]+), requested: (\d+), used: (\d+), capacity: (\d+)")
_DEVICES = re.compile(r"unavailable for ([\w.-]+/[\w.-]+)\.? Requested: (\d+), Available: (\d+)")
_DEVICE = re.compile(r"\b(?:[a-z0-9-]+\.)+[a-z]+/[\w.-]*\w")
_WORDS = {
    "NodeAffinity": "its labels are not what the pod requires",
    "NodePorts": "a host port of the pod is taken there",
    "NodeName": "the pod is meant for another node",
    "TaintToleration": "it has a taint that the pod does not tolerate",
    "TopologyAffinityError": "it cannot give the resources from one NUMA node, as its topology policy asks",
    "NodeShutdown": "it is shutting down",
}


@dataclass(frozen=True, slots=True)
class Refused:
    """One pod that a kubelet refused. `node` is "" where nothing tells it."""

    one: Gone
    reason: str
    node: str
    pinned: bool


def refused(facts: Facts) -> list[Refused]:
    """The pods in scope that kubelets refused, by status or by a recent event."""
    pods = {fields.text(p, "status", "reason") for p in lib.unsettled(facts) if p.get("status")}
    reasons = pods | {row.reason for row in facts.every_event() if row.about.kind == "Pod"}
    found: list[Refused] = []
    for reason in sorted(r for r in reasons if _REASONS.fullmatch(r)):
        for one in gone(facts, reason):
            node = fields.text(facts.get(one.ref) or one.spec, "spec", "nodeName")
            template = lib.named_template(facts, one.workload)
            pinned = bool(fields.text(template, "spec", "nodeName")) and one.workload.kind != "DaemonSet"
            found.append(Refused(one, reason, node, pinned))
    return found


@rule(causes=(CAUSE,), observes=(*OBSERVED, kinds.NODE), explains=BACKENDS)
def kubelet_refusals(facts: Facts) -> Verdicts:
    """Admission by the kubelet is its last check of what the scheduler, or spec.nodeName, decided."""
    yield from _verdicts(facts, CAUSE)


@rule(causes=(GPU,), observes=(*OBSERVED, kinds.NODE), explains=BACKENDS)
def device_refusals(facts: Facts) -> Verdicts:
    """A device manager that has fewer healthy devices than the scheduler was told.

    https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/
    """
    yield from _verdicts(facts, GPU)


def _verdicts(facts: Facts, cause: str) -> Verdicts:
    groups: dict[tuple[str, str, Ref], list[Refused]] = defaultdict(list)
    for one in facts.derived(refused):
        if _cause(one) == cause:
            target = one.one.workload if one.pinned or not one.node else Ref("Node", "", one.node)
            groups[cause, one.reason, target].append(one)
    for (_, reason, target), found in sorted(groups.items()):
        severity = _severity(facts, found)
        if severity is None:
            yield RuledOut(
                cause, f"pods of {found[0].one.workload} were refused ({reason}), and others took their place"
            )
        else:
            yield _finding(facts, cause, target, found, severity)


def _cause(one: Refused) -> str:
    """Failed devices where the kubelet misses a GPU that the node was thought to have."""
    named = _DEVICE.findall(one.one.message) if one.reason == "UnexpectedAdmissionError" else []
    return GPU if any(is_accelerator(device) for device in named) else CAUSE


def _severity(facts: Facts, found: list[Refused]) -> Severity | None:
    """How much it hurts, None where it is over."""
    newest = max((one.one.at for one in found if one.one.at is not None), default=None)
    if newest is not None and facts.now - newest > RECENT:
        return None
    short = [w for w in sorted({one.one.workload for one in found}) if _short(facts, w)]
    if short:
        return lib.worst("warning" if w.kind in {"DaemonSet", "Pod"} else lib.severity(facts, w) for w in short)
    fresh = newest is None or facts.now - newest <= LATELY
    leaving = all(one.reason == "NodeShutdown" for one in found)
    return None if leaving or not fresh else "warning" if len(found) >= MANY else "info"


def _short(facts: Facts, workload: Ref) -> bool:
    """Whether a workload has fewer ready pods than it should; a lone pod is gone for good."""
    if workload.kind == "Pod":
        return True
    if workload.kind in {"Job", "CronJob"}:
        return not fields.number(facts.get(workload) or {}, "status", "succeeded")
    obj = facts.get(workload) or {}
    desired = fields.number(obj, "status", "desiredNumberScheduled")
    wanted = fields.number(obj, "spec", "replicas", default=1) if workload.kind != "DaemonSet" else desired
    return lib.serving(facts, workload) < wanted


def _finding(facts: Facts, cause: str, target: Ref, found: list[Refused], severity: Severity) -> Finding:
    found = sorted(found, key=lambda r: -(r.one.at.timestamp() if r.one.at else 0.0))
    first, count = found[0], lib.count(len(found), "pod")
    pods = sorted({one.one.ref for one in found})
    hurt = sorted({one.one.workload for one in found})
    node = facts.get(Ref("Node", "", first.node)) if first.node else None
    words = _words(first)
    evidence: tuple[Evidence, ...] = (first.one.words, fact(first.one.ref, "status.reason", first.reason, first.one.at))
    if target.kind != "Node":
        evidence += (fact(target, "spec.template.spec.nodeName", first.node or None),) if first.pinned else ()
        where = f"pinned to node {first.node}" if first.pinned else "given to a node"
        summary = f"{count} of {target}, {where}, {_was(len(found))} refused by the kubelet there: {words}."
        return Finding(
            cause=cause,
            object=target,
            severity=severity,
            confidence="certain",
            summary=summary,
            evidence=evidence,
            affects=(*hurt, *pods),
            since=lib.earliest(one.one.at for one in found),
            next=(lib.ask("node_status", "what the node has, and what takes it", name=first.node),)
            if first.node
            else (),
        )
    ill = Ill(node or {"kind": "Node", "metadata": {"name": target.name}}, evidence, first.one.at)
    told = sicknodes.finding(
        facts,
        cause,
        [ill],
        f"refuses pods that were given to it ({first.reason}, {count} so far): {words}",
        victims=pods,
        beside=hurt,
        severity=severity,
    )
    return replace(told, culprit=of_devices(target.name)) if cause == GPU else told


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _words(first: Refused) -> str:
    room, devices = _ROOM.search(first.one.message), _DEVICES.search(first.one.message)
    if room:
        return f"{room.group(1)}: {room.group(2)} asked for, {room.group(3)} of {room.group(4)} in use"
    if devices:
        return f"{devices.group(1)}: {devices.group(2)} asked for, {devices.group(3)} available"
    return _WORDS.get(first.reason, "see what the kubelet says")
