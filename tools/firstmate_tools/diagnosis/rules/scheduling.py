"""Pods that have no node: labels, taints, cordons, neighbours, volumes and room, re-run over the cluster as it is now.

The signal is the pod's condition PodScheduled=False/Unschedulable; the scheduler's sentence is quoted and never trusted
where nodes may be read. Claims that have no volume yet, and devices of dynamic resource allocation, are not evaluated:
where they are why, nothing is said here.
"""

from collections import defaultdict
from collections.abc import Iterator

from firstmate_tools import kinds
from firstmate_tools.diagnosis import placement
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, RuledOut
from firstmate_tools.diagnosis.lib import some
from firstmate_tools.diagnosis.placement import wants
from firstmate_tools.diagnosis.rule import BACKENDS, rule
from firstmate_tools.diagnosis.unplaced import Unplaced, unplaced, unread
from firstmate_tools.kinds import NODE, POD
from firstmate_tools.quantity import show
from firstmate_tools.scheduling.fit import Why
from firstmate_tools.scheduling.predicates import node_selector, required_affinity

CAUSE_OF: dict[Why, str] = {
    Why.SELECTOR: "node-selector-unmatched",
    Why.AFFINITY: "node-affinity-unmatched",
    Why.TAINT: "taint-not-tolerated",
    Why.CORDON: "nodes-cordoned",
    Why.SPREAD: "topology-spread-unsatisfiable",
    Why.ANTI_AFFINITY: "pod-anti-affinity-unsatisfiable",
    Why.ALONE: "pod-affinity-unmatched",
    Why.PORTS: "host-port-conflict",
    Why.ELSEWHERE: "volume-zone-mismatch",
    Why.SLOTS: "node-volume-limit-reached",
    Why.IN_USE: "rwop-volume-in-use",
    Why.POD_COUNT: "node-pod-limit-reached",
    Why.LARGER: "pod-larger-than-any-node",
    Why.FULL: "insufficient-node-resources",
    Why.DEVICES_ILL: "gpu-device-unhealthy",
    Why.NOT_ADVERTISED: "gpu-not-advertised",
    Why.BRANCH_INTERFACES: "branch-eni-exhausted",
}


@rule(
    causes=tuple(CAUSE_OF.values()),
    observes=(POD, NODE, kinds.REPLICA_SET, kinds.JOB),
    digs=wants.READS,
    wants=wants.wanted,
    explains=BACKENDS,
    confirms=(POD, NODE),
)
def unschedulable_pods(facts: Facts) -> Iterator[Finding | RuledOut]:
    cases = facts.derived(unplaced)
    by_why: dict[Why, dict[str, list[Unplaced]]] = defaultdict(lambda: defaultdict(list))
    for case in cases:
        by_why[_believed(case)][str(case.workload) + case.workload.namespace].append(case)
    for why, cause in CAUSE_OF.items():
        workloads = list(by_why[why].values())
        culprits = _components([_blockers(why, group) for group in workloads])
        for group, culprit in zip(workloads, culprits, strict=True):
            yield placement.finding(facts, cause, why, group, culprit)
    refuted = [verdict for case in cases for verdict in _ruled_out(case, _believed(case))]
    yield from {verdict.cause: verdict for verdict in reversed(refuted)}.values()
    for case in cases:
        if case.verdict.why is Why.FITS and wants.unseen_volumes(facts, case.pod):
            yield from _inferred_volumes(facts, case)
    for case in unread(facts):
        yield from _inferred(facts, case)


def _believed(case: Unplaced) -> Why:
    """The verdict; where pods of other namespaces could not be counted, and the scheduler misses room, FULL."""
    why, said = case.verdict.why, case.said
    lacking = any(case.verdict.asks.get(resource) for resource in said.short)
    return Why.FULL if lacking and not case.whole and why in {Why.FITS, Why.LEAVING} else why


_OF_NODES = {Why.POD_COUNT, Why.SLOTS, Why.BRANCH_INTERFACES, Why.NOT_ADVERTISED}
"""Reasons that lie in the nodes: whoever waits for the same nodes has one problem."""


def _blockers(why: Why, group: list[Unplaced]) -> frozenset[str]:
    """What a group of pods would need to change: those that share one of these have one problem."""
    found: set[str] = set()
    for case in group:
        if why is Why.SELECTOR:
            found.add("selects " + ",".join(f"{k}={v}" for k, v in sorted(node_selector(case.pod).items())))
        elif why is Why.TAINT:
            found |= {f"{view.name} {taint}" for view in case.verdict.shown for taint in view.taints}
        elif why is Why.CORDON:
            found |= {view.name for view in case.verdict.shown}
        elif why is Why.SPREAD and (blocked := next((v.spread for v in case.verdict.shown if v.spread), None)):
            room = [c.open_domains() for c in case.verdict.spread if c.key == blocked.key]
            found.add(f"{blocked.key} {room}")
        elif why is Why.AFFINITY:
            found.add(f"affinity {required_affinity(case.pod)} {sorted(node_selector(case.pod).items())}")
        elif why is Why.DEVICES_ILL:
            found.add(f"{case.verdict.shown[0].name} {why.name}")
        elif why in _OF_NODES:
            found |= {f"{view.name} {why.name}" for view in case.verdict.shown}
        elif why is Why.FULL and case.verdict.shown:
            found |= {f"{view.name} {lack.resource}" for view in case.verdict.shown for lack in view.lacks}
        else:
            found.add(f"{case.workload.namespace}/{case.workload}")
    return frozenset(found)


