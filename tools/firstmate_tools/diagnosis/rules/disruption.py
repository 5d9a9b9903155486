"""Disruption budgets that allow no eviction, or contradict each other, and workloads that one drain takes down.

A drain, a node upgrade or a consolidation evicts pods through these budgets and hangs where one says no. What a budget
allows is taken from its status; whether it could ever allow anything is worked out from what it asks for
(pkg/controller/disruption/disruption.go, v1.36).
"""

from collections import defaultdict
from collections.abc import Iterator

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import backends, lib
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, fact, quote
from firstmate_tools.diagnosis.rule import Verdicts, rule
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.selectors import matches

PDB = kinds.POD_DISRUPTION_BUDGET
OBSERVED = (PDB, kinds.POD, kinds.NODE, kinds.DEPLOYMENT, kinds.REPLICA_SET, kinds.STATEFUL_SET)


def covered(facts: Facts) -> dict[Ref, list[Ref]]:
    """The pods that each budget in scope covers, by name; finished ones left out."""
    return facts.derived(_covered)


def _covered(facts: Facts) -> dict[Ref, list[Ref]]:
    pods: dict[str, list[tuple[Ref, dict[str, str]]]] = defaultdict(list)
    budgets = [budget for budget in facts.all(PDB) if not podstate.terminating(budget)]
    places = {fields.namespace_of(budget) for budget in budgets}
    for pod in facts.all(kinds.POD):
        if fields.namespace_of(pod) in places and not podstate.finished(pod):
            pods[fields.namespace_of(pod)].append((ref_of(pod, kinds.POD), fields.labels_of(pod)))
    return {
        ref_of(budget, PDB): sorted(
            ref
            for ref, labels in pods[fields.namespace_of(budget)]
            if matches(fields.mapping(budget, "spec").get("selector"), labels)
        )
        for budget in budgets
    }


