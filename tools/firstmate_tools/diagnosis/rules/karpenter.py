"""Why Karpenter makes no node for pods that wait for one: limits, requirements, a NodeClass that is not ready.

The signal is a pod that the scheduler places nowhere; which NodePools would take it, and what stops them, is worked out
from the NodePools (`pools.py`). What Karpenter says of the pod confirms, or tells what instance types there are.

Source: sigs.k8s.io/karpenter v1 (pkg/controllers/provisioning, pkg/events/reason.go), karpenter-provider-aws v1
(pkg/controllers/nodeclass, pkg/apis/v1/ec2nodeclass_status.go), and eks.amazonaws.com/v1 NodeClass of EKS Auto Mode.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from firstmate_tools import fields, kinds
from firstmate_tools.customkinds import AUTO_NODE_CLASS, EC2_NODE_CLASS, NODE_CLAIM, NODE_POOL
from firstmate_tools.diagnosis import lib, pools
from firstmate_tools.diagnosis.conditions import quoted
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, fact, quote
from firstmate_tools.diagnosis.heard import lately, said
from firstmate_tools.diagnosis.pools import Spent, Waiting
from firstmate_tools.diagnosis.rule import BACKENDS, ListWant, ReasonWant, Verdicts, Want, explains, rule
from firstmate_tools.fields import Obj
from firstmate_tools.podresources import pod_requests
from firstmate_tools.quantity import show
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.results import Severity

KINDS = (NODE_POOL, NODE_CLAIM, EC2_NODE_CLASS, AUTO_NODE_CLASS)
READS = tuple(Read(kind, ("list",)) for kind in KINDS)
EXCEED = "exceed limits for nodepool"
NO_TYPE = "no instance type"
WAITING_CAUSES = (
    "insufficient-node-resources",
    "pod-larger-than-any-node",
    "node-pod-limit-reached",
    "node-selector-unmatched",
    "node-affinity-unmatched",
    "taint-not-tolerated",
    "topology-spread-unsatisfiable",
    "pod-anti-affinity-unsatisfiable",
    "host-port-conflict",
    "node-volume-limit-reached",
    "volume-zone-mismatch",
    "gpu-not-advertised",
    "branch-eni-exhausted",
)
"""What the scheduler says of pods for which a new node would have been the answer."""


def wanted(facts: Facts) -> Iterable[Want]:
    """Karpenter's objects, where a pod waits for a node or the whole cluster is asked about."""
    if facts.scope.namespace is None or facts.derived(pools.waiting):
        yield from (ListWant(kind) for kind in KINDS)
        if facts.derived(pools.waiting) and facts.everywhere(NODE_POOL):
            yield ReasonWant("InsufficientCapacityError")


@rule(
    causes=("karpenter-nodepool-limit-reached",),
    observes=(kinds.POD, kinds.NODE, kinds.EVENT),
    digs=READS,
    wants=wanted,
    explains=(*explains(*WAITING_CAUSES, along=()), *BACKENDS),
    confirms=(kinds.POD, NODE_POOL),
)
def nodepool_limit(facts: Facts) -> Verdicts:
    """Every NodePool that would take the pods is at its limits (`spec.limits` against `status.resources`).

    A limit of nothing parks a NodePool: pods that only it would take are reported, nothing else is.
    """
    for group in facts.derived(pools.waiting):
        able = [pool for pool in pools.able(facts, group) if not pools.broken(facts, pool)]
        full = [(pool, list(pools.spent(pool, group.pod))) for pool in able]
        told = group.says(EXCEED)
        if not able or (told is None and not all(limits for _, limits in full)):
            continue
        if told is not None and not any(limits for _, limits in full):
            # What is left is less than the smallest instance that would do.
            nothing: list[Spent] = []
            full = [(pool, nothing) for pool in able if fields.mapping(pool, "spec", "limits")]
        full = [entry for entry in full if entry[1]] or full
        if full and not (told is None and group.says(NO_TYPE)):
            yield _limit(facts, group, full, [said(told)] if told else [])


def _limit(facts: Facts, group: Waiting, full: list[tuple[Obj, list[Spent]]], told: list[Evidence]) -> Finding:
    full.sort(
        key=lambda entry: (_parked(entry[1]), -fields.number(entry[0], "spec", "weight"), fields.name_of(entry[0]))
    )
    pool, limits = full[0]
    ref = ref_of(pool, NODE_POOL)
    others = [fields.name_of(one) for one, _ in full[1:]]
    also = f", and so {'is' if len(others) == 1 else 'are'} {lib.some(others)}" if others else ""
    how = "has " + " and ".join(f"{one} in use" for one in limits) if limits else "has too little left for a node"
    asks = _asks(group.pod)
    return Finding(
        cause="karpenter-nodepool-limit-reached",
        object=ref,
        severity=lib.severity(facts, group.workload),
        confidence="certain" if limits else "likely",
        summary=(
            f"NodePool {ref.name} is at its limits: it {how}{also}. Karpenter makes no node for "
            f"{lib.count(len(group.pods), 'pod')} of {group.workload}{asks}."
        ),
        evidence=(
            quote(ref, pool, "spec", "limits"),
            fact(ref, "status.resources", fields.mapping(pool, "status", "resources") or None),
            *told,
            _unscheduled(group),
        ),
        affects=(group.workload, *group.pods),
        since=_since(group),
        culprit=ref.name,
        next=(lib.ask("get", "the NodePool as it is", kind="nodepools.karpenter.sh", name=ref.name),),
    )