def _components(sets: list[frozenset[str]]) -> list[str]:
    """One name for each set, the same for those that are connected by common members: the first of all members."""
    root: dict[str, str] = {}

    def find(member: str) -> str:
        while root.setdefault(member, member) != member:
            root[member] = root[root[member]]
            member = root[member]
        return member

    for members in sets:
        roots = sorted({find(member) for member in members})
        root.update(dict.fromkeys(roots, roots[0]) if roots else {})
    return [find(min(members)) if members else "" for members in sets]


def _ruled_out(case: Unplaced, why: Why) -> Iterator[RuledOut]:
    """Causes that the scheduler's sentence suggests, and that are not why this pod has no node."""
    verdict, name = case.verdict, case.workload
    inside = [v for v in verdict.views if v.meant and v.lets_in]
    fitting = [v.name for v in inside if not v.lacks and not v.crowded]
    if case.said.selector and why is not Why.SELECTOR and any(v.meant for v in verdict.views):
        matching = some(v.name for v in verdict.views if v.meant)
        yield RuledOut("node-selector-unmatched", f"nodes with what {name} selects: {matching}")
    if case.said.taint and why is not Why.TAINT and inside:
        yield RuledOut("taint-not-tolerated", f"nodes whose taints let {name} in: {some(v.name for v in inside)}")
    if case.said.cordon and why is not Why.CORDON:
        yield RuledOut("nodes-cordoned", f"no cordoned node would take {name} either")
    if case.said.short and fitting and why is not Why.FULL and case.whole:
        yield RuledOut("insufficient-node-resources", f"nodes with room for {name}: {some(fitting)}")
    if why is Why.FULL and (large := [v for v in inside if not v.hopeless]):
        offers = ", ".join(f"{r} {show(r, large[0].host.most(r))}" for r in sorted(verdict.asks) if verdict.asks[r])
        yield RuledOut("pod-larger-than-any-node", f"{large[0].name}, when empty, offers {name} {offers}")


_TOLD = (
    ("spread", "topology-spread-unsatisfiable", "its spread constraints"),
    ("anti_affinity", "pod-anti-affinity-unsatisfiable", "anti-affinity"),
    ("affinity", "pod-affinity-unmatched", "its pod affinity"),
    ("ports", "host-port-conflict", "host ports that are taken"),
    ("pods", "node-pod-limit-reached", "nodes that hold as many pods as they may"),
)
_TOLD_OF_VOLUMES = (
    ("in_use", "rwop-volume-in-use", "a claim for one pod that another pod uses"),
    ("slots", "node-volume-limit-reached", "nodes that can attach no more volumes"),
    ("zone", "volume-zone-mismatch", "the place of its volume"),
)


def _inferred(facts: Facts, case: Unplaced) -> Iterator[Finding]:
    """What the scheduler's sentence alone tells, where nodes may not be read."""
    told = case.said
    only_selector = bool(node_selector(case.pod)) and required_affinity(case.pod) is None
    only_affinity = not node_selector(case.pod) and required_affinity(case.pod) is not None
    if told.short:
        yield placement.inferred(facts, "insufficient-node-resources", case, "too little " + ", ".join(told.short))
    elif named := next((entry for entry in (*_TOLD, *_TOLD_OF_VOLUMES) if getattr(told, entry[0])), None):
        yield placement.inferred(facts, named[1], case, named[2])
    elif told.nodes and told.selector == told.nodes and only_selector:
        pairs = ", ".join(f"{key}={value}" for key, value in sorted(node_selector(case.pod).items()))
        yield placement.inferred(facts, "node-selector-unmatched", case, f"its selector {pairs}")
    elif told.nodes and told.selector == told.nodes and only_affinity:
        yield placement.inferred(facts, "node-affinity-unmatched", case, "its required node affinity")


def _inferred_volumes(facts: Facts, case: Unplaced) -> Iterator[Finding]:
    """What the sentence tells of volumes, where claims or volumes may not be read."""
    named = next((entry for entry in _TOLD_OF_VOLUMES if getattr(case.said, entry[0])), None)
    if named is not None:
        yield placement.inferred(facts, named[1], case, named[2], unread="its volumes")
