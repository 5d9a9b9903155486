"""The findings about pods that have no node: words, numbers and evidence for a verdict. Pure.

Called by the scheduling rule, which decides; nothing here does.
"""

from collections.abc import Callable
from datetime import datetime

from firstmate_tools import fields
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, NextStep, fact
from firstmate_tools.diagnosis.lib import ask, count, earliest, pods_of, severity
from firstmate_tools.diagnosis.placement import nodes, peers, room, storage
from firstmate_tools.diagnosis.placement.nodes import cordon_taints
from firstmate_tools.diagnosis.placement.words import Told
from firstmate_tools.diagnosis.unplaced import Unplaced, ill_hosts
from firstmate_tools.refs import Ref
from firstmate_tools.results import Confidence
from firstmate_tools.scheduling.fit import Why
from firstmate_tools.scheduling.predicates import node_selector

_REVISION_LABELS = ("pod-template-hash", "controller-revision-hash")


def finding(facts: Facts, cause: str, why: Why, group: list[Unplaced], culprit: str) -> Finding:
    """The finding about the pods of one workload that have no node for one reason.

    Args:
        group: all of the same workload and reason.
        culprit: names what they share with other workloads of the same reason.
    """
    case = group[0]
    pods = [pod for entry in group for pod in entry.pods]
    words, evidence = _TELL[why](facts, case, pods)
    target, following = _mend(facts, why, case, culprit)
    scheduler = fields.condition(case.pod, "PodScheduled")
    said = fact(
        case.ref,
        "status.conditions[PodScheduled].message",
        fields.text(scheduler, "message"),
        fields.time_at(scheduler, "lastTransitionTime"),
    )
    return Finding(
        cause=cause,
        object=target,
        severity=severity(facts, case.workload),
        confidence=_confidence(case, why),
        summary=words,
        evidence=(*evidence, said),
        affects=(case.workload, *pods),
        since=_since(why, case) or earliest(entry.since for entry in group),
        culprit=culprit,
        awaits=peers.partners(facts, case) if why is Why.ALONE else _ill(facts, group),
        next=(following, ask("pod_status", "the pods that wait", namespace=case.ref.namespace, unhealthy_only=True)),
    )


def inferred(facts: Facts, cause: str, case: Unplaced, why: str, unread: str = "nodes") -> Finding:
    """A finding from the scheduler's sentence alone, where nodes (or what `unread` names) may not be read."""
    scheduler = fields.condition(case.pod, "PodScheduled")
    moment = fields.time_at(scheduler, "lastTransitionTime")
    message = fields.text(scheduler, "message")
    pods = count(len(case.pods), "pod")
    return Finding(
        cause=cause,
        object=case.workload,
        severity=severity(facts, case.workload),
        confidence="likely",
        summary=f"{case.workload}: the scheduler finds no node for {pods} because of {why}; {unread} could not be "
        "read.",
        evidence=(fact(case.ref, "status.conditions[PodScheduled].message", message, moment),),
        affects=(case.workload, *case.pods),
        since=case.since,
        next=(ask("events", "what the scheduler says", namespace=case.ref.namespace, scope=f"pod/{case.ref.name}"),),
    )


def _ill(facts: Facts, group: list[Unplaced]) -> tuple[Ref, ...]:
    """The nodes that would take the pods, were they well: who says what ails them says why the pods wait."""
    return tuple(Ref("Node", "", name) for name in sorted({name for case in group for name in ill_hosts(facts, case)}))


def _confidence(case: Unplaced, why: Why) -> Confidence:
    """Certain where the objects prove it, likely where pods of other namespaces could not be counted."""
    if case.whole or why in {Why.SELECTOR, Why.AFFINITY, Why.TAINT, Why.LARGER, Why.NOT_ADVERTISED}:
        return "certain"
    return "certain" if why is Why.FULL and case.verdict.why is Why.FULL else "likely"


def _since(why: Why, case: Unplaced) -> datetime | None:
    """Since when the nodes are cordoned, where their taint says so."""
    if why is not Why.CORDON:
        return None
    return earliest(fields.time_at(taint, "timeAdded") for view in case.verdict.shown for taint in cordon_taints(view))


def _mend(facts: Facts, why: Why, case: Unplaced, culprit: str) -> tuple[Ref, NextStep]:
    """What has to be mended, and the question that looks at it."""
    chosen = ",".join(f"{key}={value}" for key, value in sorted(node_selector(case.pod).items()))
    among = {"selector": chosen} if chosen and why is not Why.SELECTOR else {}
    look = ask("node_status", "what the nodes offer, and what takes it", **among)
    if why in {Why.ELSEWHERE, Why.SLOTS, Why.IN_USE}:
        place = case.ref.namespace
        look = ask("get", "the claims and their volumes", kind="persistentvolumeclaim", namespace=place)
    elif why is Why.ALONE:
        look = ask("workload_status", "how the workloads that it must be near stand", namespace=case.ref.namespace)
    if why is Why.CORDON:
        return Ref("Node", "", culprit), ask("get", "who cordoned it and when", kind="node", name=culprit)
    if why is Why.TAINT and (came_later := _taint_came_later(facts, case)):
        return came_later, ask("get", "the taint on the node", kind="node", name=came_later.name)
    if why is Why.DEVICES_ILL:
        ill = case.verdict.shown[0].name
        return Ref("Node", "", ill), ask("node_status", "the node and its conditions", name=ill)
    return case.workload, look


def _taint_came_later(facts: Facts, case: Unplaced) -> Ref | None:
    """The tainted node on which pods of the very same revision run: they came before the taint did.

    Without such a pod it is the workload that lacks a toleration.
    """
    labels = fields.labels_of(case.pod)
    revision = {key: labels[key] for key in _REVISION_LABELS if key in labels}
    if not revision:
        return None
    tainted = {view.name for view in case.verdict.shown}
    twins = [
        fields.text(pod, "spec", "nodeName")
        for pod in pods_of(facts, case.workload)
        if all(fields.labels_of(pod).get(key) == value for key, value in revision.items())
    ]
    here = sorted(tainted & set(twins))
    return Ref("Node", "", here[0]) if here else None


_TELL: dict[Why, Callable[[Facts, Unplaced, list[Ref]], Told]] = {
    Why.SELECTOR: nodes.selector,
    Why.AFFINITY: nodes.affinity,
    Why.TAINT: nodes.taint,
    Why.CORDON: nodes.cordon,
    Why.SPREAD: peers.spread,
    Why.ANTI_AFFINITY: peers.anti_affinity,
    Why.ALONE: peers.alone,
    Why.PORTS: peers.host_ports,
    Why.ELSEWHERE: storage.elsewhere,
    Why.SLOTS: storage.slots,
    Why.IN_USE: storage.in_use,
    Why.POD_COUNT: room.crowded,
    Why.LARGER: room.larger,
    Why.FULL: room.full,
    Why.DEVICES_ILL: room.ill_devices,
    Why.NOT_ADVERTISED: room.not_advertised,
    Why.BRANCH_INTERFACES: room.branch_interfaces,
}