def _parked(limits: list[Spent]) -> bool:
    return any(not one.limit for one in limits)


def _asks(pod: Obj) -> str:
    asked = pod_requests(pod)
    told = [f"{name} {show(name, asked[name])}" for name in ("cpu", "memory") if asked.get(name)]
    return f" ({', '.join(told)} each)" if told else ""


def _unscheduled(group: Waiting) -> Evidence:
    scheduled = fields.condition(group.pod, "PodScheduled")
    where = "status.conditions[PodScheduled].message"
    return fact(
        group.pods[0], where, fields.text(scheduled, "message"), fields.time_at(scheduled, "lastTransitionTime")
    )


def _since(group: Waiting) -> datetime | None:
    return fields.time_at(fields.condition(group.pod, "PodScheduled"), "lastTransitionTime")


@rule(
    causes=("karpenter-requirements-unsatisfiable",),
    observes=(kinds.POD, kinds.NODE, kinds.EVENT),
    digs=READS,
    wants=wanted,
    explains=(*explains(*WAITING_CAUSES, along=()), *BACKENDS),
    confirms=(kinds.POD, NODE_POOL),
)
def karpenter_requirements(facts: Facts) -> Verdicts:
    """No instance type meets what pods and NodePools ask for together, or a NodePool's own requirements leave none.

    A pod that is larger than any instance, or that selects what no NodePool offers, is at fault itself; a label or
    taint that is nobody's but a team's own stays with the scheduler's word.
    """
    every = pools.pools(facts)
    none = {fields.name_of(pool): why for pool in every if (why := _selects_nothing(facts, pool))}
    for pool in every:
        if (why := none.get(fields.name_of(pool))) is not None:
            hurt = [group for group in facts.derived(pools.waiting) if not pools.refuses(pool, group.pod)]
            yield _unsatisfiable(facts, ref_of(pool, NODE_POOL), why[0], why[1], hurt)
    for group in facts.derived(pools.waiting):
        willing = [pool for pool in every if not pools.refuses(pool, group.pod)]
        if every and not any(fields.name_of(pool) in none for pool in willing):
            yield from _too_much(facts, group, every, willing)


def _selects_nothing(facts: Facts, pool: Obj) -> tuple[str, list[Evidence]] | None:
    """Why a NodePool can have no node at all, as Karpenter says of it."""
    ref, valid = ref_of(pool, NODE_POOL), fields.condition(pool, "ValidationSucceeded")
    if pools.invalid(pool):
        return "is not valid", [quoted(ref, valid), quote(ref, pool, "spec", "template", "spec", "requirements")]
    rows = [row for row in facts.events(ref, "NoCompatibleInstanceTypes") if lately(facts, row)]
    if rows:
        words = "has requirements that no instance type meets"
        return words, [said(rows[0]), quote(ref, pool, "spec", "template", "spec", "requirements")]
    return None


def _too_much(facts: Facts, group: Waiting, every: list[Obj], willing: list[Obj]) -> Iterator[Finding]:
    told = group.says(NO_TYPE)
    small = [pool for pool in willing if pools.small(pool, group.pod)]
    if willing and len(small) == len(willing):
        resource, most = pools.small(small[0], group.pod) or ("cpu", 0)
        asked = show(resource, pod_requests(group.pod).get(resource, 0))
        names = lib.some(fields.name_of(pool) for pool in small)
        words = (
            f"asks for {resource} {asked} in one pod, and the instances that NodePool {names} may start have "
            f"{show(resource, most)} at most"
        )
        first = ref_of(small[0], NODE_POOL)
        proof = [quote(first, small[0], "spec", "template", "spec", "requirements"), *([said(told)] if told else [])]
        yield _unsatisfiable(facts, group.workload, words, proof, [group])
    elif told is not None and willing:
        words = (
            f"waits for a node that Karpenter cannot make: no instance type that NodePool "
            f"{lib.some(fields.name_of(pool) for pool in willing)} allows is what its pods ask for{_asks(group.pod)}"
        )
        first = ref_of(willing[0], NODE_POOL)
        proof = [said(told), quote(first, willing[0], "spec", "template", "spec", "requirements")]
        yield _unsatisfiable(facts, group.workload, words, proof, [group])
    elif not willing and group.told:
        keys = sorted({pools.refuses(pool, group.pod) for pool in every})
        if all(pools.is_karpenters(key) for key in keys):
            words = f"wants nodes of a {' and '.join(keys)} that none of NodePool {_names(every)} may have"
            first = ref_of(every[0], NODE_POOL)
            proof = [said(group.told[0]), quote(first, every[0], "spec", "template", "spec", "requirements")]
            yield _unsatisfiable(facts, group.workload, words, proof, [group])


