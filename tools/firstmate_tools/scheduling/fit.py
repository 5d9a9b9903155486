"""Why no node takes a pod: every predicate on every node, then the one reason that an operator would name.

The reasons are asked in the order in which they narrow the nodes down: first the nodes that the pod is meant for
(labels), then those that let it in (taints), then those that are open (cordons), then those where spreading allows it,
and only then who has room.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from firstmate_tools import fields
from firstmate_tools.fields import Obj
from firstmate_tools.podresources import Amounts, pod_requests
from firstmate_tools.scheduling import capacity, predicates
from firstmate_tools.scheduling.capacity import Load, Shortage
from firstmate_tools.scheduling.spread import Blocked, Counted, counted


class Why(Enum):
    """The reason why a pod has no node."""

    FITS = "some node passes every predicate that is known here"
    SELECTOR = "no node has the labels of the nodeSelector"
    AFFINITY = "no node satisfies the required node affinity, alone or together with the selector"
    TAINT = "every node that it is meant for has a taint that it does not tolerate"
    NODE_STATE = "a node would take it, were it not marked as ill, starting or going"
    CORDON = "a node would take it, were it not cordoned"
    SPREAD = "a node has room, and a spread constraint forbids it"
    POD_COUNT = "a node has room, and holds as many pods as it may"
    LARGER = "it would not fit on the emptiest of its nodes"
    FULL = "its nodes have too little left"
    NOT_ADVERTISED = "it asks for a device that no node has"
    LEAVING = "a node has room once the pods that are terminating have gone"


@dataclass(frozen=True, slots=True)
class View:
    """What one node says to one pod.

    Attributes:
        taints: what it does not tolerate, but for taints that tell the node's state.
        state: the taints that do.
        spread: the first constraint that forbids the node.
        lacks, lacks_later: what is missing now, and once terminating pods have gone.
        crowded, crowded_later: whether it holds as many pods as it may, likewise.
    """

    node: Obj
    load: Load
    selected: bool
    preferred: bool
    taints: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    cordoned: bool = False
    spread: Blocked | None = None
    lacks: tuple[Shortage, ...] = ()
    lacks_later: tuple[Shortage, ...] = ()
    crowded: bool = False
    crowded_later: bool = False
    control_plane: bool = False

    @property
    def name(self) -> str:
        return fields.name_of(self.node)

    @property
    def meant(self) -> bool:
        """Whether the pod's selector and required affinity both allow the node."""
        return self.selected and self.preferred

    @property
    def lets_in(self) -> bool:
        return not self.taints and not self.state

    @property
    def aside(self) -> bool:
        """Whether it is a control-plane node that keeps workloads out, as such nodes do."""
        return self.control_plane and (bool(self.taints) or self.cordoned)

    @property
    def hopeless(self) -> bool:
        return any(lack.hopeless for lack in self.lacks)

    def offers(self, resource: str) -> int:
        """The node's allocatable amount."""
        return capacity.allocatable(self.node).get(resource, 0)

    def taken(self, resource: str) -> int:
        """What pods on it ask for in all."""
        return self.load.requested.get(resource, 0)

    def most(self, resource: str) -> int:
        """What it would have free, were it empty but for DaemonSets and static pods."""
        return self.offers(resource) - self.load.fixed.get(resource, 0)

    def fails_only(self, what: str) -> bool:
        """Whether `what` is the one thing that keeps the pod off this node ("" for nothing at all)."""
        failed = {
            "meant": not self.meant,
            "taints": bool(self.taints),
            "state": bool(self.state),
            "cordoned": self.cordoned,
            "spread": self.spread is not None,
            "lacks": bool(self.lacks),
            "crowded": self.crowded,
        }
        return {name for name, holds in failed.items() if holds} == ({what} if what else set[str]())

    def fits_later(self) -> bool:
        return (
            self.meant
            and self.lets_in
            and not self.cordoned
            and self.spread is None
            and not self.lacks_later
            and not self.crowded_later
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a pod has no node, with the nodes that show it.

    Attributes:
        why: the reason.
        asks: the pod's requests.
        shown: the nodes that show the reason: those that it is meant for, those that would take it, or those that
            lack something; by name.
        nodes: how many nodes there are.
        spread: the counts behind the constraints.
        views: every node.
    """

    why: Why
    asks: Amounts
    shown: tuple[View, ...]
    nodes: int
    spread: tuple[Counted, ...]
    views: tuple[View, ...]


def judge(pod: Obj, nodes: Sequence[Obj], load: dict[str, Load], pods: Iterable[Obj]) -> Verdict:
    """Why no node takes a pod.

    Args:
        pod: a pod without a node, or a pod template with a namespace.
        nodes: all nodes of the cluster.
        load: what bound pods ask for, by node (`capacity.loads`).
        pods: at least the pods of the pod's namespace, for spread constraints.
    """
    asks = pod_requests(pod)
    counts = counted(pod, nodes, pods)
    views = tuple(
        view(pod, asks, node, load.get(fields.name_of(node), Load()), counts)
        for node in sorted(nodes, key=fields.name_of)
    )
    why, shown = _reason(pod, views)
    return Verdict(why, asks, tuple(shown), len(views), tuple(counts), views)


def view(pod: Obj, asks: Amounts, node: Obj, load: Load, counts: Sequence[Counted] = ()) -> View:
    """What one node says to one pod; of a node that the pod is not meant for, no more than that."""
    selected, preferred = predicates.selector_matches(pod, node), predicates.affinity_matches(pod, node)
    if not (selected and preferred):
        return View(node=node, load=load, selected=selected, preferred=preferred)
    taints = predicates.refusing_taints(pod, node)
    return View(
        node=node,
        load=load,
        selected=True,
        preferred=True,
        taints=tuple(predicates.show_taint(t) for t in taints if not predicates.tells_state(t)),
        state=tuple(predicates.show_taint(t) for t in taints if predicates.tells_state(t)),
        cordoned=predicates.cordoned(pod, node),
        spread=next((blocked for c in counts if (blocked := c.blocks(node)) is not None), None),
        lacks=capacity.shortages(asks, node, load),
        lacks_later=capacity.shortages(asks, node, load, without_leaving=True),
        crowded=capacity.pods_full(node, load),
        crowded_later=capacity.pods_full(node, load, without_leaving=True),
        control_plane=predicates.is_control_plane(node),
    )


def _reason(pod: Obj, views: tuple[View, ...]) -> tuple[Why, Sequence[View]]:
    meant = [v for v in views if v.meant]
    if not meant:
        none_selected = bool(predicates.node_selector(pod)) and not any(v.selected for v in views)
        return (Why.SELECTOR if none_selected else Why.AFFINITY), []
    meant = [v for v in meant if not v.aside] or meant
    for what, why in (("", Why.FITS), ("state", Why.NODE_STATE)):
        found = [v for v in meant if v.fails_only(what)]
        if found:
            return why, found
    inside = [v for v in meant if v.lets_in]
    if not inside:
        tainted = [v for v in meant if v.taints]
        return (Why.TAINT, tainted) if tainted else (Why.NODE_STATE, meant)
    return _reason_inside(views, inside)


def _reason_inside(views: tuple[View, ...], inside: list[View]) -> tuple[Why, Sequence[View]]:
    """The reason among the nodes whose labels and taints would have the pod."""
    later = [v for v in inside if v.fits_later()]
    if later:
        return Why.LEAVING, later
    for what, why in (("cordoned", Why.CORDON), ("spread", Why.SPREAD), ("crowded", Why.POD_COUNT)):
        found = [v for v in inside if v.fails_only(what)]
        if found:
            return why, found
    if _nowhere(views, inside):
        return Why.NOT_ADVERTISED, inside
    if all(v.hopeless for v in inside):
        return Why.LARGER, inside
    return _reason_open(inside)


def _reason_open(inside: list[View]) -> tuple[Why, Sequence[View]]:
    """The reason where some node is large enough, and several things stand in the way on each."""
    usable = [v for v in inside if not v.cordoned]
    if not usable:
        return Why.CORDON, [v for v in inside if not v.hopeless]
    full = [v for v in usable if v.lacks]
    if full:
        return Why.FULL, full
    spread = [v for v in usable if v.spread is not None]
    return (Why.SPREAD, spread) if spread else (Why.POD_COUNT, usable)


def _nowhere(views: tuple[View, ...], inside: list[View]) -> bool:
    """Whether the pod asks for an extended resource that no node of the cluster has to give."""
    missing = {lack.resource for v in inside for lack in v.lacks if is_extended(lack.resource)}
    return any(all(not capacity.allocatable(v.node).get(resource) for v in views) for resource in missing)


def is_extended(resource: str) -> bool:
    """Whether a resource is one that a device plugin or an operator advertises, such as `nvidia.com/gpu`."""
    return "/" in resource and not resource.startswith("kubernetes.io/")
