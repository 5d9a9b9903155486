"""Pods for which Cluster Autoscaler adds no node, and nodes that it may not take away.

Why a pod has no node now is the scheduling rules' to say. Where that is for want of room, whoever would make room and
cannot is the cause; where the pod itself asks for what no node has, it is a consequence.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import timedelta

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import lib, nodegroups
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, RuledOut, fact, quote
from firstmate_tools.diagnosis.heard import said
from firstmate_tools.diagnosis.nodegroups import BACKOFF, FULL, LIMIT, NOT_TRIGGERED, STATUS, TRIGGERED
from firstmate_tools.diagnosis.rule import BACKENDS, GetWant, ReasonWant, Verdicts, Want, explains, rule
from firstmate_tools.diagnosis.unplaced import unplaced
from firstmate_tools.fields import Obj
from firstmate_tools.podresources import Amounts, plus, pod_requests
from firstmate_tools.quantity import milli
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, controller_of, ref_of
from firstmate_tools.scheduling.fit import Why
from firstmate_tools.selectors import matches

UP, DOWN = "autoscaler-scale-up-impossible", "autoscaler-scale-down-blocked"
CAPACITY, QUOTA = "instance-capacity-insufficient", "aws-service-quota-reached"
STILL = timedelta(minutes=30)
"""How old its last word may be: it repeats itself every few minutes while a pod waits."""
PREFIX = "cluster-autoscaler.kubernetes.io/"
IDLE = 0.5
"""--scale-down-utilization-threshold: below it a node may go, if its pods may."""
ROOM = frozenset({Why.FULL, Why.POD_COUNT, Why.ANTI_AFFINITY, Why.SPREAD, Why.PORTS, Why.SLOTS})
"""What one more node would mend."""
LABELLED = frozenset({Why.SELECTOR, Why.AFFINITY, Why.NOT_ADVERTISED})
"""What a node of a group that is at zero might mend: the autoscaler knows its labels and devices by tags alone."""
STATUS_READ = Read(kinds.CONFIG_MAP, ("get", "list"))


def _waiting(facts: Facts) -> list[Obj]:
    return [pod for pod in lib.unsettled(facts) if podstate.unschedulable(pod) and not podstate.terminating(pod)]


def its_words(facts: Facts) -> Iterable[Want]:
    """What the autoscaler says of pods that wait, and its status where it said anything."""
    waiting = _waiting(facts)
    if waiting and facts.scope.namespace is None:
        yield from (ReasonWant(NOT_TRIGGERED), ReasonWant(TRIGGERED))
    if any(facts.events(ref_of(pod, kinds.POD), NOT_TRIGGERED) for pod in waiting):
        yield GetWant(kinds.CONFIG_MAP, STATUS)


@rule(
    causes=(UP, CAPACITY, QUOTA),
    observes=(kinds.POD, kinds.REPLICA_SET, kinds.DEPLOYMENT, kinds.EVENT),
    digs=(STATUS_READ,),
    wants=its_words,
    explains=(
        *BACKENDS,
        *explains(
            "insufficient-node-resources",
            "node-pod-limit-reached",
            "pod-anti-affinity-unsatisfiable",
            "topology-spread-unsatisfiable",
            "host-port-conflict",
            "node-volume-limit-reached",
            "node-selector-unmatched",
            "node-affinity-unmatched",
            "gpu-not-advertised",
            along=("owns",),
        ),
    ),
    confirms=(kinds.POD,),
)
def no_scale_up(facts: Facts) -> Verdicts:
    """https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md#events"""
    found: dict[Ref, list[tuple[Ref, EventRow]]] = defaultdict(list)
    for pod in _waiting(facts):
        ref, uid = ref_of(pod, kinds.POD), fields.uid_of(pod)
        row = nodegroups.refusal(facts, ref, uid)
        if nodegroups.helped(facts, ref, uid):
            yield RuledOut(UP, f"a node is on its way for {ref}")
        elif row is not None and (row.last is None or facts.now - row.last <= STILL):
            found[facts.workload(ref)].append((ref, row))
    why_of = {ref: case.verdict.why for case in facts.derived(unplaced) for ref in case.pods}
    empty = [group.name for group in nodegroups.groups(facts) if not group.target and group.most]
    for workload, pods in sorted(found.items()):
        own = why_of.get(pods[0][0])
        if own is None or own in ROOM or (own in LABELLED and empty):
            yield _refused(facts, workload, pods, empty if own in LABELLED else [])
        else:
            yield RuledOut(UP, f"no node is added for {workload} because it asks for what no node has")


