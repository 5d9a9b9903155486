"""Karpenter's NodePools against pods that wait for a node: who would take whom, and what is left of its limits. Pure.

Called by the Karpenter rules. A NodePool says what its nodes would be like: template labels, requirements and taints.
What the cloud has, nobody here knows: instance types are not listed in the cluster.

Source: sigs.k8s.io/karpenter pkg/scheduling/requirements.go (Compatible) and pkg/apis/v1/nodepool.go, v1.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.customkinds import AUTO_NODE_CLASS, EC2_NODE_CLASS, NODE_CLAIM, NODE_POOL
from firstmate_tools.diagnosis import lib
from firstmate_tools.diagnosis.conditions import quoted, reason
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import Evidence, fact, quote
from firstmate_tools.diagnosis.heard import lately
from firstmate_tools.diagnosis.unplaced import unplaced
from firstmate_tools.fields import Obj
from firstmate_tools.podresources import pod_requests
from firstmate_tools.quantity import milli, show
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.scheduling.fit import Why
from firstmate_tools.scheduling.predicates import node_selector, required_affinity, tolerations, untolerated
from firstmate_tools.text import inline

POOL_LABEL = "karpenter.sh/nodepool"
CLASSES = (EC2_NODE_CLASS, AUTO_NODE_CLASS)
_OWN = ("karpenter.sh/", "karpenter.k8s.aws/", "eks.amazonaws.com/", "topology.kubernetes.io/", "topology.k8s.aws/")
_WELL_KNOWN = frozenset({"kubernetes.io/arch", "kubernetes.io/os", "node.kubernetes.io/instance-type"})
"""Labels that Karpenter knows values of without a NodePool naming them."""
_NEEDS_NO_NODE = frozenset({Why.ALONE, Why.IN_USE, Why.LEAVING, Why.CORDON, Why.NODE_STATE})
"""Reasons that another node would not take away, or that pass by themselves."""
_AUTHORS = ("karpenter", "eks-auto-mode")


@dataclass(frozen=True, slots=True)
class Waiting:
    """The pods of one workload that wait for a node, and would be helped by another one.

    Attributes:
        pod: one of them; `pods` are the addresses of all.
        told: what Karpenter itself said of them lately, newest first.
    """

    workload: Ref
    pod: Obj
    pods: tuple[Ref, ...]
    told: tuple[EventRow, ...]

    def says(self, words: str) -> EventRow | None:
        """Karpenter's newest sentence that holds these words."""
        return next((row for row in self.told if words in row.message), None)


def waiting(facts: Facts) -> list[Waiting]:
    """Pods in scope without a node, by workload."""
    settled = {pod for case in facts.derived(unplaced) if case.verdict.why in _NEEDS_NO_NODE for pod in case.pods}
    groups: dict[Ref, list[Obj]] = {}
    for pod in lib.unsettled(facts):
        ref = ref_of(pod, kinds.POD)
        idle = podstate.finished(pod) or podstate.terminating(pod) or fields.text(pod, "spec", "nodeName")
        if podstate.unschedulable(pod) and not idle and ref not in settled:
            groups.setdefault(facts.workload(ref), []).append(pod)
    found: list[Waiting] = []
    for workload, pods in sorted(groups.items()):
        refs = tuple(ref_of(pod, kinds.POD) for pod in pods)
        rows = [row for ref in refs for row in facts.events(ref, "FailedScheduling") if by_karpenter(row)]
        told = tuple(row for row in rows if lately(facts, row))
        found.append(Waiting(workload, pods[0], refs, told))
    return found


def by_karpenter(row: EventRow) -> bool:
    """Whether Karpenter (or EKS Auto Mode, which is one) is the author: the scheduler uses the same reasons."""
    return row.source.startswith(_AUTHORS)


def pools(facts: Facts) -> list[Obj]:
    """The NodePools that are to stay, by name."""
    return [pool for pool in facts.everywhere(NODE_POOL) if not podstate.terminating(pool)]


def template(pool: Obj) -> Obj:
    return fields.mapping(pool, "spec", "template")


def class_of(pool: Obj) -> Ref:
    """The NodeClass that a NodePool names."""
    named = fields.mapping(template(pool), "spec", "nodeClassRef")
    return Ref(fields.text(named, "kind") or EC2_NODE_CLASS.kind, "", fields.text(named, "name"))


def pool_of(facts: Facts, obj: Obj) -> Ref | None:
    """The NodePool of a node or NodeClaim, by its label."""
    name = fields.labels_of(obj).get(POOL_LABEL, "")
    return Ref(NODE_POOL.kind, "", name) if name else None


