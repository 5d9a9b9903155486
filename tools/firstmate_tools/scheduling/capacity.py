"""What nodes have left: allocatable less the requests of the pods that are bound to them.

Rules of kube-scheduler v1.36, plugin noderesources (fit.go, fitsRequest): every pod that has a node and has not ended
counts, terminating ones too; a resource of which the pod asks nothing is not looked at.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from firstmate_tools import fields, podstate
from firstmate_tools.fields import Obj
from firstmate_tools.podresources import Amounts, amounts, plus, pod_requests
from firstmate_tools.refs import controller_of
from firstmate_tools.scheduling import predicates

_FIXED_OWNERS = frozenset({"DaemonSet", "Node"})
"""Whoever owns pods that are on a node whatever else is: DaemonSets, and nodes with static pods."""


@dataclass(slots=True)
class Load:
    """What the pods of one node ask for.

    Attributes:
        pods: how many there are.
        requested: the sum of their requests.
        fixed: the part of DaemonSets and static pods.
        leaving: the part of pods that are terminating and within their grace period.
        leaving_pods: how many those are.
    """

    pods: int = 0
    requested: Amounts = field(default_factory=Amounts)
    fixed: Amounts = field(default_factory=Amounts)
    leaving: Amounts = field(default_factory=Amounts)
    leaving_pods: int = 0


def loads(pods: Iterable[Obj], now: datetime) -> dict[str, Load]:
    """The load of every node that has pods, by its name."""
    found: dict[str, Load] = defaultdict(Load)
    for pod in pods:
        node = fields.text(pod, "spec", "nodeName")
        if not node or podstate.finished(pod):
            continue
        load, asks = found[node], pod_requests(pod)
        load.pods += 1
        for resource, amount in asks.items():
            load.requested[resource] = load.requested.get(resource, 0) + amount
        owner = controller_of(pod)
        if owner is not None and owner.kind in _FIXED_OWNERS:
            load.fixed = plus(load.fixed, asks)
        ends = fields.time_at(pod, "metadata", "deletionTimestamp")
        if ends is not None and ends >= now:
            load.leaving = plus(load.leaving, asks)
            load.leaving_pods += 1
    return found


def allocatable(node: Obj) -> Amounts:
    """What a node offers to pods."""
    return amounts(node, "status", "allocatable")


@dataclass(frozen=True, slots=True)
class Host:
    """A node made ready for many pods to be held against it.

    Attributes:
        offers: its allocatable amounts.
        taints: those that keep pods away, the cordon's own left out.
    """

    node: Obj
    name: str
    labels: dict[str, str]
    offers: Amounts
    load: Load
    taints: list[Obj]
    cordoned: bool
    control_plane: bool

    def offer(self, resource: str) -> int:
        """Its allocatable amount of a resource, 0 where it has none."""
        return self.offers.get(resource, 0)

    def taken(self, resource: str) -> int:
        """What pods on it ask for in all."""
        return self.load.requested.get(resource, 0)

    def free(self, resource: str) -> int:
        """What no pod has asked for yet."""
        return self.offer(resource) - self.taken(resource)

    def most(self, resource: str) -> int:
        """What it would have free, were it empty but for DaemonSets and static pods."""
        return self.offer(resource) - self.load.fixed.get(resource, 0)


def hosts(nodes: Iterable[Obj], pods: Iterable[Obj], now: datetime) -> list[Host]:
    """The nodes of a cluster with what the pods that are bound to them ask for, by name.

    Args:
        pods: of all namespaces, or as many as are known.
        now: by which a terminating pod is within its grace period or not.
    """
    load = loads(pods, now)
    made = [
        Host(
            node=node,
            name=fields.name_of(node),
            labels=fields.labels_of(node),
            offers=allocatable(node),
            load=load.get(fields.name_of(node), Load()),
            taints=predicates.repelling_taints(node),
            cordoned=predicates.is_cordoned(node),
            control_plane=predicates.is_control_plane(node),
        )
        for node in nodes
    ]
    return sorted(made, key=lambda host: host.name)


@dataclass(frozen=True, slots=True)
class Shortage:
    """One resource of which a node has too little for a pod; amounts in thousandths.

    Attributes:
        needs: what the pod asks for.
        free: what no pod has asked for yet (below zero where more was promised than there is).
        offers: the node's allocatable amount.
        most: `offers` less what DaemonSets and static pods take.
    """

    resource: str
    needs: int
    free: int
    offers: int
    most: int

    @property
    def hopeless(self) -> bool:
        """Whether the pod would not even fit on the empty node."""
        return self.needs > self.most


def shortages(asks: Amounts, host: Host) -> tuple[Shortage, ...]:
    """The resources that a node lacks for a pod's requests, by name."""
    return tuple(
        Shortage(resource, needs, host.free(resource), host.offer(resource), host.most(resource))
        for resource, needs in sorted(asks.items())
        if needs > host.free(resource) and needs > 0 and resource != "pods"
    )


def pods_full(host: Host) -> bool:
    """Whether a node holds as many pods as it may (`Too many pods`)."""
    return (host.load.pods + 1) * 1000 > host.offer("pods")


def fits_later(asks: Amounts, host: Host) -> bool:
    """Whether a node has room for a pod once those that are terminating have gone."""
    load = host.load
    if (load.pods - load.leaving_pods + 1) * 1000 > host.offer("pods"):
        return False
    return all(
        needs <= 0 or resource == "pods" or needs <= host.free(resource) + load.leaving.get(resource, 0)
        for resource, needs in asks.items()
    )
