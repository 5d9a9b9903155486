"""Spot instances that AWS took back, and whom that hurts still.

Karpenter says so of the node and its NodeClaim (events SpotInterrupted, TerminatingOnInterruption), the node
termination handler of the node. Pods that have found another node are none the worse: then it is told, and alarms
nobody.

Source: karpenter-provider-aws v1 pkg/controllers/interruption/events; aws-node-termination-handler pkg/observability.
"""

from collections import defaultdict
from collections.abc import Iterable

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.customkinds import NODE_CLAIM
from firstmate_tools.diagnosis import lib, pools
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import Finding, fact
from firstmate_tools.diagnosis.heard import lately, said
from firstmate_tools.diagnosis.rule import BACKENDS, ReasonWant, Verdicts, Want, explains, rule
from firstmate_tools.diagnosis.rules.karpenter import WAITING_CAUSES
from firstmate_tools.refs import Ref, ref_of

CAPACITY = "karpenter.sh/capacity-type"
EKS_CAPACITY = "eks.amazonaws.com/capacityType"
REASONS = ("SpotInterrupted", "TerminatingOnInterruption", "SpotInterruption")


def wanted(facts: Facts) -> Iterable[Want]:
    """What was said of Spot nodes, where pods of a namespace are not well."""
    if facts.scope.namespace is None or not any(_spot(facts, ref_of(n, kinds.NODE)) for n in facts.all(kinds.NODE)):
        return
    if any(not podstate.healthy(pod, facts.now) for pod in lib.unsettled(facts)):
        yield ReasonWant("SpotInterrupted")


def _spot(facts: Facts, node: Ref) -> bool:
    labels = fields.labels_of(facts.get(node) or {})
    return labels.get(CAPACITY) == "spot" or labels.get(EKS_CAPACITY) == "SPOT"


@rule(
    causes=("spot-instance-interrupted",),
    observes=(kinds.POD, kinds.NODE, kinds.EVENT),
    wants=wanted,
    explains=(
        *explains("kubelet-not-reporting", "kubelet-admission-rejected", *WAITING_CAUSES, "nodes-cordoned", along=()),
        *BACKENDS,
    ),
)
def spot_interrupted(facts: Facts) -> Verdicts:
    by_pool: dict[str, dict[Ref, list[EventRow]]] = defaultdict(lambda: defaultdict(list))
    for row in facts.every_event():
        if row.reason in REASONS and row.about.kind in {"Node", NODE_CLAIM.kind} and lately(facts, row):
            node = _node_of(facts, row.about)
            pool = pools.pool_of(facts, facts.get(node) or facts.get(row.about) or {})
            by_pool[pool.name if pool else ""][node].append(row)
    for pool, nodes in sorted(by_pool.items()):
        spot = [node for node, rows in nodes.items() if _spot(facts, node) or any("Spot" in r.reason for r in rows)]
        if spot:
            yield _interrupted(facts, pool, sorted(spot), [row for node in sorted(spot) for row in nodes[node]])


def _node_of(facts: Facts, about: Ref) -> Ref:
    """The node of a NodeClaim where that is known, else what was named."""
    name = fields.text(facts.get(about) or {}, "status", "nodeName") if about.kind == NODE_CLAIM.kind else ""
    return Ref("Node", "", name) if name else about


def _interrupted(facts: Facts, pool: str, nodes: list[Ref], rows: list[EventRow]) -> Finding:
    on = [pod for node in nodes for pod in facts.graph.after(node, "hosts")]
    ailing = [
        ref_of(pod, kinds.POD)
        for pod in lib.unsettled(facts)
        if podstate.unschedulable(pod) or (ref_of(pod, kinds.POD) in on and not podstate.ready(pod))
    ]
    hurt = [ref for ref in ailing if not podstate.finished(facts.get(ref) or {})]
    workloads = sorted({facts.workload(ref) for ref in hurt})
    names = lib.some(node.name for node in nodes)
    whose = f" of NodePool {pool}" if pool else ""
    effect = f"{lib.count(len(hurt), 'pod')} of {lib.some(str(w) for w in workloads)} are not back" if hurt else ""
    return Finding(
        cause="spot-instance-interrupted",
        object=nodes[0],
        severity=lib.worst(lib.severity(facts, one) for one in workloads) if workloads else "info",
        confidence="certain",
        summary=(
            f"AWS took {lib.count(len(nodes), 'Spot instance')}{whose} back ({names}); "
            f"{effect or 'whatever ran there runs elsewhere'}."
        ),
        evidence=(
            *(said(row) for row in rows[:3]),
            *(fact(ref, "status", podstate.status_text(facts.get(ref) or {})) for ref in hurt[:2]),
        ),
        affects=(*nodes, *workloads, *hurt),
        since=lib.earliest(row.first for row in rows),
        culprit=pool or nodes[0].name,
        next=(lib.ask("node_status", "which nodes are Spot, and of which pool"),),
    )
