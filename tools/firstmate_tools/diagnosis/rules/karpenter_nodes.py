"""Nodes that Karpenter asks for in vain, that never join, that it may not replace, or replaces again and again.

What AWS refused stands in events only: Karpenter takes such a NodeClaim away at once. It counts while pods still wait.

Source: sigs.k8s.io/karpenter v1 (pkg/controllers/nodeclaim/lifecycle, pkg/controllers/disruption,
pkg/events/reason.go), karpenter-provider-aws v1 (pkg/errors/errors.go, pkg/controllers/interruption/events).
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import timedelta

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.customkinds import NODE_CLAIM
from firstmate_tools.diagnosis import lib, pools
from firstmate_tools.diagnosis.conditions import moment, quoted
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, fact, quote
from firstmate_tools.diagnosis.heard import lately, said
from firstmate_tools.diagnosis.pools import Waiting
from firstmate_tools.diagnosis.rule import BACKENDS, GetWant, ListWant, ReasonWant, Verdicts, Want, explains, rule
from firstmate_tools.diagnosis.rules.karpenter import KINDS, READS, WAITING_CAUSES, wanted
from firstmate_tools.fields import Obj
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of

_QUOTA = re.compile(
    r"VcpuLimitExceeded|InstanceLimitExceeded|MaxSpotInstanceCountExceeded|MaxFleetCountExceeded|"
    r"VCPULimitExceeded|SpotQuotaExceeded|FleetQuotaExceeded"
)
_CAPACITY = re.compile(
    r"InsufficientInstanceCapacity|UnfulfillableCapacity|InsufficientHostCapacity|insufficient capacity"
)
"""Codes of the EC2 API, and the reasons that Karpenter makes of them (ToReasonMessage)."""
JOINS_WITHIN = timedelta(minutes=5)
"""A node that will join has done so by then; Karpenter gives up after fifteen minutes."""
HOUR = timedelta(hours=1)
MANY = 4
"""NodeClaims of one NodePool that Karpenter took away of its own will within an hour: more than tidying up."""
AWS_AUTH = Ref("ConfigMap", "kube-system", "aws-auth")


@rule(
    causes=("instance-capacity-insufficient", "aws-service-quota-reached"),
    observes=(kinds.POD, kinds.NODE, kinds.EVENT),
    digs=READS,
    wants=wanted,
    explains=(*explains(*WAITING_CAUSES, along=()), *BACKENDS),
    confirms=(kinds.POD,),
)
def instances_refused(facts: Facts) -> Verdicts:
    """AWS gives no instance: it has none of the kind there, or the account may have no more of them."""
    rows: dict[tuple[str, Ref], list[tuple[Evidence, EventRow | None]]] = defaultdict(list)
    for row in facts.every_event():
        if row.reason == "InsufficientCapacityError" and row.about.kind == NODE_CLAIM.kind and lately(facts, row):
            pool = pools.pool_named_by(facts, row.about)
            if pool is not None and not _got_one_since(facts, pool, row):
                rows[_cause(row.message), pool].append((said(row), row))
    for claim in facts.everywhere(NODE_CLAIM):
        launched, pool = fields.condition(claim, "Launched"), pools.pool_of(facts, claim)
        message = f"{fields.text(launched, 'reason')} {fields.text(launched, 'message')}"
        refused = _QUOTA.search(message) or _CAPACITY.search(message)
        if pool is not None and launched.get("status") != "True" and refused:
            rows[_cause(message), pool].append((quoted(ref_of(claim, NODE_CLAIM), launched), None))
    for (cause, pool), told in sorted(rows.items()):
        hurt = _would_be_helped(facts, pool)
        if hurt:
            yield _refused(facts, cause, pool, told, hurt)


def _cause(message: str) -> str:
    return "aws-service-quota-reached" if _QUOTA.search(message) else "instance-capacity-insufficient"


def _got_one_since(facts: Facts, pool: Ref, row: EventRow) -> bool:
    """Whether a NodeClaim of the pool was made and launched after AWS refused one."""
    return any(
        (made := fields.time_at(claim, "metadata", "creationTimestamp")) is not None
        and row.last is not None
        and made > row.last
        and fields.condition(claim, "Launched").get("status") == "True"
        for claim in pools.claims_of(facts, pool)
    )


def _would_be_helped(facts: Facts, pool: Ref) -> list[Waiting]:
    obj = facts.get(pool)
    groups = facts.derived(pools.waiting)
    return [group for group in groups if obj is None or not pools.refuses(obj, group.pod)]


def _refused(
    facts: Facts, cause: str, pool: Ref, told: list[tuple[Evidence, EventRow | None]], hurt: list[Waiting]
) -> Finding:
    pods = [pod for group in hurt for pod in group.pods]
    times = sum(row.count if row else 1 for _, row in told)
    quota = cause == "aws-service-quota-reached"
    why = "a quota of the account is reached" if quota else "it has none of the kinds that the pool allows there"
    obj = facts.get(pool) or {}
    return Finding(
        cause=cause,
        object=pool,
        severity=lib.worst(lib.severity(facts, group.workload) for group in hurt),
        confidence="certain" if quota or any(_CAPACITY.search(e.value) for e, _ in told) else "likely",
        summary=(
            f"AWS refused NodePool {pool.name} instances {lib.count(times, 'time')} in the last minutes: {why}. "
            f"{lib.count(len(pods), 'pod')} wait for a node."
        ),
        evidence=(
            *(evidence for evidence, _ in told[:3]),
            quote(pool, obj, "spec", "template", "spec", "requirements"),
            fact(hurt[0].pods[0], "status.conditions[PodScheduled].reason", "Unschedulable"),
        ),
        affects=tuple(dict.fromkeys([group.workload for group in hurt] + pods)),
        since=lib.earliest(row.first for _, row in told if row),
        culprit=pool.name,
        next=(lib.ask("get", "which types and zones it may take", kind="nodepools.karpenter.sh", name=pool.name),),
    )


def joining(facts: Facts) -> Iterable[Want]:
    """As for the other rules; besides who may join, where a NodeClaim has not."""
    yield from wanted(facts)
    if any(_lost(facts, claim) for claim in facts.everywhere(NODE_CLAIM)):
        yield GetWant(kinds.CONFIG_MAP, AWS_AUTH)


@rule(
    causes=("node-role-not-authorized", "node-bootstrap-unreachable"),
    observes=(kinds.POD, kinds.NODE, kinds.EVENT),
    digs=(*READS, Read(kinds.CONFIG_MAP, ("get",))),
    wants=joining,
    explains=(*explains(*WAITING_CAUSES, along=()), *BACKENDS),
    confirms=(NODE_CLAIM,),
)
def instances_never_join(facts: Facts) -> Verdicts:
    """Instances that run and never become nodes. Why is known to AWS; aws-auth tells where it maps the role or not.

    https://docs.aws.amazon.com/eks/latest/userguide/troubleshooting.html
    """
    by_pool: dict[Ref, list[Obj]] = defaultdict(list)
    for claim in facts.everywhere(NODE_CLAIM):
        if _lost(facts, claim):
            by_pool[pools.pool_of(facts, claim) or ref_of(claim, NODE_CLAIM)].append(claim)
    for pool, claims in sorted(by_pool.items()):
        yield _never_joined(facts, pool, claims)


def _lost(facts: Facts, claim: Obj) -> bool:
    launched, registered = fields.condition(claim, "Launched"), fields.condition(claim, "Registered")
    since = moment(launched) or fields.time_at(claim, "metadata", "creationTimestamp")
    waits = launched.get("status") == "True" and registered.get("status") != "True"
    return waits and not podstate.terminating(claim) and since is not None and facts.now - since > JOINS_WITHIN


def _never_joined(facts: Facts, pool: Ref, claims: list[Obj]) -> Finding:
    ref, first = ref_of(claims[0], NODE_CLAIM), claims[0]
    hurt = _would_be_helped(facts, pool)
    pods = [pod for group in hurt for pod in group.pods]
    one = facts.get(pools.class_of(facts.get(pool) or {})) or {}
    role, auth = fields.text(one, "spec", "role"), facts.get(AWS_AUTH)
    mapped = fields.text(auth, "data", "mapRoles")
    known = f"role/{role}" in mapped if role and mapped else None
    proof: list[Evidence] = []
    if known:
        why = (
            f"aws-auth maps their role {role}: they seem not to reach the API server (security group, route, endpoint)"
        )
    elif known is False:
        why = f"their role {role} is not in aws-auth; unless an access entry names it, the API server does not know it"
    else:
        why = "either no access entry or aws-auth maps their role, or they do not reach the API server"
    if known is not None:
        proof = [fact(AWS_AUTH, "data.mapRoles", mapped), fact(ref_of(one), "spec.role", role)]
    return Finding(
        cause="node-bootstrap-unreachable" if known else "node-role-not-authorized",
        object=pool,
        severity=lib.worst(["warning", *(lib.severity(facts, group.workload) for group in hurt)]),
        confidence="possible" if known is None else "likely",
        summary=(f"{lib.count(len(claims), 'instance')} of {pool} started and never became a node: {why}."),
        evidence=(
            quoted(ref, fields.condition(first, "Launched")),
            quoted(ref, fields.condition(first, "Registered") or {"type": "Registered"}),
            quote(ref, first, "status", "providerID"),
            *proof,
        ),
        affects=tuple(dict.fromkeys([*(ref_of(c, NODE_CLAIM) for c in claims), *(g.workload for g in hurt), *pods])),
        since=lib.earliest(moment(fields.condition(c, "Launched")) for c in claims),
        culprit=pool.name,
        next=(lib.ask("get", "the NodeClaim as it is", kind="nodeclaims.karpenter.sh", name=ref.name),),
    )


def spoken(facts: Facts) -> Iterable[Want]:
    """What Karpenter says of nodes it lets be or takes away: Normal events, for questions about the whole cluster."""
    if facts.scope.namespace is None:
        yield from (ListWant(kind) for kind in KINDS)
        if facts.everywhere(NODE_CLAIM):
            yield ReasonWant("DisruptionBlocked")
            yield ReasonWant("DisruptionTerminating")


@rule(
    causes=("karpenter-disruption-blocked",),
    observes=(kinds.POD, kinds.NODE, kinds.EVENT, kinds.POD_DISRUPTION_BUDGET),
    digs=READS,
    wants=spoken,
)
def disruption_blocked(facts: Facts) -> Verdicts:
    """A node that Karpenter wants to replace (it drifted, or is going) and may not: a budget, or pods that forbid it.

    A node that could merely be consolidated is no fault: it costs, and somebody may mean it so.
    """
    by_why: dict[tuple[Ref, str], list[tuple[Obj, list[Evidence]]]] = defaultdict(list)
    for claim in facts.everywhere(NODE_CLAIM):
        ref, drifted = ref_of(claim, NODE_CLAIM), fields.condition(claim, "Drifted")
        if drifted.get("status") != "True" and not podstate.overdue(claim, facts.now):
            continue
        for what, why, proof in list(_blockers(facts, claim))[:1]:
            wish = [quoted(ref, drifted)] if drifted else [quote(ref, claim, "metadata", "deletionTimestamp")]
            by_why[what, why].append((claim, [*wish, *proof]))
    for (what, why), claims in sorted(by_why.items(), key=lambda entry: entry[0]):
        first = claims[0][0]
        names = lib.some(fields.text(c, "status", "nodeName") or fields.name_of(c) for c, _ in claims)
        yield Finding(
            cause="karpenter-disruption-blocked",
            object=what,
            severity="warning",
            confidence="certain",
            summary=f"Karpenter wants to replace {lib.count(len(claims), 'node')} ({names}) and may not: {why}.",
            evidence=tuple(claims[0][1]),
            affects=tuple(ref_of(claim, NODE_CLAIM) for claim, _ in claims),
            since=moment(fields.condition(first, "Drifted")),
            next=(lib.ask("get", "its budgets", kind="nodepools.karpenter.sh"),),
        )


def _blockers(facts: Facts, claim: Obj) -> Iterator[tuple[Ref, str, list[Evidence]]]:
    ref, node = ref_of(claim, NODE_CLAIM), Ref("Node", "", fields.text(claim, "status", "nodeName"))
    rows = [row for about in (ref, node) for row in facts.events(about, "DisruptionBlocked") if lately(facts, row)]
    told = [said(row) for row in rows[:1]]
    pool = pools.pool_of(facts, claim)
    going = podstate.terminating(claim)
    if pool is not None and not going:
        yield from ((pool, why, [*proof, *told]) for why, proof in _budget(facts, pool))
    for pod in sorted(ref for ref in facts.graph.after(node, "hosts") if ref.kind == "Pod"):
        obj = facts.get(pod) or {}
        if not going and fields.string_map(obj, "metadata", "annotations").get(DO_NOT) == "true":
            why = f"{pod} of namespace {pod.namespace} forbids it by {DO_NOT}"
            yield facts.workload(pod), why, [fact(pod, f"metadata.annotations[{DO_NOT}]", "true"), *told]
    if told and going and pool is not None:
        yield ref, "its pods are not evicted", told


DO_NOT = "karpenter.sh/do-not-disrupt"


def _budget(facts: Facts, pool: Ref) -> Iterator[tuple[str, list[Evidence]]]:
    """A budget of the NodePool that always allows no node to drift away: one without a schedule."""
    obj = facts.get(pool) or {}
    for budget in fields.items(obj, "spec", "disruption", "budgets"):
        reasons = fields.strings(budget, "reasons")
        nodes = fields.text(budget, "nodes") or str(fields.at(budget, "nodes"))
        if nodes in {"0", "0%"} and not fields.text(budget, "schedule") and (not reasons or "Drifted" in reasons):
            yield f"a budget of NodePool {pool.name} allows {nodes} nodes", [quote(pool, obj, "spec", "disruption")]


@rule(causes=("karpenter-consolidation-churn",), observes=(kinds.NODE, kinds.EVENT), digs=READS, wants=spoken)
def consolidation_churn(facts: Facts) -> Verdicts:
    """Many NodeClaims of one NodePool taken away of Karpenter's own will within the hour, while others are made.

    A rollout of a new image drifts every node once: that is no churn.
    """
    taken: dict[Ref, list[EventRow]] = defaultdict(list)
    for row in facts.every_event():
        recent = row.last is not None and facts.now - row.last <= HOUR
        if row.reason == "DisruptionTerminating" and row.about.kind == NODE_CLAIM.kind and recent:
            pool = pools.pool_named_by(facts, row.about)
            if pool is not None and "Drifted" not in row.message:
                taken[pool].append(row)
    for pool, rows in sorted(taken.items()):
        gone = {row.about for row in rows}
        young = [c for c in pools.claims_of(facts, pool) if _within(facts, c, HOUR)]
        if len(gone) < MANY or not young:
            continue
        obj = facts.get(pool) or {}
        settle = fields.text(obj, "spec", "disruption", "consolidateAfter")
        yield Finding(
            cause="karpenter-consolidation-churn",
            object=pool,
            severity="warning",
            confidence="likely",
            summary=(
                f"Karpenter took {len(gone)} nodes of NodePool {pool.name} away within the hour and made "
                f"{len(young)} of its present ones: it consolidates after {settle or '0s'}."
            ),
            evidence=(*(said(row) for row in rows[:3]), quote(pool, obj, "spec", "disruption")),
            affects=tuple(ref_of(c, NODE_CLAIM) for c in young[:10]),
            since=lib.earliest(row.first for row in rows),
            next=(lib.ask("get", "how it consolidates", kind="nodepools.karpenter.sh", name=pool.name),),
        )


def _within(facts: Facts, obj: Obj, span: timedelta) -> bool:
    made = fields.time_at(obj, "metadata", "creationTimestamp")
    return made is not None and facts.now - made <= span