def pool_named_by(facts: Facts, claim: Ref) -> Ref | None:
    """The NodePool of a NodeClaim that may be gone: claims are called `<pool>-<five letters>`."""
    obj = facts.get(claim)
    named = pool_of(facts, obj) if obj is not None else None
    if named is not None:
        return named
    stem = claim.name.rpartition("-")[0]
    names = {fields.name_of(pool) for pool in facts.everywhere(NODE_POOL)}
    return Ref(NODE_POOL.kind, "", stem) if stem in names else None


def claims_of(facts: Facts, pool: Ref) -> list[Obj]:
    return [claim for claim in facts.everywhere(NODE_CLAIM) if pool_of(facts, claim) == pool]


def refuses(pool: Obj, pod: Obj) -> str:
    """Why no node of a NodePool could ever take a pod, in words: a taint, or a label that its nodes never have; ""."""
    if untolerated(tolerations(pod), fields.items(template(pool), "spec", "taints")):
        return "taint"
    terms = [[_selected(pair) for pair in sorted(node_selector(pod).items())]]
    required = required_affinity(pod)
    if required is not None:
        every = fields.items(required, "nodeSelectorTerms")
        terms = [[*terms[0], *fields.items(term, "matchExpressions")] for term in every]
    refused = [next(filter(None, (_contradicts(pool, wish) for wish in term)), "") for term in terms]
    return refused[0] if refused and all(refused) else ""


def _selected(pair: tuple[str, str]) -> Obj:
    return {"key": pair[0], "operator": "In", "values": [pair[1]]}


def _contradicts(pool: Obj, wish: Obj) -> str:
    """The key of a wish that the NodePool's nodes never fulfil, "" where they may."""
    key, operator = fields.text(wish, "key"), fields.text(wish, "operator")
    if not key or key == "kubernetes.io/hostname":
        return ""
    ways = [r for r in fields.items(template(pool), "spec", "requirements") if fields.text(r, "key") == key]
    label = fields.labels_of(template(pool)).get(key)
    label = fields.name_of(pool) if key == POOL_LABEL else label
    if label is not None:
        ways.append(_selected((key, label)))
    if not ways:
        return "" if is_karpenters(key) or operator in {"NotIn", "DoesNotExist"} else key
    if operator == "DoesNotExist":
        return key
    offered = [set(fields.strings(way, "values")) for way in ways if way.get("operator") == "In"]
    if not offered:
        shut = {v for way in ways if way.get("operator") == "NotIn" for v in fields.strings(way, "values")}
        wanted = set(fields.strings(wish, "values"))
        return key if operator == "In" and wanted and wanted <= shut else ""
    left = offered[0].intersection(*offered[1:])
    return "" if any(_suits(value, operator, fields.strings(wish, "values")) for value in left) else key


def _suits(value: str, operator: str, wanted: list[str]) -> bool:
    if operator == "In":
        return value in wanted
    if operator == "NotIn":
        return value not in wanted
    if operator in {"Gt", "Lt"} and wanted and value.isdecimal() and wanted[0].isdecimal():
        return int(value) > int(wanted[0]) if operator == "Gt" else int(value) < int(wanted[0])
    return True


def is_karpenters(key: str) -> bool:
    """Whether a label is one of which Karpenter knows the values, not a team's own."""
    return key.startswith(_OWN) or key in _WELL_KNOWN


def largest(pool: Obj, resource: str) -> int | None:
    """The most of CPU or memory (in thousandths) that an instance of a NodePool has, where its requirements say so.

    Keys: karpenter.k8s.aws/instance-cpu (cores), instance-memory (MiB), and those of EKS Auto Mode.
    """
    unit = {"cpu": 1000, "memory": 1024 * 1024 * 1000}[resource]
    most: list[int] = []
    for way in fields.items(template(pool), "spec", "requirements"):
        if fields.text(way, "key") not in {
            f"karpenter.k8s.aws/instance-{resource}",
            f"eks.amazonaws.com/instance-{resource}",
        }:
            continue
        values = [int(v) for v in fields.strings(way, "values") if v.isdecimal() and len(v) < 16]
        if values and way.get("operator") == "In":
            most.append(max(values))
        elif values and way.get("operator") == "Lt":
            most.append(values[0] - 1)
    return min(most) * unit if most else None


@dataclass(frozen=True, slots=True)
class Spent:
    """A limit of a NodePool that leaves too little for a pod. Amounts in thousandths."""

    resource: str
    limit: int
    used: int
    asked: int

    def __str__(self) -> str:
        """`cpu 16 of 16`."""
        return f"{self.resource} {show(self.resource, self.used)} of {show(self.resource, self.limit)}"