@rule(causes=("pdb-blocks-eviction",), observes=OBSERVED)
def budget_blocks(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-budgets"""
    for ref, pods in sorted(covered(facts).items()):
        budget = facts.get(ref) or {}
        status = fields.mapping(budget, "status")
        expected = fields.number(status, "expectedPods")
        spoken = fields.number(status, "observedGeneration") >= fields.number(budget, "metadata", "generation")
        if not pods or not expected or not spoken or fields.number(status, "disruptionsAllowed"):
            continue
        yield from _blocking(facts, ref, budget, pods)


def _blocking(facts: Facts, ref: Ref, budget: Obj, pods: list[Ref]) -> Iterator[Finding]:
    status = fields.mapping(budget, "status")
    expected, wanted = fields.number(status, "expectedPods"), fields.number(status, "desiredHealthy")
    healthy = fields.number(status, "currentHealthy")
    never = wanted >= expected
    drained = _being_drained(facts, pods)
    if not never and not drained:
        return  # some pods are not ready for now, and nobody evicts any: what ails them is told by other rules
    workloads = tuple(sorted({facts.workload(pod) for pod in pods}))
    asks = _demand(budget)
    if never:
        why = f"it asks for {asks} and covers {lib.count(expected, 'pod')}, all of which must then stay"
    else:
        why = f"it needs {wanted} healthy pods, and {healthy} of {expected} are"
    hangs = f" The drain of {lib.some(node.name for node in drained)} hangs on it." if drained else ""
    yield Finding(
        cause="pdb-blocks-eviction",
        object=ref,
        severity="warning",
        confidence="certain",
        summary=f"PodDisruptionBudget {ref.name} allows no eviction: {why}.{hangs}",
        evidence=tuple(_evidence(ref, budget, drained)),
        affects=(*workloads, *drained),
        since=fields.time_at(fields.condition(budget, "DisruptionAllowed"), "lastTransitionTime"),
        next=(lib.ask("get", "the budget", kind="pdb", name=ref.name, namespace=ref.namespace),),
        awaits=() if never else (*workloads, *pods),
    )


def _demand(budget: Obj) -> str:
    spec = fields.mapping(budget, "spec")
    for field in ("maxUnavailable", "minAvailable"):
        if spec.get(field) is not None:
            return f"{field} {spec[field]}"
    return "nothing"


def _evidence(ref: Ref, budget: Obj, drained: list[Ref]) -> Iterator[Evidence]:
    for field in ("maxUnavailable", "minAvailable"):
        if fields.mapping(budget, "spec").get(field) is not None:
            yield quote(ref, budget, "spec", field)
    for field in ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"):
        yield quote(ref, budget, "status", field)
    for node in drained[:2]:
        yield fact(node, "spec.unschedulable", True)


def _being_drained(facts: Facts, pods: list[Ref]) -> list[Ref]:
    """Cordoned nodes that some of these pods run on."""
    found: set[Ref] = set()
    for pod in pods:
        node = Ref("Node", "", fields.text(facts.get(pod), "spec", "nodeName"))
        if fields.flag(facts.get(node), "spec", "unschedulable"):
            found.add(node)
    return sorted(found)


@rule(causes=("pdb-overlapping",), observes=OBSERVED)
def budgets_overlap(facts: Facts) -> Verdicts:
    """The eviction API refuses a pod that more than one budget covers (pkg/registry/core/pod/storage/eviction.go)."""
    budgets_of: dict[Ref, list[Ref]] = defaultdict(list)
    for ref, pods in sorted(covered(facts).items()):
        for pod in pods:
            budgets_of[pod].append(ref)
    groups: dict[tuple[Ref, ...], set[Ref]] = defaultdict(set)
    for pod, budgets in budgets_of.items():
        if len(budgets) > 1:
            groups[tuple(budgets)].add(facts.workload(pod))
    for budgets, workloads in sorted(groups.items()):
        objects = sorted((facts.get(ref) or {} for ref in budgets), key=_age)
        last = ref_of(objects[-1], PDB)
        names = [fields.name_of(one) for one in objects]
        yield Finding(
            cause="pdb-overlapping",
            object=last,
            severity="warning",
            confidence="certain",
            summary=(
                f"PodDisruptionBudgets {' and '.join(names)} cover the same pods, those of "
                f"{lib.some(str(w) for w in workloads)}: a pod with two budgets cannot be evicted at all."
            ),
            evidence=tuple(quote(ref_of(one, PDB), one, "spec", "selector") for one in objects[:3]),
            affects=tuple(sorted(workloads)),
            since=fields.time_at(objects[-1], "metadata", "creationTimestamp"),
        )


def _age(budget: Obj) -> tuple[str, str]:
    return fields.text(budget, "metadata", "creationTimestamp"), fields.name_of(budget)


@rule(
    causes=("single-replica-no-disruption-budget",),
    observes=(*OBSERVED, kinds.SERVICE, kinds.INGRESS, kinds.HORIZONTAL_POD_AUTOSCALER),
)
def one_replica(facts: Facts) -> Verdicts:
    """A Deployment of one pod to which users are sent from outside: a drain interrupts them."""
    known = (PDB, kinds.SERVICE, kinds.INGRESS, kinds.HORIZONTAL_POD_AUTOSCALER)
    guarded = {pod for pods in covered(facts).values() for pod in pods}
    for deployment in facts.all(kinds.DEPLOYMENT):
        ref = ref_of(deployment, kinds.DEPLOYMENT)
        if backends.wanted(kinds.DEPLOYMENT, deployment) != 1 or not all(facts.knows(k, ref.namespace) for k in known):
            continue
        pods = lib.pods_of(facts, ref)
        services = [s for s in facts.graph.after(ref, "selects") if _entered(facts, s)]
        scaled = facts.graph.before(ref, "scales")
        if len(pods) != 1 or not podstate.ready(pods[0]) or not services or scaled:
            continue
        if ref_of(pods[0], kinds.POD) in guarded:
            continue
        yield Finding(
            cause="single-replica-no-disruption-budget",
            object=ref,
            severity="info",
            confidence="certain",
            summary=(
                f"{ref} has one replica and no disruption budget, and users reach it through "
                f"{lib.some(s.name for s in services)}: a drain of its node interrupts them."
            ),
            evidence=(
                quote(ref, deployment, "spec", "replicas"),
                quote(services[0], facts.get(services[0]) or {}, "spec", "type"),
            ),
            culprit=f"single replicas of {ref.namespace}",
        )


def _entered(facts: Facts, service: Ref) -> bool:
    """Whether traffic from outside the cluster comes to a Service."""
    kind = fields.text(facts.get(service), "spec", "type")
    return kind in {"LoadBalancer", "NodePort"} or bool(facts.graph.after(service, "routes"))
