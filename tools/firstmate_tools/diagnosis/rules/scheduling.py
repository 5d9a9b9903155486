"""Pods that have no node: labels, taints, cordons, spreading and room, re-run over nodes and pods as they are now.

The signal is the pod's condition PodScheduled=False/Unschedulable; the scheduler's sentence is quoted and never trusted
where nodes may be read. Pod affinity and host ports only take nodes out of the question: where they are why, or
volumes, which are not evaluated, nothing is said.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from firstmate_tools import kinds
from firstmate_tools.diagnosis import placement
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, RuledOut
from firstmate_tools.diagnosis.lib import some
from firstmate_tools.diagnosis.rule import BACKENDS, ListWant, Want, rule
from firstmate_tools.diagnosis.unplaced import WITHOUT_LOAD, Unplaced, unplaced, unread
from firstmate_tools.kinds import NODE, POD
from firstmate_tools.quantity import show
from firstmate_tools.reads import Read
from firstmate_tools.scheduling.fit import Why
from firstmate_tools.scheduling.predicates import node_selector, required_affinity

CAUSE_OF: dict[Why, str] = {
    Why.SELECTOR: "node-selector-unmatched",
    Why.TAINT: "taint-not-tolerated",
    Why.CORDON: "nodes-cordoned",
    Why.SPREAD: "topology-spread-unsatisfiable",
    Why.LARGER: "pod-larger-than-any-node",
    Why.FULL: "insufficient-node-resources",
}


def _wants(facts: Facts) -> Iterable[Want]:
    """The pods of all namespaces, where room decides: they fill the same nodes."""
    if not facts.knows(POD) and any(case.verdict.why not in WITHOUT_LOAD for case in facts.derived(unplaced)):
        yield ListWant(POD)


@rule(
    causes=tuple(CAUSE_OF.values()),
    observes=(POD, NODE, kinds.REPLICA_SET, kinds.JOB),
    digs=(Read(POD, ("list",)),),
    wants=_wants,
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
    for case in unread(facts):
        yield from _inferred(facts, case)


def _believed(case: Unplaced) -> Why:
    """The verdict; where pods of other namespaces could not be counted, and the scheduler misses room, FULL."""
    blind = not case.whole and case.verdict.why in {Why.FITS, Why.LEAVING, Why.SPREAD, Why.CORDON}
    lacking = [resource for resource in case.said.short if case.verdict.asks.get(resource)]
    return Why.FULL if blind and lacking and case.verdict.why in {Why.FITS, Why.LEAVING} else case.verdict.why


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


def _inferred(facts: Facts, case: Unplaced) -> Iterator[Finding]:
    """What the scheduler's sentence alone tells, where nodes may not be read."""
    told = case.said
    only_selector = bool(node_selector(case.pod)) and required_affinity(case.pod) is None
    if told.short:
        yield placement.inferred(facts, "insufficient-node-resources", case, "too little " + ", ".join(told.short))
    elif told.spread:
        yield placement.inferred(facts, "topology-spread-unsatisfiable", case, "its spread constraints")
    elif told.nodes and told.selector == told.nodes and only_selector:
        pairs = ", ".join(f"{k}={v}" for k, v in sorted(node_selector(case.pod).items()))
        yield placement.inferred(facts, "node-selector-unmatched", case, f"its selector {pairs}")
