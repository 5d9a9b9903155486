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
        load.requested = plus(load.requested, asks)
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


def shortages(asks: Amounts, node: Obj, load: Load, *, without_leaving: bool = False) -> tuple[Shortage, ...]:
    """The resources that a node lacks for a pod's requests, by name.

    Args:
        without_leaving: as if the terminating pods were gone already.
    """
    offers = allocatable(node)
    found: list[Shortage] = []
    for resource, needs in sorted(asks.items()):
        if needs <= 0 or resource == "pods":
            continue
        there = offers.get(resource, 0)
        taken = load.requested.get(resource, 0) - (load.leaving.get(resource, 0) if without_leaving else 0)
        if needs > there - taken:
            most = there - load.fixed.get(resource, 0)
            found.append(Shortage(resource, needs, there - taken, there, most))
    return tuple(found)


def pods_full(node: Obj, load: Load, *, without_leaving: bool = False) -> bool:
    """Whether a node holds as many pods as it may (`Too many pods`)."""
    most = allocatable(node).get("pods", 0)
    here = load.pods - (load.leaving_pods if without_leaving else 0)
    return (here + 1) * 1000 > most