def _refused(facts: Facts, workload: Ref, pods: list[tuple[Ref, EventRow]], empty: list[str]) -> Finding:
    row = pods[0][1]
    words, sure = _words(facts, nodegroups.reasons(row.message))
    if empty and not sure:
        words += f"; {lib.some(empty)} {'is' if len(empty) == 1 else 'are'} at zero, and known by tags alone"
    refs = tuple(ref for ref, _ in pods)
    return Finding(
        cause=_behind_backoff(facts, row),
        object=workload,
        severity=lib.severity(facts, workload),
        confidence="likely" if sure else "possible",
        summary=f"Cluster Autoscaler adds no node for {lib.count(len(refs), 'pod')} of {workload}: {words}.",
        evidence=(said(row), *_evidence(facts)),
        affects=(workload, *refs),
        since=lib.earliest(r.first for _, r in pods),
        culprit=words,
        next=(
            lib.ask("get", "what it knows", kind="configmap", name=STATUS.name, namespace=STATUS.namespace),
            lib.ask("pod_status", "the pods that wait", namespace=workload.namespace, unhealthy_only=True),
        ),
    )


_NO_CAPACITY = re.compile(
    r"(?i)InsufficientInstanceCapacity|do(?:es)? not (?:currently )?have (?:sufficient|enough) .{0,60}capacity|"
    r"cannot provision any more instances|UnfulfillableCapacity"
)
_NO_QUOTA = re.compile(r"(?i)VcpuLimitExceeded|vCPU capacity than your current vCPU limit|InstanceLimitExceeded")
"""What AWS says to Auto Scaling, as the status repeats it (cluster-autoscaler cloudprovider/aws/aws_manager.go)."""


def _behind_backoff(facts: Facts, row: EventRow) -> str:
    """What AWS said where the groups that would help are in backoff for it; else that none helps."""
    told = [reason for _, reason in nodegroups.reasons(row.message)]
    why = " ".join(group.why for group in nodegroups.groups(facts) if group.backoff)
    if BACKOFF not in told or any(reason == FULL or reason.endswith(LIMIT) for reason in told):
        return UP
    return QUOTA if _NO_QUOTA.search(why) else CAPACITY if _NO_CAPACITY.search(why) else UP


def _words(facts: Facts, told: list[tuple[int, str]]) -> tuple[str, bool]:
    """Why no group helps, and whether that lies in the groups rather than in the pod."""
    known = nodegroups.groups(facts)
    if not told:
        return "it knows no node group that it may grow (are the groups tagged for its auto-discovery?)", True
    words: list[str] = []
    sure = False
    for number, reason in told:
        groups = lib.count(number, "node group")
        if reason == FULL:
            full = [f"{g.name} has {g.target} of at most {g.most}" for g in known if g.full]
            words.append(f"{groups} at its largest{f' ({lib.some(full)})' if full else ''}")
            sure = True
        elif reason == BACKOFF:
            ill = [f"{g.name}: {g.why}" if g.why else g.name for g in known if g.backoff]
            words.append(f"{groups} in backoff after a scale-up that failed{f' ({lib.some(ill)})' if ill else ''}")
            sure = True
        elif reason.endswith(LIMIT):
            words.append(f"{groups} held by a limit of the whole cluster")
            sure = True
        else:
            words.append(f"{groups} would not take it")
    return "; ".join(words), sure


def _evidence(facts: Facts) -> Iterator[Evidence]:
    for group in nodegroups.groups(facts)[:20]:
        if group.full or group.backoff:
            size = f"target {group.target}, least {group.least}, most {group.most}"
            yield fact(STATUS, f"data.status.nodeGroups[{group.name}]", f"{size}{', backoff' if group.backoff else ''}")


def status_of_autoscaler(facts: Facts) -> Iterable[Want]:
    """Whether there is an autoscaler at all; asked of the whole cluster alone. One small request, before anything is
    added up over all pods."""
    if facts.scope.namespace is None and facts.scope.object is None:
        yield GetWant(kinds.CONFIG_MAP, STATUS)


Held = tuple[Ref, Ref, str, Evidence]
"""A node, what keeps it, why, and the proof."""


