"""The `node_status` tool: what is wrong with each node, how full it is, and which pods fill it; worst first."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from operator import not_
from typing import Annotated, ClassVar

from pydantic import Field

from firstmate_tools import fields, nodestate
from firstmate_tools.cluster.base import Cluster
from firstmate_tools.errors import ReadError
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import NODE, POD
from firstmate_tools.paging import page
from firstmate_tools.places import no_such
from firstmate_tools.podresources import pod_requests
from firstmate_tools.quantity import milli, show
from firstmate_tools.reads import Read
from firstmate_tools.results import Coverage, Cursor, Limit, Model, NotChecked, Result
from firstmate_tools.text import FreeText, clipped
from firstmate_tools.toolspec import tool

ALWAYS = ("cpu", "memory", "pods")
"""Resources that are told of every node; others where somebody requests them."""
FULL = 90
"""Percent from which on a node is worth the names of the pods that fill it."""
MOST_PODS, FEW_PODS = 10, 3


class Room(Model):
    """One resource of a node, in Kubernetes quantities."""

    allocatable: str
    requested: str | None = None
    free: str | None = None


class Tenant(Model):
    """A pod by what it requests."""

    namespace: str
    name: str
    requests: dict[str, str]


class NodeRow(Model):
    """One node."""

    name: str
    ready: bool
    problems: list[FreeText] = Field(default_factory=list[FreeText], exclude_if=not_)
    since: datetime | None = Field(default=None, description="Not ready since")
    cordoned: bool = Field(default=False, exclude_if=not_)
    taints: list[str] = Field(default_factory=list[str], exclude_if=not_)
    zone: str | None = None
    instance_type: str | None = None
    capacity_type: str | None = Field(default=None, description="Spot or on demand, where a provisioner says so")
    pool: str | None = Field(default=None, description="Karpenter NodePool or EKS node group")
    kubelet: str | None = None
    age_s: int | None = None
    share: dict[str, int] = Field(
        default_factory=dict[str, int],
        exclude_if=not_,
        description="Percent of allocatable that its pods request, by resource",
    )
    room: dict[str, Room] = Field(default_factory=dict[str, Room], exclude_if=not_)
    largest: list[Tenant] = Field(
        default_factory=list[Tenant], exclude_if=not_, description="Pods that request most of the fullest resource"
    )
    other_conditions: list[FreeText] = Field(
        default_factory=list[FreeText],
        exclude_if=not_,
        description="Not judged: it is not known here which status is good",
    )


class NodeStatus(Result):
    """Nodes, those with problems first, then cordoned ones, then the fullest."""

    lists: ClassVar[tuple[str, ...]] = ("nodes",)

    ready: int
    not_ready: int
    cordoned: int
    nodes: list[NodeRow] = Field(default_factory=list[NodeRow])


@tool(title="Nodes and their room", reads=(Read(NODE), Read(POD, ("list",))))
async def node_status(
    cluster: Cluster,
    name: Annotated[
        str | None, Field(description="One node: amounts, its largest pods, every condition", max_length=253)
    ] = None,
    selector: Annotated[str | None, Field(description="Label selector", max_length=1000)] = None,
    limit: Limit = 25,
    cursor: Cursor = None,
) -> NodeStatus:
    """Are nodes ready, under pressure, cordoned, tainted, full? For each: problems, taints, zone, instance type, pool,
    how much of CPU, memory and pods is requested of what is allocatable, and which pods take the room. Worst first."""
    nodes = await _nodes(cluster, name, selector)
    coverage = Coverage(checked=["nodes", "pods"])
    tenancy: _Tenancy | None = None
    try:
        tenancy = await _tenancy(cluster, name)
    except ReadError as error:
        coverage = Coverage(checked=["nodes"], not_checked=[NotChecked.of("pods", error)])
    uses = {fields.name_of(node): _Use.of(node, tenancy) for node in nodes}
    ranked = sorted(nodes, key=lambda node: _worst_first(node, uses[fields.name_of(node)]))
    shown, following = page(ranked, limit, cursor, "nodes", cluster.identity.name, name, selector)
    ready = sum(1 for node in nodes if _is_ready(node))
    return NodeStatus(
        cluster=cluster.identity,
        observed_at=cluster.now,
        ready=ready,
        not_ready=len(nodes) - ready,
        cordoned=sum(1 for node in nodes if _is_cordoned(node)),
        nodes=[_row(node, cluster.now, uses[fields.name_of(node)], whole=name is not None) for node in shown],
        coverage=coverage.model_copy(update={"returned": len(shown), "total": len(ranked), "cursor": following}),
    )


async def _nodes(cluster: Cluster, name: str | None, selector: str | None) -> list[Obj]:
    if name is None:
        return (await cluster.list(NODE, labels=selector or "")).items
    node = await cluster.get(NODE, name)
    if node is None:
        raise await no_such(cluster, NODE, name, None)
    return [node]


@dataclass(slots=True)
class _Tenancy:
    """Who is bound to which node, with requests in thousandths by resource; `pods` counts in thousandths too."""

    pods: dict[str, list[tuple[str, str, dict[str, int]]]] = field(
        default_factory=lambda: defaultdict[str, list[tuple[str, str, dict[str, int]]]](list)
    )


async def _tenancy(cluster: Cluster, name: str | None) -> _Tenancy:
    chosen = "status.phase!=Succeeded,status.phase!=Failed" + (f",spec.nodeName={name}" if name else "")
    listing = await cluster.sweep(POD, _bound, fields=chosen)
    tenancy = _Tenancy()
    for node, pod in listing.items:
        tenancy.pods[node].append(pod)
    return tenancy


def _bound(pod: Obj) -> tuple[str, tuple[str, str, dict[str, int]]] | None:
    node = fields.text(pod, "spec", "nodeName")
    if not node:
        return None
    return node, (fields.namespace_of(pod), fields.name_of(pod), {**pod_requests(pod), "pods": 1000})


@dataclass(slots=True)
class _Use:
    """What a node has and what is asked of it, in thousandths by resource; `requested` is None where nobody knows."""

    allocatable: dict[str, int]
    requested: dict[str, int] | None
    pods: list[tuple[str, str, dict[str, int]]]

    @staticmethod
    def of(node: Obj, tenancy: _Tenancy | None) -> "_Use":
        parsed = {key: milli(value) for key, value in fields.mapping(node, "status", "allocatable").items()}
        allocatable = {key: value for key, value in parsed.items() if value is not None}
        if tenancy is None:
            return _Use(allocatable, None, [])
        pods = tenancy.pods.get(fields.name_of(node), [])
        requested: dict[str, int] = defaultdict(int)
        for _, _, requests in pods:
            for resource, amount in requests.items():
                requested[resource] += amount
        return _Use(allocatable, dict(requested), pods)

    def told(self) -> list[str]:
        """The resources worth telling."""
        asked = self.requested or {}
        return [r for r in sorted(self.allocatable) if r in ALWAYS or asked.get(r)]

    def shares(self) -> dict[str, int]:
        """Percent requested, by resource."""
        asked = self.requested
        if asked is None:
            return {}
        return {r: round(100 * asked.get(r, 0) / self.allocatable[r]) for r in self.told() if self.allocatable[r] > 0}

    def rooms(self) -> dict[str, Room]:
        made: dict[str, Room] = {}
        for resource in self.told():
            total = self.allocatable[resource]
            asked = None if self.requested is None else self.requested.get(resource, 0)
            made[resource] = Room(
                allocatable=show(resource, total),
                requested=None if asked is None else show(resource, asked),
                free=None if asked is None else show(resource, total - asked),
            )
        return made

    def largest(self, most: int) -> list[Tenant]:
        """The pods that take most of the fullest resource (of memory, where only the number of pods is high)."""
        shares = {r: share for r, share in self.shares().items() if r != "pods"}
        if not shares:
            return []
        fullest = max(sorted(shares), key=lambda r: shares[r])
        chosen = sorted(self.pods, key=lambda pod: (-pod[2].get(fullest, 0), pod[:2]))[:most]
        told = [r for r in self.told() if r != "pods"]
        return [
            Tenant(namespace=namespace, name=name, requests={r: show(r, asked[r]) for r in told if asked.get(r)})
            for namespace, name, asked in chosen
            if asked.get(fullest)
        ]


def _is_ready(node: Obj) -> bool:
    return fields.condition(node, "Ready").get("status") == "True"


def _is_cordoned(node: Obj) -> bool:
    return fields.flag(node, "spec", "unschedulable")


def _row(node: Obj, now: datetime, use: _Use, *, whole: bool) -> NodeRow:
    labels = fields.labels_of(node)
    created = fields.time_at(node, "metadata", "creationTimestamp")
    shares = use.shares()
    full = max(shares.values(), default=0) >= FULL
    return NodeRow(
        name=fields.name_of(node),
        ready=_is_ready(node),
        problems=[clipped(problem, 300) for problem in nodestate.problems(node)],
        since=nodestate.since(node),
        cordoned=_is_cordoned(node),
        taints=[nodestate.taint_text(taint) for taint in fields.items(node, "spec", "taints")],
        zone=labels.get("topology.kubernetes.io/zone"),
        instance_type=labels.get("node.kubernetes.io/instance-type"),
        capacity_type=labels.get("karpenter.sh/capacity-type") or labels.get("eks.amazonaws.com/capacityType"),
        pool=labels.get("karpenter.sh/nodepool") or labels.get("eks.amazonaws.com/nodegroup"),
        kubelet=fields.text(node, "status", "nodeInfo", "kubeletVersion") or None,
        age_s=int((now - created).total_seconds()) if created else None,
        share=shares,
        room=use.rooms() if whole or full or use.requested is None else {},
        largest=use.largest(MOST_PODS if whole else FEW_PODS) if whole or full else [],
        other_conditions=[clipped(one, 200) for one in nodestate.unjudged(node)] if whole else [],
    )


def _worst_first(node: Obj, use: _Use) -> tuple[bool, bool, bool, int, str]:
    fullest = max(use.shares().values(), default=0)
    trouble = bool(nodestate.problems(node))
    return (_is_ready(node), not trouble, not _is_cordoned(node), -fullest, fields.name_of(node))
