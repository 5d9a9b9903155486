"""What the AWS Load Balancer Controller cannot build or reach: subnets, rights, security groups, targets.

It speaks in events of the Ingress, Service or TargetGroupBinding, and repeats itself while a trouble lasts; a success
that came later, or an address where none could be, takes its word back. Of targets it writes a condition into each pod
that waits for it (a readiness gate).

Source: kubernetes-sigs/aws-load-balancer-controller v2 (pkg/k8s/events.go, pkg/networking/subnet_resolver.go,
networking_manager.go, pkg/targetgroupbinding/resource_manager.go); reasons of target health are those of the API
(https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html).
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.customkinds import TARGET_GROUP_BINDING
from firstmate_tools.diagnosis import lib
from firstmate_tools.diagnosis.conditions import lasted, moment, quoted
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, fact, quote
from firstmate_tools.diagnosis.heard import lately, said
from firstmate_tools.diagnosis.rule import BACKENDS, Verdicts, explains, rule
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.text import inline

BUILT: tuple[Kind, ...] = (kinds.INGRESS, kinds.SERVICE, TARGET_GROUP_BINDING)
FAILURES = ("FailedBuildModel", "FailedDeployModel", "FailedNetworkReconcile", "FailedReconcile", "FailedCleanup")
SUCCESS = "SuccessfullyReconciled"
GATE = "target-health.elbv2.k8s.aws/"
GATES = (GATE, "target-health.alb.ingress.k8s.aws/")
"""Prefixes of the condition that it writes; the second is that of its first version, which it still serves."""
STARTING = frozenset({"Elb.RegistrationInProgress", "Elb.InitialHealthChecking", ""})
"""Reasons of a target that is on its way."""
REGISTERS = timedelta(minutes=5)

_DENIED = re.compile(r"AccessDenied|UnauthorizedOperation|is not authorized to perform|AuthFailure", re.IGNORECASE)
_GROUP = re.compile(r"expected exactly one securityGroup", re.IGNORECASE)
_SUBNET = re.compile(
    r"at least one subnet|subnets? (?:auto-)?discover|auto-discover subnets|two subnets|"
    r"subnets count less than minimal|not enough IP space available in subnet|InvalidSubnet|SubnetNotFound",
    re.IGNORECASE,
)
_ACTION = re.compile(r"not authorized to perform:? ([a-z0-9-]+:[A-Za-z]+)")
_WORDS = {
    "aws-lbc-subnet-not-found": "it finds no subnet that it can use",
    "aws-lbc-access-denied": "AWS refuses it",
    "aws-lbc-security-group-ambiguous": "a network interface has none, or several, of the cluster's tagged groups",
}


@rule(
    causes=("aws-lbc-subnet-not-found", "aws-lbc-access-denied", "aws-lbc-security-group-ambiguous"),
    observes=(*BUILT, kinds.EVENT),
    explains=(
        *explains("load-balancer-target-unhealthy", "load-balancer-not-provisioned", along=()),
        *explains("ingress-class-invalid", along=()),
    ),
    confirms=(kinds.INGRESS, kinds.SERVICE),
)
def load_balancer_controller(facts: Facts) -> Verdicts:
    """Which of its three troubles an event tells of is a matter of words: they stand in no field."""
    for kind in BUILT:
        for obj in facts.all(kind):
            ref = ref_of(obj, kind)
            rows = [row for row in facts.events(ref, *FAILURES) if lately(facts, row) and _of(row, obj)]
            good = max((row.last for row in facts.events(ref, SUCCESS) if row.last), default=None)
            rows = [row for row in rows if good is None or row.last is None or row.last > good]
            told = next(((row, cause) for row in rows if (cause := _cause(row.message))), None)
            if told is not None and not podstate.terminating(obj):
                yield _not_built(facts, ref, obj, *told)


def _of(row: EventRow, obj: Obj) -> bool:
    return row.about_uid in {"", fields.uid_of(obj)}


def _cause(message: str) -> str:
    if _GROUP.search(message):
        return "aws-lbc-security-group-ambiguous"
    if _DENIED.search(message):
        return "aws-lbc-access-denied"
    return "aws-lbc-subnet-not-found" if _SUBNET.search(message) else ""


def _not_built(facts: Facts, ref: Ref, obj: Obj, row: EventRow, cause: str) -> Finding:
    has_one = bool(fields.items(obj, "status", "loadBalancer", "ingress"))
    bound = ref.kind == TARGET_GROUP_BINDING.kind
    action = _ACTION.search(row.message)
    missing = f" ({action.group(1)})" if action and cause == "aws-lbc-access-denied" else ""
    effect = "its targets are not reached" if bound else "it keeps the load balancer as it was" if has_one else ""
    users = _targets(facts, ref, obj)
    return Finding(
        cause=cause,
        object=ref,
        severity="warning" if has_one else "critical",
        confidence="certain" if cause != "aws-lbc-subnet-not-found" or not has_one else "likely",
        summary=(
            f"The AWS Load Balancer Controller fails on {ref.kind} {ref.name}: {_WORDS[cause]}{missing}; "
            f"{effect or 'it has no load balancer'}."
        ),
        evidence=(
            said(row),
            *([] if bound else [fact(ref, "status.loadBalancer.ingress", _addresses(obj) or None)]),
            *_asked(ref, obj),
        ),
        affects=tuple(users),
        since=row.first,
        culprit="" if cause == "aws-lbc-subnet-not-found" else f"controller {missing}",
        next=(lib.ask("events", "what the controller says", scope=f"namespace/{ref.namespace}"),),
    )


def _addresses(obj: Obj) -> list[Obj]:
    return fields.items(obj, "status", "loadBalancer", "ingress")


def _asked(ref: Ref, obj: Obj) -> Iterator[Evidence]:
    """What the object itself says of subnets and scheme."""
    for key, value in sorted(fields.string_map(obj, "metadata", "annotations").items()):
        if key.endswith(("/subnets", "/scheme", "aws-load-balancer-subnets", "aws-load-balancer-scheme")):
            yield fact(ref, f"metadata.annotations[{inline(key)}]", value)


def _targets(facts: Facts, ref: Ref, obj: Obj) -> list[Ref]:
    """What the load balancer would lead to."""
    if ref.kind == kinds.INGRESS.kind:
        return facts.graph.before(ref, "routes")
    if ref.kind == TARGET_GROUP_BINDING.kind:
        name = fields.text(obj, "spec", "serviceRef", "name")
        return [Ref("Service", ref.namespace, name)] if name else []
    return []


@rule(
    causes=("load-balancer-target-unhealthy",),
    observes=(kinds.POD, TARGET_GROUP_BINDING),
    explains=BACKENDS,
    confirms=(kinds.POD,),
)
def target_unhealthy(facts: Facts) -> Verdicts:
    """Pods whose containers are ready, and that the load balancer's health check does not reach or like."""
    groups: dict[tuple[Ref, str], list[tuple[Ref, Obj, Obj]]] = defaultdict(list)
    for pod in lib.unsettled(facts):
        if podstate.finished(pod) or podstate.terminating(pod):
            continue
        if fields.condition(pod, "ContainersReady").get("status") != "True":
            continue
        ref = ref_of(pod, kinds.POD)
        for gate in fields.items(pod, "spec", "readinessGates"):
            name = fields.text(gate, "conditionType")
            found = fields.condition(pod, name) if name.startswith(GATES) else {}
            if _refused(facts, found):
                groups[facts.workload(ref), name].append((ref, pod, found))
    for (workload, name), pods in sorted(groups.items(), key=lambda entry: entry[0]):
        yield _unhealthy(facts, workload, name.rpartition("/")[2], pods)