@rule(
    causes=(DOWN,),
    observes=(kinds.NODE, kinds.POD, kinds.POD_DISRUPTION_BUDGET),
    digs=(STATUS_READ,),
    wants=status_of_autoscaler,
)
def no_scale_down(facts: Facts) -> Verdicts:
    """https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md#what-types-of-pods-can-prevent-ca-from-removing-a-node"""
    if facts.get(STATUS) is None or facts.scope.namespace is not None or facts.scope.object is not None:
        return
    by_holder: dict[tuple[Ref, str], list[Held]] = defaultdict(list)
    for held in facts.derived(_holding):
        by_holder[held[1], held[2]].append(held)
    for (holder, why), several in sorted(by_holder.items()):
        nodes = sorted({held[0] for held in several})
        yield Finding(
            cause=DOWN,
            object=holder,
            severity="info",
            confidence="likely",
            summary=(
                f"Cluster Autoscaler may not take {lib.some(n.name for n in nodes)} away, "
                f"whose pods request less than half of it: {why}."
            ),
            evidence=(
                *(held[3] for held in several[:3]),
                *(fact(node, "utilisation by requests", _share(facts, node)) for node in nodes[:2]),
            ),
            next=(lib.ask("node_status", "what runs there", name=nodes[0].name),),
        )


def _share(facts: Facts, node: Ref) -> str:
    return f"{facts.derived(_utilisation).get(node.name, 0.0):.0%}"


def _utilisation(facts: Facts) -> dict[str, float]:
    """The larger share of CPU and memory that the pods of a node request of it, by node."""
    asked: dict[str, Amounts] = defaultdict(dict)
    for pod in facts.everywhere(kinds.POD):
        node = fields.text(pod, "spec", "nodeName")
        if node and not podstate.finished(pod):
            asked[node] = plus(asked[node], pod_requests(pod))
    shares: dict[str, float] = {}
    for node in facts.all(kinds.NODE):
        name = fields.name_of(node)
        room = {r: milli(fields.at(node, "status", "allocatable", r)) or 0 for r in ("cpu", "memory")}
        parts = [asked[name].get(r, 0) / size for r, size in room.items() if size > 0]
        if parts:
            shares[name] = max(parts)
    return shares


def _holding(facts: Facts) -> list[Held]:
    """What keeps nearly empty nodes, by node."""
    if facts.scope.namespace is not None:
        return []
    shares = facts.derived(_utilisation)
    idle = {name for name, share in shares.items() if share < IDLE}
    found: list[Held] = []
    for node in facts.all(kinds.NODE):
        ref = ref_of(node, kinds.NODE)
        if ref.name in idle and _note(node, "scale-down-disabled") == "true":
            path = ("metadata", "annotations", f"{PREFIX}scale-down-disabled")
            found.append((ref, ref, "an annotation of the node forbids it", quote(ref, node, *path)))
    budgets = facts.all(kinds.POD_DISRUPTION_BUDGET)
    for pod in facts.everywhere(kinds.POD):
        node = fields.text(pod, "spec", "nodeName")
        if node in idle and not podstate.finished(pod) and not podstate.terminating(pod):
            found += [(Ref("Node", "", node), *why) for why in _of_pod(facts, ref_of(pod, kinds.POD), pod, budgets)[:1]]
    return sorted(found, key=lambda held: held[:3])


def _note(obj: Obj, name: str) -> str:
    return fields.text(obj, "metadata", "annotations", f"{PREFIX}{name}")


def _of_pod(facts: Facts, ref: Ref, pod: Obj, budgets: list[Obj]) -> list[tuple[Ref, str, Evidence]]:
    owner, workload = controller_of(pod), facts.workload(ref)
    above = owner.kind if owner else ""
    if above in {"DaemonSet", "Node"} or _note(pod, "safe-to-evict") == "true":
        return []
    if _note(pod, "safe-to-evict") == "false":
        path = f"metadata.annotations.{PREFIX}safe-to-evict"
        return [(workload, f"{workload} says of its pods that they may not be evicted", fact(ref, path, "false"))]
    if owner is None:
        return [(ref, f"{ref} has no controller that would make it again", fact(ref, "metadata.ownerReferences", None))]
    covering = [b for b in budgets if _covers(b, pod)]
    for budget in covering:
        if fields.at(budget, "status", "disruptionsAllowed") == 0:
            at = ref_of(budget, kinds.POD_DISRUPTION_BUDGET)
            return [(at, f"{at} allows no eviction", quote(at, budget, "status", "disruptionsAllowed"))]
    if ref.namespace == "kube-system" and not covering:
        why = f"{workload} is in kube-system and has no disruption budget"
        return [(workload, why, fact(ref, "metadata.namespace", "kube-system"))]
    return []


def _covers(budget: Obj, pod: Obj) -> bool:
    return fields.namespace_of(budget) == fields.namespace_of(pod) and matches(
        fields.at(budget, "spec", "selector"), fields.labels_of(pod)
    )