def spent(pool: Obj, pod: Obj) -> Iterator[Spent]:
    """The limits of a NodePool that leave no room for another node that would hold the pod."""
    asks = {**pod_requests(pod), "nodes": 1000}
    for resource, value in sorted(fields.mapping(pool, "spec", "limits").items()):
        limit = milli(value)
        used = milli(fields.at(pool, "status", "resources", resource)) or 0
        if resource == "nodes":
            used = max(used, fields.number(pool, "status", "nodes") * 1000)
        asked = asks.get(resource, 0)
        if limit is not None and (used >= limit or used + asked > limit):
            yield Spent(resource, limit, used, asked)


def able(facts: Facts, group: Waiting) -> list[Obj]:
    """The NodePools whose nodes could take the pods."""
    return [pool for pool in pools(facts) if not refuses(pool, group.pod) and not small(pool, group.pod)]


def broken(facts: Facts, pool: Obj) -> bool:
    return class_trouble(facts, class_of(pool)) is not None or invalid(pool)


def invalid(pool: Obj) -> bool:
    return fields.condition(pool, "ValidationSucceeded").get("status") == "False"


def small(pool: Obj, pod: Obj) -> tuple[str, int] | None:
    """The resource of which no instance of a NodePool has as much as a pod asks for, and how much they have."""
    asks = pod_requests(pod)
    for resource in ("cpu", "memory"):
        most = largest(pool, resource)
        if most is not None and asks.get(resource, 0) > most:
            return resource, most
    return None


FAULTS_OF_CLASSES = frozenset(
    {
        "AMIAuthorizationFailure",
        "AMINotFound",
        "InstanceProfileNameInvalid",
        "InvalidAMIID",
        "LaunchTemplateNotFound",
        "SecurityGroupSubnetVPCMismatch",
        "SpotSLRCreationFailed",
        "Unauthorized",
        "UserDataSizeLimitExceeded",
    }
)
"""Reasons of a launch that failed for what the NodeClass names, or for rights: karpenter-provider-aws
pkg/errors/errors.go (ToReasonMessage, 2026-08). A NodeClaim bears them, and its NodePool once claims were given up."""


def _launch_troubles(facts: Facts) -> dict[Ref, list[tuple[Ref, Obj]]]:
    """What AWS says against instances of NodeClasses, by class: of which object, and the condition."""
    told: list[tuple[Ref, Ref, Obj]] = []
    for claim in facts.everywhere(NODE_CLAIM):
        named = fields.mapping(claim, "spec", "nodeClassRef")
        ref = Ref(fields.text(named, "kind") or EC2_NODE_CLASS.kind, "", fields.text(named, "name"))
        told.append((ref, ref_of(claim, NODE_CLAIM), fields.condition(claim, "Launched")))
    health = "NodeRegistrationHealthy"
    told += [(class_of(p), ref_of(p, NODE_POOL), fields.condition(p, health)) for p in pools(facts)]
    found: dict[Ref, list[tuple[Ref, Obj]]] = {}
    for ref, at, condition in told:
        if condition.get("status") != "True" and reason(condition) in FAULTS_OF_CLASSES:
            found.setdefault(ref, []).append((at, condition))
    return found


def class_trouble(facts: Facts, ref: Ref) -> tuple[str, list[Evidence]] | None:
    """What is wrong with a NodeClass, None where nothing is or nobody could look."""
    one = facts.get(ref)
    if one is None:
        gone = ref.name and facts.exists(ref) is False
        return ("does not exist", [fact(ref, "metadata.name", "(does not exist)")]) if gone else None
    if podstate.terminating(one):
        return None
    if fields.condition(one, "Ready").get("status") != "False":
        bad = facts.derived(_launch_troubles).get(ref, [])
        words = ", ".join(dict.fromkeys(reason(c) for _, c in bad))
        quotes = [quoted(at, c) for at, c in bad[:3]]
        return (f"is ready, and no instance can be launched by it ({words})", quotes) if bad else None
    parts = [
        c
        for c in fields.items(one, "status", "conditions")
        if c.get("status") == "False" and fields.text(c, "type") not in {"", "Ready"}
    ]
    first = parts or [fields.condition(one, "Ready")]
    what = ", ".join(f"{inline(fields.text(c, 'type'))} is false ({reason(c) or 'no reason given'})" for c in first[:3])
    terms = {
        "SubnetsReady": "subnetSelectorTerms",
        "SecurityGroupsReady": "securityGroupSelectorTerms",
        "AMIsReady": "amiSelectorTerms",
        "InstanceProfileReady": "role",
    }
    asked = [terms[fields.text(c, "type")] for c in first if fields.text(c, "type") in terms]
    return f"is not ready: {what}", [
        *(quoted(ref, c) for c in first[:3]),
        *(quote(ref, one, "spec", key) for key in asked[:2]),
    ]