def _refused(facts: Facts, condition: Obj) -> bool:
    if fields.text(condition, "status") not in {"False", "Unknown"}:
        return False
    return fields.text(condition, "reason") not in STARTING or lasted(condition, facts.now, REGISTERS)


def _unhealthy(facts: Facts, workload: Ref, binding: str, pods: list[tuple[Ref, Obj, Obj]]) -> Finding:
    ref, _, condition = pods[0]
    target = Ref(TARGET_GROUP_BINDING.kind, ref.namespace, binding)
    obj = facts.get(target)
    service = fields.text(obj, "spec", "serviceRef", "name")
    reasons = lib.some(inline(fields.text(c, "reason") or "Unknown") for _, _, c in pods)
    behind = f" of Service {service}" if service else ""
    return Finding(
        cause="load-balancer-target-unhealthy",
        object=target if obj is not None else workload,
        severity=lib.severity(facts, workload),
        confidence="certain",
        summary=(
            f"The load balancer's health check fails for {lib.count(len(pods), 'pod')} of {workload}{behind} "
            f"({reasons}), though all of their containers are ready."
        ),
        evidence=(
            *(quoted(ref, c) for ref, _, c in pods[:2]),
            fact(ref, "status.conditions[ContainersReady].status", "True"),
            *([quote(target, obj, "spec", "serviceRef"), quote(target, obj, "spec", "networking")] if obj else []),
        ),
        affects=(workload, *(ref for ref, _, _ in pods), *([target] if obj else [])),
        since=moment(condition),
        next=(
            lib.ask("get", "which port and path are checked", kind="ingress", namespace=ref.namespace),
            lib.ask("events", "what the controller says", scope=f"namespace/{ref.namespace}"),
        ),
    )