def _names(every: list[Obj]) -> str:
    return lib.some(fields.name_of(pool) for pool in every)


def _unsatisfiable(facts: Facts, ref: Ref, why: str, proof: list[Evidence], hurt: list[Waiting]) -> Finding:
    pods = [pod for group in hurt for pod in group.pods]
    whose = f"NodePool {ref.name}" if ref.kind == NODE_POOL.kind else f"{ref}"
    wait = f" {lib.count(len(pods), 'pod')} that it would take wait." if pods and ref.kind == NODE_POOL.kind else ""
    return Finding(
        cause="karpenter-requirements-unsatisfiable",
        object=ref,
        severity=_worst(facts, hurt),
        confidence="certain" if not pods or len(proof) > 1 else "likely",
        summary=f"{whose} {why}.{wait}",
        evidence=(*proof, *(_unscheduled(group) for group in hurt[:1])),
        affects=tuple(dict.fromkeys([group.workload for group in hurt] + pods)),
        since=lib.earliest(_since(group) for group in hurt),
        next=(lib.ask("get", "what the NodePools allow", kind="nodepools.karpenter.sh"),),
    )


def _worst(facts: Facts, hurt: list[Waiting]) -> Severity:
    return lib.worst(["warning", *(lib.severity(facts, group.workload) for group in hurt)])


@rule(
    causes=("karpenter-nodeclass-not-ready",),
    observes=(kinds.POD, kinds.NODE, kinds.EVENT),
    digs=READS,
    wants=wanted,
    explains=(*explains(*WAITING_CAUSES, "karpenter-requirements-unsatisfiable", along=()), *BACKENDS),
    confirms=(NODE_POOL, EC2_NODE_CLASS, AUTO_NODE_CLASS),
)
def nodeclass_not_ready(facts: Facts) -> Verdicts:
    """A NodeClass whose subnets, security groups, images or role are not found, or that does not exist."""
    by_class: dict[Ref, list[Obj]] = {}
    for pool in pools.pools(facts):
        by_class.setdefault(pools.class_of(pool), []).append(pool)
    for kind in pools.CLASSES:
        for one in facts.everywhere(kind):
            by_class.setdefault(ref_of(one, kind), [])
    for ref, users in sorted(by_class.items()):
        trouble = pools.class_trouble(facts, ref)
        if trouble is not None:
            yield _nodeclass(facts, ref, users, trouble)


def _nodeclass(facts: Facts, ref: Ref, users: list[Obj], trouble: tuple[str, list[Evidence]]) -> Finding:
    names = {fields.name_of(pool) for pool in users}
    hurt = [
        group
        for group in facts.derived(pools.waiting)
        if (able := pools.able(facts, group))
        and {fields.name_of(pool) for pool in able if pools.broken(facts, pool)} & names
        and all(pools.broken(facts, pool) or any(pools.spent(pool, group.pod)) for pool in able)
    ]
    pods = [pod for group in hurt for pod in group.pods]
    whose = f"NodePool {lib.some(names)} cannot start any node" if names else "no NodePool uses it"
    wait = f"; {lib.count(len(pods), 'pod')} wait for one" if pods else ""
    gone = facts.get(ref) is None
    target = ref_of(users[0], NODE_POOL) if gone and users else ref
    return Finding(
        cause="karpenter-nodeclass-not-ready",
        object=target,
        severity=_worst(facts, hurt) if names else "info",
        confidence="certain",
        summary=f"{ref.kind} {ref.name} {trouble[0]}; {whose}{wait}.",
        evidence=(
            *([quote(target, users[0], "spec", "template", "spec", "nodeClassRef")] if gone and users else []),
            *trouble[1],
            *(_unscheduled(group) for group in hurt[:1]),
        ),
        affects=tuple(dict.fromkeys([*(ref_of(p, NODE_POOL) for p in users), *(g.workload for g in hurt), *pods])),
        culprit=ref.name,
        next=(lib.ask("get", "what it selects", kind=f"{ref.kind.lower()}es.{_group(ref)}", name=ref.name),),
    )


def _group(ref: Ref) -> str:
    return next((kind.group for kind in pools.CLASSES if kind.kind == ref.kind), EC2_NODE_CLASS.group)
